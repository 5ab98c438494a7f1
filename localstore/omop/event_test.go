package omop_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// world is a small random site: few persons, concepts and days, so that ties,
// duplicates and gaps are common.
type world struct {
	periods map[string]omop.ObservationPeriod
	events  []omop.Condition
	values  []omop.Measurement
}

func drawWorld(t *rapid.T) world {
	date := rapid.Map(rapid.Int32Range(0, 20), func(d int32) omop.Date { return omop.Date(15_000 + d) })
	persons := []string{"p0", "p1", "p2", "p3"}
	w := world{periods: map[string]omop.ObservationPeriod{}}
	for _, p := range persons[:rapid.IntRange(0, 4).Draw(t, "with a period")] {
		a, b := date.Draw(t, "a"), date.Draw(t, "b")
		w.periods[p] = omop.ObservationPeriod{Person: omop.NewKey(p), Start: min(a, b), End: max(a, b)}
	}
	for i := range rapid.IntRange(0, 25).Draw(t, "events") {
		r := rec(rapid.SampledFrom(persons).Draw(t, "p"), fmt.Sprint(i))
		r.Invalid = rapid.IntRange(0, 5).Draw(t, "invalid") == 0
		start := date.Draw(t, "start")
		w.events = append(w.events, omop.Condition{Record: r, ConceptID: rapid.Int64Range(1, 4).Draw(t, "concept"), Start: start})
		m := omop.Measurement{Record: r, ConceptID: rapid.Int64Range(1, 2).Draw(t, "what"), Start: start, UnitConceptID: rapid.Int64Range(1, 2).Draw(t, "unit")}
		if rapid.Bool().Draw(t, "timed") {
			m.StartTime = start.Time().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "h")) * time.Hour)
		}
		if rapid.IntRange(0, 5).Draw(t, "absent") > 0 {
			m.Number = ptr(float64(i)) // distinct, so that the chosen row shows
		}
		w.values = append(w.values, m)
	}
	return w
}

func (w world) batch() omop.Batch {
	b := omop.Batch{Mapper: "m", At: now, Conditions: w.events, Measurements: w.values}
	for _, p := range []string{"p0", "p1", "p2", "p3"} {
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(p), YearOfBirth: 1970, SourceValue: p})
	}
	for _, p := range slices.Sorted(maps.Keys(w.periods)) {
		b.Periods = append(b.Periods, w.periods[p])
	}
	return b
}

// keyText finds the name behind a key, which does not print.
func keyText(k omop.Key) string {
	for _, name := range []string{"p0", "p1", "p2", "p3"} {
		if omop.NewKey(name) == k {
			return name
		}
	}
	return ""
}

func TestOccurrencesAreWhatCountingRowByRowGives(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		rapid.Check(t, func(r *rapid.T) {
			w := drawWorld(r)
			bound := rapid.Ptr(rapid.Map(rapid.Int32Range(0, 20), func(d int32) omop.Date { return omop.Date(15_000 + d) }), true)
			e := omop.Event{
				Table: omop.ConditionTable, Concepts: rapid.SliceOfNDistinct(rapid.Int64Range(1, 5), 0, 3, rapid.ID).Draw(r, "concepts"),
				From: bound.Draw(r, "from"), To: bound.Draw(r, "to"),
			}
			inRolledBack(t, db, func(ctx context.Context, tx *sqldb.Tx) {
				_, err := s.Put(ctx, tx, w.batch())
				require.NoError(r, err)
				names := namesOf(r, ctx, s, tx)
				var wantDays, gotDays []string
				for _, c := range w.events {
					if !c.Invalid && (len(e.Concepts) == 0 || slices.Contains(e.Concepts, c.ConceptID)) &&
						(e.From == nil || *e.From <= c.Start) && (e.To == nil || c.Start <= *e.To) {
						wantDays = append(wantDays, fmt.Sprint(keyText(c.Person), c.Start))
					}
				}
				var before omop.Entry
				for x, err := range s.Occurrences(ctx, tx, e) {
					require.NoError(r, err)
					require.False(r, x.Person.Less(before.Person) || x.Person == before.Person && x.Date < before.Date, "in order")
					before = x
					gotDays = append(gotDays, fmt.Sprint(keyText(names[x.Person]), x.Date))
				}
				require.ElementsMatch(r, wantDays, gotDays)
			})
		})
	})
}

