package members

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// criterion is a criterion made ready.
type criterion struct {
	index   int
	request *request
	before  test // of an event that counts as a person's first one, nil for any
	first   bool
	tests   []test
	end     ending
	supply  *events.Vector // of orSupply

	adjust   *cohort.DateAdjustment
	from, to events.Day // in place of the event's days, NoDay for those
	group    *group     // about the event itself, nil for none
	value    valueOf    // what is counted, nil for events
	resorted bool       // the days that count need not be in the order of the table's
}

// row is an event that passes a criterion.
type row struct {
	start, end events.Day
	sort       events.Day // by which primary events are put in order
	visit, id  int64
	value      int64 // what is counted, Null for nothing
}

// valueOf returns what distinguishes an event where different ones are counted.
type valueOf func(s *subject, r *row, e *events.Events) int64

func (p *plan) compileCriterion(c cohort.Criterion, count string) (*criterion, error) {
	t, ok := tables[c.Domain]
	if !ok {
		return nil, fmt.Errorf("there is no domain %q", c.Domain)
	}
	set := c.ConceptSet
	if c.Domain == cohort.ObservationPeriod || c.Domain == cohort.PayerPlanPeriod {
		set = nil
	}
	r, err := p.request(c.Domain, set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Domain, err)
	}
	made := &criterion{request: r, first: c.First && c.Domain != cohort.Death && c.Domain != cohort.LocationRegion, end: t.end, from: events.NoDay, to: events.NoDay}
	if t.end == orSupply {
		made.supply = r.column(daysSupply)
	}
	if made.before, made.tests, err = p.filters(c.Domain, c.Filters, r); err != nil {
		return nil, err
	}
	if c.DateAdjustment != nil && c.Domain != cohort.Specimen && c.Domain != cohort.LocationRegion {
		adjust := *c.DateAdjustment
		if c.Domain == cohort.Death { // circe-be knows no other
			adjust.StartWithEnd, adjust.EndWithStart = false, false
		}
		made.adjust, made.resorted = &adjust, adjust.StartWithEnd
		made.tests = append([]test{inOrder}, made.tests...)
	}
	for _, f := range c.Filters {
		if f.Period == nil {
			continue
		}
		for text, to := range map[string]*events.Day{f.Period.Start: &made.from, f.Period.End: &made.to} {
			if text == "" {
				continue
			}
			if *to, err = day(text); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", c.Domain, f.Field, err)
			}
		}
	}
	if c.Correlated != nil && !empty(*c.Correlated) {
		if made.group, err = p.group(*c.Correlated); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Domain, err)
		}
	}
	if count != "" {
		if made.value, err = valueOfColumn(c.Domain, t, count, r); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Domain, err)
		}
	}
	return made, nil
}

func inOrder(s *subject) bool { return s.end != events.NoDay && s.end >= s.start }

// valueOfColumn returns how to read the column that is counted, by Circe's name.
func valueOfColumn(d cohort.Domain, t table, name string, r *request) (valueOf, error) {
	switch name {
	case "START_DATE":
		return func(_ *subject, r *row, _ *events.Events) int64 { return dayValue(r.start) }, nil
	case "END_DATE":
		return func(_ *subject, r *row, _ *events.Events) int64 { return dayValue(r.end) }, nil
	case "VISIT_ID":
		return func(_ *subject, r *row, _ *events.Events) int64 { return r.visit }, nil
	case "VISIT_DETAIL_ID":
		if d != cohort.VisitDetail {
			break
		}
		return func(_ *subject, r *row, _ *events.Events) int64 { return r.id }, nil
	case "DOMAIN_CONCEPT":
		return func(s *subject, _ *row, e *events.Events) int64 {
			id := e.Domain[s.row]
			if d == cohort.Death && id == events.Null {
				return 0
			}
			return id
		}, nil
	case "DURATION":
		if !t.span {
			return func(*subject, *row, *events.Events) int64 { return 1 }, nil
		}
		return func(_ *subject, r *row, _ *events.Events) int64 {
			if r.start == events.NoDay || r.end == events.NoDay {
				return events.Null
			}
			return int64(r.end - r.start)
		}, nil
	}
	column, ok := t.counts[name]
	if !ok {
		return nil, fmt.Errorf("the column %s is not one that can be counted there", name)
	}
	v := r.column(column)
	return func(s *subject, _ *row, _ *events.Events) int64 {
		if v.Number == nil {
			return v.Int[s.row]
		}
		f := v.Number[s.row]
		if f != f {
			return events.Null
		}
		return int64(math.Float64bits(f + 0)) // the two zeros are one
	}, nil
}

