package report_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// BenchmarkRun makes the report of 1,000,000 measurements of 10,000 persons in 20
// variables, with a visit each.
func BenchmarkRun(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b, open(b))
			fill(s, 10_000, 100)
			require.NoError(b, s.store.Refresh(b.Context())) // as a load does at its end
			for b.Loop() {
				s.report()
			}
			b.ReportMetric(float64(b.Elapsed().Seconds())/float64(b.N), "s/run")
		})
	}
}

// fill stores persons with measurements each, of values with one to three decimals.
func fill(s *site, persons, measurements int) {
	rng := rand.New(rand.NewPCG(1, 2))
	today := sqldb.DateOf(now)
	for from := 0; from < persons; from += 100 {
		var b omop.Batch
		for p := from; p < min(from+100, persons); p++ {
			person := omop.NewKey(fmt.Sprint("p", p))
			visit := omop.NewKey(fmt.Sprint("v", p))
			b.Persons = append(b.Persons, omop.Person{Key: person, GenderConceptID: 8507, YearOfBirth: 1950, MonthOfBirth: 3, DayOfBirth: 4})
			b.Visits = append(b.Visits, omop.Visit{Record: omop.Record{Key: visit, Person: person}, ConceptID: 9202, Start: today - 1000, End: today})
			b.Periods = append(b.Periods, omop.ObservationPeriod{Person: person, Start: today - 1000, End: today})
			for i := range measurements {
				v := 80 + 20*rng.NormFloat64()
				v = float64(int(v*1000)) / 1000
				b.Measurements = append(b.Measurements, omop.Measurement{
					Record:    omop.Record{Key: omop.NewKey(fmt.Sprint("m", i)), Person: person, Visit: visit},
					ConceptID: 3025315 + int64(i%20), Start: today - omop.Date(rng.IntN(1000)), Number: &v, UnitConceptID: 9529, UnitSource: "kg",
					SourceValue: "29463-7",
				})
			}
		}
		s.put(b)
	}
	require.EqualValues(s.t, persons*measurements, s.scalar("SELECT count(*) FROM measurement"))
}
