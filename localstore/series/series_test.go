package series_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const forever = int64(1) << 62

// person returns the person with that number.
func person(n int64) omop.PersonID {
	var p omop.PersonID
	if err := p.Scan(n); err != nil {
		panic(err)
	}
	return p
}

// site is a store with a variable and a source.
type site struct {
	db       *sqldb.DB
	store    *series.Store
	variable series.VariableID
	source   series.SourceID
}

func newSite(t testing.TB, db *sqldb.DB, cfg series.Config) *site {
	t.Helper()
	ctx := t.Context()
	store, err := series.Open(ctx, db, cfg)
	require.NoError(t, err)
	s := &site{db: db, store: store}
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) (err error) {
		if s.variable, err = store.Define(ctx, tx, series.Variable{ConceptID: 3027018, System: "http://loinc.org", Code: "8867-4", Unit: "/min"}); err != nil {
			return err
		}
		s.source, err = store.Source(ctx, tx, "watch")
		return err
	}))
	return s
}

// batch is a batch of one person with a value at each time.
func (s *site) batch(n int64, times []int64, values ...float64) series.Batch {
	return series.Batch{
		Origin: series.Origin{Raw: [32]byte{1}, Mapper: "test/1", Pointer: "lines 1-2"}, Source: s.source, At: now,
		Persons: []omop.PersonID{person(n)}, Variables: []series.VariableID{s.variable},
		Person: make([]int32, len(times)), Variable: make([]int32, len(times)), Times: times, Values: values,
	}
}

func (s *site) append(t testing.TB, b series.Batch) (r series.Result) {
	t.Helper()
	require.NoError(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) (err error) {
		r, err = s.store.Append(t.Context(), tx, b)
		return err
	}))
	return r
}

// compact compacts until nothing waits.
func (s *site) compact(t testing.TB) {
	t.Helper()
	for {
		n, err := s.store.Compact(t.Context())
		require.NoError(t, err)
		if n == 0 {
			return
		}
	}
}

func (s *site) points(t testing.TB, n, from, to int64) (out []series.Point) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for p, err := range s.store.Points(t.Context(), tx, person(n), s.variable, from, to) {
			require.NoError(t, err)
			out = append(out, p)
		}
		return nil
	}))
	return out
}

func (s *site) outcome(t testing.TB, id series.LoadID) (o series.Outcome) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		o, err = s.store.Outcome(t.Context(), tx, id)
		return err
	}))
	return o
}

func TestPointsAreReadBeforeAndAfterCompaction(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{})
		first := s.append(t, s.batch(7, []int64{1000, 2000, 3000}, 60, 61.5, 62))
		second := s.append(t, s.batch(7, []int64{4000, 2000, 1000}, 63, 61.5, 59))
		want := []series.Point{
			{Time: 1000, Value: 59, Load: second.Load, Source: s.source},
			{Time: 2000, Value: 61.5, Load: first.Load, Source: s.source},
			{Time: 3000, Value: 62, Load: first.Load, Source: s.source},
			{Time: 4000, Value: 63, Load: second.Load, Source: s.source},
		}
		landed := s.points(t, 7, 0, forever)
		require.Len(t, landed, 4)
		for i := range want {
			require.Equal(t, want[i].Value, landed[i].Value)
		}
		require.False(t, s.outcome(t, first.Load).Settled)
		s.compact(t)
		require.Equal(t, want, s.points(t, 7, 0, forever))
		require.Equal(t, want[1:3], s.points(t, 7, 2000, 4000), "from is in, to is not")
		require.Empty(t, s.points(t, 8, 0, forever))
		o := s.outcome(t, second.Load)
		require.True(t, o.Settled)
		require.Equal(t, [3]int64{1, 1, 1}, [3]int64{o.Stored, o.Replaced, o.Duplicates})
	})
}

func TestTiersMoveByPartition(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{Partition: time.Hour, Retention: series.Retention{Raw: time.Hour, Minute: 3 * time.Hour, Hour: 5 * time.Hour}})
		const hour = int64(3_600_000)
		s.append(t, s.batch(1, []int64{0, 1000, hour, 2 * hour, 3 * hour}, 1, 3, 5, 7, 9))
		for _, step := range []struct {
			at     time.Duration
			points int
			widths []int64
		}{
			{1 * time.Hour, 5, nil},
			{4 * time.Hour, 1, []int64{hour, 60_000, 60_000}}, // the first partition is older than Minute
			{5 * time.Hour, 0, []int64{hour, hour, 60_000, 60_000}},
			{7 * time.Hour, 0, []int64{hour, hour}}, // the first two are older than Hour
			{9 * time.Hour, 0, nil},
		} {
			require.NoError(t, s.store.Retain(t.Context(), time.UnixMilli(0).Add(step.at)))
			require.Len(t, s.points(t, 1, 0, forever), step.points, step.at)
			var widths []int64
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				for a, err := range s.store.Aggregates(t.Context(), tx, person(1), s.variable, 0, forever) {
					require.NoError(t, err)
					widths = append(widths, a.Width)
					if a.Time == 0 {
						require.True(t, a == series.Aggregate{Width: a.Width, N: 2, Min: 1, Max: 3, Mean: 2, First: 1, Last: 3, Source: s.source})
					}
				}
				return nil
			}))
			require.Equal(t, step.widths, widths, step.at)
		}
	})
}
