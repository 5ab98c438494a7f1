package members_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// copies makes a population of the size of 100,000 of that of the library's data.
const copies = 28

// BenchmarkDefinitions evaluates the library's definitions on its people, repeated.
func BenchmarkDefinitions(b *testing.B) {
	all, err := definitions()
	require.NoError(b, err)
	folder := memory.Folder("testdata/library")
	var sets []cohort.ConceptSet
	for _, d := range all {
		sets = append(sets, d.ConceptSets...)
	}
	vocabulary, err := memory.ReadVocabulary(b.Context(), folder, sets)
	require.NoError(b, err)
	one, err := memory.Read(b.Context(), folder, nil)
	require.NoError(b, err)
	source := repeat(b, one, copies)
	warm := false
	for b.Loop() {
		var took []time.Duration
		for name, d := range all {
			if name[0] != 'l' {
				continue
			}
			begun := time.Now()
			_, err := members.Evaluate(b.Context(), d, source, vocabulary, members.Options{})
			require.NoError(b, err, name)
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		if warm {
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median/op")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-slowest/op")
		}
		warm = true
	}
	b.ReportMetric(float64(len(source.People().ID)), "people")
}

// repeat makes n of every person.
func repeat(b *testing.B, s *memory.Source, n int) *memory.Source {
	b.Helper()
	p := s.People()
	people := events.People{Periods: []int32{0}}
	for range n {
		shift := int32(len(people.PeriodID))
		for _, at := range p.Periods[1:] {
			people.Periods = append(people.Periods, at+shift)
		}
		for range p.ID {
			people.ID = append(people.ID, int64(len(people.ID)))
		}
		people.YearOfBirth = append(people.YearOfBirth, p.YearOfBirth...)
		people.Gender, people.Race, people.Ethnicity = append(people.Gender, p.Gender...), append(people.Race, p.Race...), append(people.Ethnicity, p.Ethnicity...)
		people.PeriodStart, people.PeriodEnd = append(people.PeriodStart, p.PeriodStart...), append(people.PeriodEnd, p.PeriodEnd...)
		people.PeriodID, people.PeriodType = append(people.PeriodID, p.PeriodID...), append(people.PeriodType, p.PeriodType...)
	}
	tables := map[cohort.Domain]events.Events{}
	for _, d := range cohort.Domains() {
		e, err := s.Events(b.Context(), d, nil)
		require.NoError(b, err)
		more := events.Events{Columns: map[events.Column]events.Vector{}}
		for i := range n {
			for _, person := range e.Person {
				more.Person = append(more.Person, person+uint32(i*len(p.ID)))
			}
			more.Start, more.End = append(more.Start, e.Start...), append(more.End, e.End...)
			more.ID, more.Visit, more.Domain = append(more.ID, e.ID...), append(more.Visit, e.Visit...), append(more.Domain, e.Domain...)
			for c, v := range e.Columns {
				old := more.Columns[c]
				more.Columns[c] = events.Vector{Int: append(old.Int, v.Int...), Number: append(old.Number, v.Number...), Text: append(old.Text, v.Text...), Absent: append(old.Absent, v.Absent...)}
			}
		}
		tables[d] = more
	}
	return memory.New(people, tables)
}
