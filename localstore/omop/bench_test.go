package omop_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var engines = map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres}

// patients is a batch of ten patients with a hundred measurements each of ten
// kinds, as a file of a clinic may hold them.
func patients(from int) omop.Batch {
	b := omop.Batch{Mapper: "bench", At: now}
	for p := from; p < from+10; p++ {
		name := fmt.Sprint(p)
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(name), GenderConceptID: female, YearOfBirth: 1950})
		b.Periods = append(b.Periods, omop.ObservationPeriod{Person: omop.NewKey(name), Start: day("2010-01-01"), End: day("2020-01-01")})
		for i := range 100 {
			b.Measurements = append(b.Measurements, omop.Measurement{
				Record: rec(name, fmt.Sprint(i)), ConceptID: systolic + int64(i%10), Start: day("2010-01-01") + omop.Date(30*i/10),
				Number: ptr(float64(100 + (p+i)%60)), UnitConceptID: mmHg, UnitSource: "mm[Hg]", SourceValue: "8480-6", TypeConceptID: ehr,
			})
		}
	}
	return b
}

// BenchmarkPut stores new rows with lineage, a transaction for each thousand.
func BenchmarkPut(b *testing.B) {
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			s, p := openStore(b, db), 0
			for b.Loop() {
				put(b, db, s, patients(p))
				p += 10
			}
			b.ReportMetric(float64(100*p)/b.Elapsed().Seconds(), "rows/s")
		})
		b.Run(name+"/again", func(b *testing.B) {
			db := open(b)
			s, n := openStore(b, db), 0
			put(b, db, s, patients(0))
			for b.Loop() {
				put(b, db, s, patients(0))
				n += 1000
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func openStore(b *testing.B, db *sqldb.DB) *omop.Store {
	b.Helper()
	s, err := omop.Open(b.Context(), db)
	require.NoError(b, err)
	return s
}

// BenchmarkQuestion asks about 100,000 measurements of 1,000 persons.
func BenchmarkQuestion(b *testing.B) {
	for name, open := range engines {
		db := open(b)
		s := openStore(b, db)
		for p := 0; p < 1000; p += 10 {
			put(b, db, s, patients(p))
		}
		b.Run(name+"/occurrences", func(b *testing.B) {
			for b.Loop() {
				require.NotEmpty(b, collect(b, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Entry, error] {
					return s.Occurrences(ctx, tx, omop.Event{Table: omop.MeasurementTable, Concepts: []int64{systolic}})
				}))
			}
		})
		b.Run(name+"/values", func(b *testing.B) {
			for b.Loop() {
				require.Len(b, collect(b, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Value, error] {
					return s.Values(ctx, tx, omop.Quantity{Concept: systolic, Units: []int64{mmHg}})
				}), 1000)
			}
		})
	}
}

// visited is a batch of patients whose rows of several tables lie between each other, as
// those of a FHIR export do. It has 100 rows without periods.
func visited(from, n int) omop.Batch {
	var b omop.Batch
	for p := from; p < from+n; p++ {
		name := fmt.Sprint(p)
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(name), GenderConceptID: female, YearOfBirth: 1950})
		b.Periods = append(b.Periods, omop.ObservationPeriod{Person: omop.NewKey(name), Start: day("2010-01-01"), End: day("2020-01-01")})
		for i := range 9 {
			on := day("2010-01-01") + omop.Date(30*i)
			b.Visits = append(b.Visits, omop.Visit{Record: rec(name, fmt.Sprint("v", i)), ConceptID: 9202, Start: on, End: on, TypeConceptID: ehr})
		}
		for i := range 20 {
			b.Conditions = append(b.Conditions, omop.Condition{Record: rec(name, fmt.Sprint("c", i)), ConceptID: 201826, Start: day("2011-01-01") + omop.Date(i), TypeConceptID: ehr})
		}
		for i := range 70 {
			b.Measurements = append(b.Measurements, omop.Measurement{Record: rec(name, fmt.Sprint("m", i)), ConceptID: systolic, Start: day("2012-01-01") + omop.Date(i), Number: ptr(120.0), UnitConceptID: mmHg, TypeConceptID: ehr})
		}
	}
	return b
}

// BenchmarkSweep removes all that a mapper has made of a file and another no longer does.
// The time of a row must not depend on how many there are.
func BenchmarkSweep(b *testing.B) {
	for name, open := range engines {
		for _, rows := range []int{10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprint(name, "/", rows), func(b *testing.B) {
				db := open(b)
				s := openStore(b, db)
				for from := 0; from < rows/100; from += 10 {
					put(b, db, s, of(1, "a", visited(from, 10)))
				}
				put(b, db, s, of(1, "b", visited(rows, 1)))
				var w omop.Swept
				b.ResetTimer()
				require.NoError(b, db.Write(b.Context(), func(tx *sqldb.Tx) (err error) {
					w, err = s.Sweep(b.Context(), tx, omop.Pass{Raw: [32]byte{1}, Mapper: "b", Position: 1},
						func(context.Context, *sqldb.Tx, []omop.PersonID) ([]omop.PersonID, error) { return nil, nil })
					return err
				}))
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rows), "us/row")
				require.EqualValues(b, rows, w.Rows)
			})
		}
	}
}
