package eventindex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Single is an [events.Source] of one person. It is safe for concurrent use.
type Single struct {
	people     *events.People
	loaded     []*rows // by place in domains, nil for eras
	vocabulary Vocabulary
}

var _ events.Source = (*Single)(nil)

// ReadSingle reads one person in the caller's transaction, as an index has them, but
// without one: the size of the site does not matter. Who is not stored is nobody there.
func ReadSingle(ctx context.Context, tx *sqldb.Tx, store *omop.Store, v Vocabulary, id omop.PersonID) (*Single, error) {
	value, err := id.Value()
	if err != nil {
		return nil, err
	}
	number, ok := value.(int64)
	if !ok {
		return nil, errors.New("event index: a person has no number")
	}
	p, loaded := newPersons([]int64{number}), make([]*rows, len(domains))
	if err := readPersons(ctx, tx, store, p, loaded); err != nil {
		return nil, fmt.Errorf("event index: read one person: %w", err)
	}
	one := &Snapshot{ordinals: [][]uint32{{void}}}
	var all []member
	if !p.gone[0] {
		all = []member{{id: number}}
	}
	return &Single{people: one.readPeople(all, []*persons{p}), loaded: loaded, vocabulary: v}, nil
}

// People implements [events.Source].
func (s *Single) People() *events.People { return s.people }

// Events implements [events.Source].
func (s *Single) Events(ctx context.Context, name cohort.Domain, concepts []int64, columns ...events.Column) (*events.Events, error) {
	at := place(name)
	if at < 0 {
		return nil, events.NoTableError{Name: string(name)}
	}
	d := &domains[at]
	attributes, err := columnsOf(d, columns)
	if err != nil {
		return nil, err
	}
	r, err := s.rows(ctx, at)
	if err != nil {
		return nil, err
	}
	var places []uint32
	for i, concept := range r.concept {
		if concepts == nil || slices.Contains(concepts, concept) {
			places = append(places, uint32(i)) //nolint:gosec // rows of one person
		}
	}
	slices.SortFunc(places, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(r.start[a], r.start[b]), cmp.Compare(r.id[a], r.id[b]))
	})
	out := &events.Events{
		Person: make([]uint32, len(places)), ID: gather(r.id, places), Visit: gather(r.visit, places), Domain: gather(r.concept, places),
		Columns: make(map[events.Column]events.Vector, len(columns)),
	}
	for _, i := range places {
		out.Start, out.End = append(out.Start, day(r.start[i])), append(out.End, day(r.end[i]))
	}
	for _, a := range attributes {
		ask := a.name
		if ask == visitID {
			ask = visitConcept
		}
		i, _ := d.has(ask)
		out.Columns[a.name] = chosen(r.attr[i], places)
	}
	return out, nil
}

// rows returns the person's events of a domain; eras are made of what they are eras of.
func (s *Single) rows(ctx context.Context, at int) (*rows, error) {
	d := &domains[at]
	switch d.name {
	case cohort.ConditionEra:
		return conditionEras(d, s.loaded[place(cohort.ConditionOccurrence)]), nil
	case cohort.DrugEra:
		is, err := s.vocabulary.Hierarchy(ctx)
		if err != nil {
			return nil, err
		}
		if !is {
			return nil, events.NoTableError{Name: string(cohort.DrugEra)}
		}
		drugs := s.loaded[place(cohort.DrugExposure)]
		of, err := newDrugs(s.vocabulary, true).of(ctx, drugs.concept)
		if err != nil {
			return nil, err
		}
		return drugEras(d, drugs, of), nil
	}
	r := s.loaded[at]
	visits := s.loaded[place(cohort.VisitOccurrence)]
	joined := *r
	joined.attr = slices.Clone(r.attr)
	joinVisits(d, &joined, visits, visits.byID())
	return &joined, nil
}

// chosen returns the values at places.
func chosen(v omop.Vector, places []uint32) events.Vector {
	switch {
	case v.Number != nil:
		return events.Vector{Number: gather(v.Number, places)}
	case v.Text != nil:
		return events.Vector{Text: gather(v.Text, places), Absent: gather(v.Absent, places)}
	}
	return events.Vector{Int: gather(v.Whole, places)}
}

// With returns the person with events of today that are not on record: of each domain those
// of some concepts, which have no other attribute. The person's last observation period
// lasts until today.
func (s *Single) With(today events.Day, concepts map[cohort.Domain][]int64) *Single {
	people := *s.people
	if n := len(people.PeriodEnd); n > 0 && people.PeriodEnd[n-1] < today {
		people.PeriodEnd = slices.Clone(people.PeriodEnd)
		people.PeriodEnd[n-1] = today
	}
	with := &Single{people: &people, loaded: slices.Clone(s.loaded), vocabulary: s.vocabulary}
	for name, of := range concepts {
		at := place(name)
		if at < 0 || with.loaded[at] == nil || len(people.ID) == 0 {
			continue
		}
		with.loaded[at] = with.loaded[at].with(&domains[at], int64(today), of)
	}
	return with
}

// with returns a copy with rows of one day, which have numbers below those of a store.
func (r *rows) with(d *domain, on int64, concepts []int64) *rows {
	out := &rows{
		person: slices.Clone(r.person), concept: slices.Clone(r.concept), start: slices.Clone(r.start), end: slices.Clone(r.end),
		id: slices.Clone(r.id), visit: slices.Clone(r.visit), attr: make([]omop.Vector, len(r.attr)),
	}
	for i, v := range r.attr {
		out.attr[i] = omop.Vector{Whole: slices.Clone(v.Whole), Number: slices.Clone(v.Number), Text: slices.Clone(v.Text), Absent: slices.Clone(v.Absent)}
	}
	for n, concept := range concepts {
		out.person, out.concept = append(out.person, 0), append(out.concept, concept)
		out.start, out.end = append(out.start, on), append(out.end, on)
		out.id, out.visit = append(out.id, int64(-1-n)), append(out.visit, events.Null)
		for i, a := range d.attributes {
			v := &out.attr[i]
			switch {
			case a.name == visitConcept: // it is joined later
			case a.kind == omop.NumberVector:
				v.Number = append(v.Number, math.NaN())
			case a.kind == omop.TextVector:
				v.Text, v.Absent = append(v.Text, ""), append(v.Absent, true)
			default:
				v.Whole = append(v.Whole, omop.Null)
			}
		}
	}
	return out
}
