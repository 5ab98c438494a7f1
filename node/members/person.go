package members

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// worker evaluates people one after the other. What it has in hand it uses again.
type worker struct {
	p       *plan
	options Options
	budget  *budget
	left    int   // steps until the next look at the budget
	cursors []int // by request: before it are the events of earlier people

	// By criterion: the rows of the person whose ordinal is done - 1.
	done     []uint32
	found    [][]row
	subjects []subject
	spans    [][]span

	demographic subject
	values      []int64
	qualified   []entered
	ends        []Entry
	eras        []span
	erasDone    bool

	entries   []Entry
	persons   int
	attrition *Attrition
	passed    []Passed
}

// entered is a primary event in an observation period.
type entered struct {
	row
	span [1]span
	mask uint64 // of the rules that hold
}

func (p *plan) worker(o Options) *worker {
	w := &worker{
		p: p, options: o, cursors: make([]int, len(p.requests)),
		done: make([]uint32, len(p.criteria)), found: make([][]row, len(p.criteria)),
		subjects: make([]subject, len(p.criteria)), spans: make([][]span, len(p.criteria)),
	}
	if o.Attrition {
		w.attrition = newAttrition(len(p.rules))
	}
	return w
}

// person finds the entries of one person.
func (w *worker) person(id uint32) {
	w.erasDone = false
	w.enter(id)
	w.qualify(id)
	if len(w.qualified) == 0 {
		return
	}
	w.judge(id)
	if w.attrition != nil {
		held := w.attrition.add(w.qualified)
		w.passed = append(w.passed, Passed{id, bits.TrailingZeros64(^held)})
	}
	w.include()
	w.leave(id)
}

// enter finds the primary events: those that lie in an observation period with as much of it
// before and after as is asked for.
func (w *worker) enter(id uint32) {
	p := w.p
	w.qualified = w.qualified[:0]
	first, last := p.people.Periods[id], p.people.Periods[id+1]
	if first == last {
		return
	}
	for _, c := range p.primary {
		for _, r := range w.rows(c, id) {
			w.spend(int(last - first))
			for j := first; j < last; j++ {
				s := span{p.people.PeriodStart[j], p.people.PeriodEnd[j]}
				if s.has(r.start) && s.start+p.priorDays <= r.start && r.start+p.postDays <= s.end {
					w.qualified = append(w.qualified, entered{row: r, span: [1]span{s}})
				}
			}
		}
	}
	// The reference numbers primary events by day and id. The last ones are those of the
	// last day, of which the one with the lowest id counts. Which of two domains' events with
	// one id comes first it leaves open: what they are decides, not the order of the criteria.
	order := func(a, b entered) int {
		if a.sort == b.sort {
			return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.visit, b.visit))
		}
		if p.primaryLimit == cohort.Last {
			a, b = b, a
		}
		return cmp.Compare(a.sort, b.sort)
	}
	if !slices.IsSortedFunc(w.qualified, order) {
		slices.SortStableFunc(w.qualified, order)
	}
	if p.primaryLimit != cohort.All {
		w.qualified = w.qualified[:min(1, len(w.qualified))]
	}
}

// anchor is the event that the groups of a definition are about.
func (w *worker) anchor(id uint32, e *entered) anchor {
	return anchor{person: id, start: e.start, end: e.end, visit: e.visit, spans: e.span[:]}
}

// qualify keeps the events for which the additional criteria hold.
func (w *worker) qualify(id uint32) {
	if w.p.additional != nil {
		kept := w.qualified[:0]
		for i := range w.qualified {
			a := w.anchor(id, &w.qualified[i])
			if w.holds(w.p.additional, &a) {
				kept = append(kept, w.qualified[i])
			}
		}
		w.qualified = kept
	}
	w.qualified = limit(w.qualified, w.p.qualified)
}

// limit keeps all events, the first or the last.
func limit(list []entered, l cohort.Limit) []entered {
	if l == cohort.All || len(list) < 2 {
		return list
	}
	best := 0
	for i := range list {
		if l == cohort.Last && list[i].start > list[best].start || l != cohort.Last && list[i].start < list[best].start {
			best = i
		}
	}
	list[0] = list[best]
	return list[:1]
}

// judge tries the inclusion rules, all of them if attrition is asked for.
func (w *worker) judge(id uint32) {
	for i := range w.qualified {
		e := &w.qualified[i]
		a := w.anchor(id, e)
		for j, rule := range w.p.rules {
			if w.holds(rule, &a) {
				e.mask |= 1 << j
			} else if w.attrition == nil {
				break
			}
		}
	}
}

// include keeps the events for which all rules hold.
func (w *worker) include() {
	all := uint64(1)<<len(w.p.rules) - 1
	w.qualified = limit(slices.DeleteFunc(w.qualified, func(e entered) bool { return e.mask != all }), w.p.limit)
}

// leave ends the entries, makes one of those that meet, and cuts them off.
func (w *worker) leave(id uint32) {
	w.ends = w.ends[:0]
	for i := range w.qualified {
		if end, ok := w.end(id, &w.qualified[i]); ok {
			w.ends = append(w.ends, Entry{Person: id, Start: w.qualified[i].start, End: end + w.p.pad})
		}
	}
	order := func(a, b Entry) int { return cmp.Compare(a.Start, b.Start) }
	if !slices.IsSortedFunc(w.ends, order) {
		slices.SortStableFunc(w.ends, order)
	}
	before := len(w.entries)
	for i := 0; i < len(w.ends); {
		e := w.ends[i]
		for i++; i < len(w.ends) && e.End >= w.ends[i].Start; i++ {
			e.End = max(e.End, w.ends[i].End)
		}
		e.End -= w.p.pad
		if w.p.from != events.NoDay || w.p.to != events.NoDay {
			if w.p.from != events.NoDay {
				e.Start = max(e.Start, w.p.from)
			}
			if w.p.to != events.NoDay {
				e.End = min(e.End, w.p.to)
			}
			if e.Start > e.End {
				continue
			}
		}
		w.entries = append(w.entries, e)
	}
	if len(w.entries) > before {
		w.persons++
	}
}
