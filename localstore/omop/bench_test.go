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
		b.Run(name+"/entries", func(b *testing.B) {
			for b.Loop() {
				require.Len(b, collect(b, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Entry, error] {
					return s.Entries(ctx, tx, omop.Event{Table: omop.MeasurementTable, Concepts: []int64{systolic, systolic + 1}, PriorDays: 30})
				}), 1000)
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
