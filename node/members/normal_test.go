package members_test

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestTheNormalFormHasTheSameMembers is about definitions of the archive and others made of
// them, over people whose data are as bad as they can be. Nodes evaluate the normal form.
func TestTheNormalFormHasTheSameMembers(t *testing.T) {
	t.Parallel()
	all, err := definitions()
	require.NoError(t, err)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(all[name].Primary.Criteria)+len(all[name].Rules) < 20 {
			names = append(names, name)
		}
	}
	draw := rapid.SampledFrom(names)
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		name := draw.Draw(t, "definition")
		r := varied{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))} //nolint:gosec // no secret
		raw, err := json.Marshal(all[name])
		require.NoError(t, err)
		var d cohort.Definition
		require.NoError(t, json.Unmarshal(raw, &d))
		r.definition(&d)
		needs, err := members.Needs(d)
		require.NoError(t, err)
		source := r.source(needs)
		want, err := members.Evaluate(context.Background(), d, source, numbered{}, members.Options{Workers: 1})
		require.NoError(t, err)
		got, err := members.Evaluate(context.Background(), d.Normal(), source, numbered{}, members.Options{Workers: 1})
		require.NoError(t, err)
		require.Equal(t, want.Entries, got.Entries)
		found += want.Persons
	})
	require.Positive(t, found)
}

// numbered is a vocabulary of the concepts 1 to 4, each the parent of the next, to which the
// one before maps.
type numbered struct{}

func (numbered) Known(_ context.Context, concepts []int64) ([]int64, error) { return concepts, nil }

func (numbered) Descendants(_ context.Context, concepts []int64) ([]int64, error) {
	return []int64{min(slices.Max(concepts)+1, 4)}, nil
}

func (numbered) MapTo(_ context.Context, concepts []int64) ([]int64, error) {
	return []int64{max(slices.Min(concepts)-1, 1)}, nil
}

// varied makes definitions and data by chance.
type varied struct{ *rand.Rand }

func (r varied) oneIn(n int) bool { return r.IntN(n) == 0 }

// definition changes one so that the data below can be in it, and into what nobody has
// thought of.
func (r varied) definition(d *cohort.Definition) {
	for i := range d.ConceptSets {
		d.ConceptSets[i].Items = nil
		for range r.IntN(4) {
			d.ConceptSets[i].Items = append(d.ConceptSets[i].Items, cohort.Item{
				Concept: 1 + r.Int64N(4), Excluded: r.oneIn(4), Descendants: r.oneIn(2), Mapped: r.oneIn(2),
			})
		}
	}
	d.Primary.PriorDays, d.Primary.PostDays = d.Primary.PriorDays%7, d.Primary.PostDays%7
	for _, limit := range []*cohort.Limit{&d.Primary.Limit, &d.QualifiedLimit, &d.ExpressionLimit} {
		*limit = []cohort.Limit{cohort.All, cohort.All, cohort.First, cohort.Last}[r.IntN(4)]
	}
	r.criteria(d.Primary.Criteria)
	r.criteria(d.Censoring)
	d.Rules = d.Rules[:min(len(d.Rules), 3)]
	for i := range d.Rules {
		r.group(&d.Rules[i].Group)
	}
	if d.Additional != nil {
		r.group(d.Additional)
	}
}