func dayValue(d events.Day) int64 {
	if d == events.NoDay {
		return events.Null
	}
	return int64(d)
}

// endOfRow returns when an event ends before any adjustment.
func (c *criterion) endOfRow(e *events.Events, i int) events.Day {
	switch c.end {
	case alwaysOneDay:
		return e.Start[i] + 1
	case orNextDay:
		if e.End[i] == events.NoDay {
			return e.Start[i] + 1
		}
	case orSupply:
		if e.End[i] == events.NoDay {
			if days, ok := numberAt(c.supply, i); ok {
				return e.Start[i] + events.Day(days)
			}
			return e.Start[i] + 1
		}
	}
	return e.End[i]
}

// days returns the days of an event that count.
func (c *criterion) days(e *events.Events, i int) (start, end events.Day) {
	start, end = e.Start[i], c.endOfRow(e, i)
	if c.adjust == nil {
		return start, end
	}
	from, to := start, end
	if c.adjust.StartWithEnd {
		from = end
	}
	if c.adjust.EndWithStart {
		to = start
	}
	return plus(from, c.adjust.StartOffset), plus(to, c.adjust.EndOffset)
}

// plus adds days to a day that may be absent.
func plus(d events.Day, days int) events.Day {
	if d == events.NoDay {
		return d
	}
	return d + events.Day(days)
}

// rows returns the events of a person that pass a criterion, by start.
func (w *worker) rows(c *criterion, person uint32) []row {
	if w.done[c.index] == person+1 {
		return w.found[c.index]
	}
	found := w.found[c.index][:0]
	e := c.request.events
	low, high := w.rangeOf(c.request, person)
	w.spend(high - low) // whatever the number of tests, which the fields of a domain limit
	s := &w.subjects[c.index]
	s.person = person
events:
	for i := low; i < high; i++ {
		s.row = i
		if c.before != nil && !c.before(s) {
			continue
		}
		s.start, s.end = c.days(e, i)
		last := c.first
		for _, t := range c.tests {
			if !t(s) {
				if last {
					break events
				}
				continue events
			}
		}
		r := row{start: s.start, end: s.end, sort: s.start, visit: e.Visit[i], id: e.ID[i]}
		if c.from != events.NoDay {
			r.start = c.from
		}
		if c.to != events.NoDay {
			r.end = c.to
		}
		if c.value != nil {
			r.value = c.value(s, &r, e)
		}
		if r.start != events.NoDay && (c.group == nil || w.nested(c, person, &r)) {
			found = append(found, r)
		}
		if last {
			break
		}
	}
	if c.resorted {
		slices.SortStableFunc(found, func(a, b row) int { return sign(a.start, b.start) })
	}
	w.found[c.index], w.done[c.index] = found, person+1
	return found
}

// nested reports whether the group about an event of a criterion holds. The event counts in
// each observation period that it begins in.
func (w *worker) nested(c *criterion, person uint32, r *row) bool {
	spans := w.spans[c.index][:0]
	w.spend(int(w.p.people.Periods[person+1] - w.p.people.Periods[person]))
	for j := w.p.people.Periods[person]; j < w.p.people.Periods[person+1]; j++ {
		if span := (span{w.p.people.PeriodStart[j], w.p.people.PeriodEnd[j]}); span.has(r.start) {
			spans = append(spans, span)
		}
	}
	w.spans[c.index] = spans
	return len(spans) > 0 && w.holds(c.group, &anchor{person: person, start: r.start, end: r.end, visit: r.visit, spans: spans})
}

// rangeOf returns where the events of a person are. Persons come in rising order.
func (w *worker) rangeOf(r *request, person uint32) (low, high int) {
	of := r.events.Person
	low = w.cursors[r.index]
	for step := 1; low < len(of) && of[low] < person; step *= 2 {
		if next := low + step; next < len(of) && of[next] < person {
			low = next
			continue
		}
		end := min(low+step, len(of))
		low += sort.Search(end-low, func(i int) bool { return of[low+i] >= person })
		break
	}
	high = low
	for high < len(of) && of[high] == person {
		high++
	}
	w.cursors[r.index] = low
	return low, high
}