func TestValuesAreTheLatestOfEachPerson(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		rapid.Check(t, func(r *rapid.T) {
			w := drawWorld(r)
			q := omop.Quantity{
				Concept: 1, Units: rapid.SampledFrom([][]int64{nil, {1}, {1, 2}}).Draw(r, "units"),
				Low: rapid.Ptr(rapid.Float64Range(0, 25), true).Draw(r, "low"), High: rapid.Ptr(rapid.Float64Range(0, 25), true).Draw(r, "high"),
			}
			inRolledBack(t, db, func(ctx context.Context, tx *sqldb.Tx) {
				_, err := s.Put(ctx, tx, w.batch())
				require.NoError(r, err)
				names := namesOf(r, ctx, s, tx)
				got := map[omop.Key]omop.Measurement{}
				for v, err := range s.Values(ctx, tx, q) {
					require.NoError(r, err)
					_, twice := got[names[v.Person]]
					require.False(r, twice)
					got[names[v.Person]] = w.values[int(v.Number)]
					require.Equal(r, w.values[int(v.Number)].Start, v.Date)
					require.Equal(r, w.values[int(v.Number)].UnitConceptID, v.Unit)
				}
				last := map[omop.Key]float64{}
				every := 0
				for v, err := range s.AllValues(ctx, tx, q) {
					require.NoError(r, err)
					last[names[v.Person]] = v.Number
					every++
				}
				require.Len(r, last, len(got))
				for p, m := range got {
					require.Equal(r, *m.Number, last[p], "the last of all is the latest")
				}
				for _, m := range w.values {
					if m.Invalid || m.Number == nil || m.ConceptID != q.Concept || len(q.Units) > 0 && !slices.Contains(q.Units, m.UnitConceptID) ||
						q.Low != nil && *m.Number < *q.Low || q.High != nil && *m.Number > *q.High {
						for _, g := range got {
							require.NotSame(r, m.Number, g.Number)
						}
						continue
					}
					every--
					g, ok := got[m.Person]
					require.True(r, ok, "everyone who has a value")
					require.LessOrEqual(r, m.Start, g.Start)
					if m.Start == g.Start {
						require.False(r, m.StartTime.After(g.StartTime))
					}
				}
				require.Zero(r, every, "each value once")
			})
		})
	})
}

func namesOf(r *rapid.T, ctx context.Context, s *omop.Store, tx *sqldb.Tx) map[omop.PersonID]omop.Key {
	names := map[omop.PersonID]omop.Key{}
	for _, p := range []string{"p0", "p1", "p2", "p3"} {
		id, err := s.PersonByKey(ctx, tx, omop.NewKey(p))
		require.NoError(r, err)
		names[id] = omop.NewKey(p)
	}
	return names
}

// inRolledBack runs fn in a transaction of which nothing remains.
func inRolledBack(t testing.TB, db *sqldb.DB, fn func(context.Context, *sqldb.Tx)) {
	t.Helper()
	rollback := fmt.Errorf("roll back")
	require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		fn(t.Context(), tx)
		return rollback
	}), rollback)
}

// However rows are split over batches, and however often and in whatever order
// batches are put, the same rows are there in the end.
func TestPutDoesNotDependOnBatches(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		rapid.Check(t, func(r *rapid.T) {
			w := drawWorld(r)
			whole := w.batch()
			inRolledBack(t, db, func(ctx context.Context, tx *sqldb.Tx) {
				_, err := s.Put(ctx, tx, omop.Batch{Mapper: "m", At: now, Persons: whole.Persons})
				require.NoError(r, err)
				stored := 0
				for range rapid.IntRange(1, 4).Draw(r, "batches") {
					part := omop.Batch{Mapper: "m", At: now}
					for _, c := range whole.Conditions {
						for range rapid.IntRange(0, 2).Draw(r, "times") {
							part.Conditions = append(part.Conditions, c)
						}
					}
					part.Conditions = rapid.Permutation(part.Conditions).Draw(r, "order")
					res, err := s.Put(ctx, tx, part)
					require.NoError(r, err)
					require.Zero(r, res.Replaced)
					require.Equal(r, len(part.Conditions), res.Stored+res.Duplicates)
					stored += res.Stored
				}
				res, err := s.Put(ctx, tx, whole)
				require.NoError(r, err)
				require.Equal(r, len(whole.Conditions)+len(whole.Measurements), stored+res.Stored)
				counts, err := s.Counts(ctx, tx)
				require.NoError(r, err)
				require.EqualValues(r, len(whole.Conditions), counts[omop.ConditionTable])
				require.EqualValues(r, len(whole.Measurements), counts[omop.MeasurementTable])
			})
		})
	})
}

func TestOccurrencesOfEveryEventTable(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		for table, want := range map[omop.Table]string{
			omop.VisitTable: "2015-05-05", omop.ConditionTable: "2015-05-05", omop.DrugTable: "2015-05-06",
			omop.ProcedureTable: "2016-02-29", omop.MeasurementTable: "2015-05-05", omop.ObservationTable: "2015-05-05",
		} {
			got := collect(t, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Entry, error] {
				return s.Occurrences(ctx, tx, omop.Event{Table: table})
			})
			require.Len(t, got, 1, table.String())
			require.Equal(t, want, got[0].Date.String(), table.String())
		}
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			for _, bad := range []omop.Event{{}, {Table: omop.PersonTable}, {Table: omop.DeathTable}, {Table: 99}} {
				for _, err := range s.Occurrences(t.Context(), tx, bad) {
					require.Error(t, err)
				}
			}
			return nil
		}))
	})
}

// Without the index a cohort reads the whole table: see the measurements that
// the indexes were chosen by.
func TestSQLiteReadsCohortsThroughTheIndex(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db)
	put(t, db, s, ada())
	ctx := t.Context()
	for name, query := range map[string]func() (string, []any){
		"measurement_by_concept": func() (string, []any) { return omop.StatementOfQuantity(omop.Quantity{Concept: systolic}) },
		"condition_occurrence_by_concept": func() (string, []any) {
			return omop.StatementOfEvent(omop.Event{Table: omop.ConditionTable, Concepts: []int64{hypertension, diabetes}})
		},
	} {
		text, args := query()
		var plan strings.Builder
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			rows, err := tx.Query(ctx, "EXPLAIN QUERY PLAN "+text, args...)
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int
				var detail string
				require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
				plan.WriteString(detail + "\n")
			}
			return rows.Err()
		}))
		require.Contains(t, plan.String(), "INDEX "+name)
	}
}