func (r varied) criteria(list []cohort.Criterion) {
	for i := range list {
		r.criterion(&list[i])
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func (r varied) criterion(c *cohort.Criterion) {
	c.Filters = slices.DeleteFunc(c.Filters, func(cohort.Filter) bool { return !r.oneIn(4) })
	switch r.IntN(6) {
	case 0:
		c.DateAdjustment = &cohort.DateAdjustment{}
	case 1:
		c.DateAdjustment = &cohort.DateAdjustment{StartWithEnd: r.oneIn(2), EndWithStart: r.oneIn(2), EndOffset: r.IntN(9)}
	}
	if c.Correlated == nil && r.oneIn(4) {
		inner := *c
		inner.Filters, inner.DateAdjustment = nil, nil
		c.Correlated = &cohort.Group{Criteria: []cohort.Correlated{{
			Criterion: inner, Start: cohort.Window{Start: cohort.Endpoint{Coeff: -1}, End: cohort.Endpoint{Coeff: 1}},
			Occurrence: cohort.Occurrence{Type: cohort.AtLeastTimes, Count: 1},
		}}}
	}
	if c.Correlated != nil {
		r.group(c.Correlated)
	}
}

func (r varied) group(g *cohort.Group) {
	for i := range g.Criteria {
		c := &g.Criteria[i]
		r.criterion(&c.Criterion)
		if r.oneIn(2) {
			c.Occurrence.Type, c.Occurrence.Count = cohort.OccurrenceType(r.IntN(3)), r.IntN(4)
		}
		c.IgnoreObservationPeriod = c.IgnoreObservationPeriod != r.oneIn(3)
		if r.oneIn(3) {
			end := cohort.Window{UseIndexEnd: new(r.oneIn(2)), UseEventEnd: new(r.oneIn(2))}
			end.Start.Coeff, end.End.Coeff = -1, 1
			if r.oneIn(2) {
				end.End.Days = new(r.IntN(9))
			}
			c.End = &end
		}
	}
	for i := range g.Groups {
		r.group(&g.Groups[i])
	}
	if r.oneIn(3) {
		g.Groups = append(g.Groups, cohort.Group{Type: cohort.AnyOf, Criteria: g.Criteria[:min(len(g.Criteria), r.IntN(3))]})
	}
	if r.oneIn(3) {
		g.Criteria = append(g.Criteria, g.Criteria[:min(len(g.Criteria), 2)]...)
	}
	g.Type = []cohort.GroupType{cohort.AllOf, cohort.AnyOf, cohort.AtLeast, cohort.AtMost}[r.IntN(4)]
	g.Count = r.IntN(len(g.Criteria) + len(g.Demographics) + len(g.Groups) + 1)
}

// source has people with periods that overlap, events of one day and one number, events that
// end before they start, and of each value some that are absent.
func (r varied) source(needs map[cohort.Domain][]events.Column) *memory.Source {
	const count = 20
	value := func(of int64) int64 {
		if r.oneIn(5) {
			return events.Null
		}
		return 1 + r.Int64N(of)
	}
	people := events.People{Periods: []int32{0}}
	for i := range int64(count) {
		people.ID = append(people.ID, i+1)
		people.YearOfBirth = append(people.YearOfBirth, []int32{1930, 1980, events.NoYear}[r.IntN(3)])
		for _, c := range []*[]int64{&people.Gender, &people.Race, &people.Ethnicity, &people.GenderSource, &people.RaceSource, &people.EthnicitySource} {
			*c = append(*c, value(4))
		}
		start := events.Day(18_000)
		for range 1 + r.IntN(3) {
			start += events.Day(r.IntN(10))
			people.PeriodStart, people.PeriodEnd = append(people.PeriodStart, start), append(people.PeriodEnd, start+events.Day(5+r.IntN(30)))
			people.PeriodID, people.PeriodType = append(people.PeriodID, int64(len(people.PeriodID))), append(people.PeriodType, value(4))
		}
		people.Periods = append(people.Periods, int32(len(people.PeriodStart)))
	}
	people.BirthMonth, people.BirthDay = make([]int8, count), make([]int8, count)
	all := map[cohort.Domain]events.Events{}
	for _, domain := range slices.Sorted(maps.Keys(needs)) {
		e := events.Events{Columns: map[events.Column]events.Vector{}}
		for person := range uint32(count) {
			day := events.Day(18_000)
			for id := range r.Int64N(4) {
				day += events.Day(r.IntN(9))
				end := day + events.Day(r.IntN(20)-4)
				if r.oneIn(5) {
					end = events.NoDay
				}
				e.Person, e.Start, e.End, e.ID = append(e.Person, person), append(e.Start, day), append(e.End, end), append(e.ID, id)
				e.Visit, e.Domain = append(e.Visit, value(2)), append(e.Domain, value(4))
			}
		}
		for _, name := range needs[domain] {
			e.Columns[name] = r.column(string(name), len(e.Person))
		}
		all[domain] = e
	}
	return memory.New(people, all)
}

func (r varied) column(name string, n int) (v events.Vector) {
	for end, kind := range kinds {
		switch {
		case !strings.HasSuffix(name, end):
		case kind == "numeric":
			v.Number = make([]float64, n)
		case v.Number == nil:
			v.Text, v.Absent = make([]string, n), make([]bool, n)
		}
	}
	if v.Number == nil && v.Text == nil {
		v.Int = make([]int64, n)
	}
	for i := range n {
		absent := r.oneIn(5)
		switch {
		case v.Number != nil && absent:
			v.Number[i] = math.NaN()
		case v.Number != nil:
			v.Number[i] = float64(r.IntN(100))
		case v.Text != nil:
			v.Absent[i] = absent
		case absent:
			v.Int[i] = events.Null
		default:
			v.Int[i] = 1 + r.Int64N(4)
		}
	}
	return v
}
