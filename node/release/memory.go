package release

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// The gate remembers for good which persons every number was about, and a decision looks at
// all that was let out of a measure. What was decided never changes, so what was read of it
// stays in memory, and a decision reads what other decisions, of any process, added since.

// maxRemembered bounds the persons of all sets in memory, 64 MiB. Measures that were not
// asked about for longest are read again.
const maxRemembered = 8 << 20

// memory is what a gate has read of earlier decisions. Who decides holds mu, inside the
// gate's lock of the database.
type memory struct {
	mu       sync.Mutex
	measures map[string]*history
	recent   []string // the measures, the one used last at the end
	most     int      // persons
}

// history is what was decided of a measure.
type history struct {
	upTo      int64                        // the last decision that was read
	compared  map[int][]kept               // what numbers are compared with, by the number of persons
	released  []set                        // behind numbers that were let out, but for unions
	questions []asked                      // what was shown or kept back together, but for unions
	hides     bool                         // some of their sets are kept back
	cuts      []cut                        // of the measure of parts
	known     map[message.Digest]bool      // what is there once, however often it was asked
	ids       map[message.Digest]int       // of what was kept
	sets      map[message.Digest]set       // by their bytes
	persons   int                          // in sets
	policies  map[string]disclosure.Policy // by the text of their limits
}

// asked is what one question showed and kept back, and all persons of it.
type asked struct {
	figures []kept
	total   set
}

// kept is a set of persons as a decision left it. Those with the same id are the same.
type kept struct {
	id       int
	cell     int
	members  set
	withheld int
	limits   string
	made     made
}

func newMemory() *memory { return &memory{measures: make(map[string]*history), most: maxRemembered} }

// earlier returns what was decided of a measure before.
func (d *decision) earlier(ctx context.Context, measure string) (*history, error) {
	if !d.counted {
		if err := d.tx.QueryRow(ctx, `SELECT coalesce(max(sequence), 0) FROM release`).Scan(&d.last); err != nil {
			return nil, err
		}
		d.counted = true
	}
	return d.memory.of(ctx, d.tx, measure, d.last)
}

// of returns what was decided of a measure, up to the last decision.
func (m *memory) of(ctx context.Context, tx *sqldb.Tx, measure string, last int64) (*history, error) {
	h := m.measures[measure]
	if h == nil {
		h = &history{compared: make(map[int][]kept), known: make(map[message.Digest]bool), ids: make(map[message.Digest]int), sets: make(map[message.Digest]set), policies: make(map[string]disclosure.Policy)}
	}
	m.forget(measure) // until all is read
	if h.upTo < last {
		if err := h.read(ctx, tx, measure); err != nil {
			return nil, err
		}
		h.upTo = last
	}
	m.measures[measure], m.recent = h, append(m.recent, measure)
	return h, nil
}

func (m *memory) forget(measure string) {
	delete(m.measures, measure)
	m.recent = slices.DeleteFunc(m.recent, func(r string) bool { return r == measure })
}

// trim forgets measures until the others fit.
func (m *memory) trim() {
	var persons int
	for _, measure := range slices.Backward(slices.Clone(m.recent)) {
		if persons += m.measures[measure].persons; persons > m.most {
			m.forget(measure)
		}
	}
}

// read adds what was decided since.
func (h *history) read(ctx context.Context, tx *sqldb.Tx, measure string) error {
	var of string
	var question []kept
	var same []byte
	end := func() {
		if len(question) > 0 && h.first("question", same) {
			sets := make([]set, len(question))
			for i, k := range question {
				sets[i] = k.members
			}
			h.questions = append(h.questions, asked{question, h.once(union(sets...))})
			if measure == divided {
				h.cuts = append(h.cuts, cutsIn(question)...)
			}
		}
		question, same = nil, nil
	}
	// SQLite takes the tables of a cross join in this order: the decisions since are few.
	err := tx.Each(ctx, `SELECT s.query, s.cell, s.members, s.withheld, s.limits, s.whole, s.levels
		FROM release r CROSS JOIN release_set s WHERE r.sequence > ? AND s.query = r.query AND s.measure = ? ORDER BY r.sequence, s.cell`,
		[]any{h.upTo, measure}, func(rows *sqldb.Rows) error {
			var query, levels string
			var raw []byte
			var k kept
			if err := rows.Scan(&query, &k.cell, &raw, &k.withheld, &k.limits, &k.made.whole, &levels); err != nil {
				return err
			}
			k.made = k.made.of(levels)
			var err error
			if k.members, err = h.set(raw); err != nil {
				return err
			}
			if query != of {
				end()
				of = query
			}
			if k.withheld != hiddenSet && h.first("compared", fmt.Appendf(nil, "%d %q %s", k.withheld, k.limits, raw)) {
				h.compared[len(k.members)] = append(h.compared[len(k.members)], k)
			}
			if k.cell == unionCell {
				return nil
			}
			h.hides = h.hides || k.withheld != shownSet
			k.id = h.name(fmt.Appendf(nil, "%d %q %q %q %s", k.withheld, k.limits, k.made.whole, levels, raw))
			question, same = append(question, k), fmt.Appendf(same, "%d ", k.id)
			if k.withheld == shownSet && h.first("released", raw) {
				h.released = append(h.released, k.members)
			}
			return nil
		})
	end()
	return err
}

// first reports whether something was not there before.
func (h *history) first(what string, content []byte) bool {
	key := message.Sum(append([]byte(what+" "), content...))
	if h.known[key] {
		return false
	}
	h.known[key] = true
	return true
}

// name returns the id of what was kept.
func (h *history) name(content []byte) int {
	key := message.Sum(content)
	id, known := h.ids[key]
	if !known {
		id = len(h.ids)
		h.ids[key] = id
	}
	return id
}

// set returns a set, which is in memory once.
func (h *history) set(raw []byte) (set, error) {
	key := message.Sum(raw)
	if s, there := h.sets[key]; there {
		return s, nil
	}
	s, err := parseSet(raw)
	if err != nil {
		return nil, err
	}
	h.sets[key] = s
	h.persons += len(s)
	return s, nil
}

// once returns a set that may be in memory already.
func (h *history) once(s set) set {
	key := message.Sum(s.bytes())
	if known, there := h.sets[key]; there {
		return known
	}
	h.sets[key] = s
	h.persons += len(s)
	return s
}

// near yields what is compared with a number about so many persons: what is about as many,
// or by fewer than least more or less.
func (h *history) near(persons, least int) iter.Seq[kept] {
	return func(yield func(kept) bool) {
		for n := persons - least + 1; n < persons+least; n++ {
			for _, k := range h.compared[n] {
				if !yield(k) {
					return
				}
			}
		}
	}
}

// figures returns what decisions let out about some sets, each once.
func (h *history) figures(sets []kept, exact bool) ([]figure, error) {
	seen := make([]bool, len(h.ids))
	var list []figure
	for _, k := range sets {
		if seen[k.id] {
			continue
		}
		seen[k.id] = true
		policy, err := h.policy(k.limits)
		if err != nil {
			return nil, err
		}
		list = append(list, figure{
			members: k.members, withheld: k.withheld == withheldSet || k.withheld == refusedSet, refused: k.withheld == refusedSet, hidden: k.withheld == hiddenSet,
			exact: exact || k.limits == "", policy: policy, made: k.made,
		})
	}
	return list, nil
}

func (h *history) policy(limits string) (disclosure.Policy, error) {
	if p, known := h.policies[limits]; known {
		return p, nil
	}
	p, err := parseLimits(limits)
	if err == nil {
		h.policies[limits] = p
	}
	return p, err
}
