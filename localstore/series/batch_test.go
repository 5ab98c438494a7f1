package series_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestAppendRefusesPointsOneByOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), series.Config{})
	r := s.append(t, s.batch(1, []int64{1, 2, series.LastTime + 1, series.FirstTime - 1, 5}, math.NaN(), math.Inf(-1), 3, 4, 5))
	require.Equal(t, 1, r.Landed)
	require.Equal(t, []series.Refusal{
		{Index: 0, Rule: series.NotFinite},
		{Index: 1, Rule: series.NotFinite},
		{Index: 2, Rule: series.TimeRange},
		{Index: 3, Rule: series.TimeRange},
	}, r.Refused)
	require.Len(t, s.points(t, 1, 0, forever), 1)
	none := s.append(t, s.batch(1, []int64{1}, math.NaN()))
	require.Zero(t, none.Landed)
	require.True(t, s.outcome(t, none.Load).Settled, "nothing of it waits")
}

func TestAppendRefusesABatchThatIsNone(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), series.Config{})
	for name, spoil := range map[string]func(*series.Batch){
		"no mapper":          func(b *series.Batch) { b.Origin.Mapper = "" },
		"no time":            func(b *series.Batch) { b.At = time.Time{} },
		"no source":          func(b *series.Batch) { b.Source = 0 },
		"short column":       func(b *series.Batch) { b.Values = b.Values[:1] },
		"short flags":        func(b *series.Batch) { b.Flags = make([]series.Flags, 1) },
		"unknown flag":       func(b *series.Batch) { b.Flags = []series.Flags{0, 4} },
		"unlisted person":    func(b *series.Batch) { b.Person[1] = 1 },
		"negative variable":  func(b *series.Batch) { b.Variable[0] = -1 },
		"more than MaxBatch": func(b *series.Batch) { b.Times = make([]int64, series.MaxBatch+1) },
	} {
		b := s.batch(1, []int64{1, 2}, 3, 4)
		spoil(&b)
		require.Error(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.store.Append(t.Context(), tx, b)
			return err
		}), name)
	}
	require.Empty(t, s.points(t, 1, 0, forever))
}

func TestAppendIsPartOfTheCallersTransaction(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{})
		stop := fmt.Errorf("the job failed")
		require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.store.Append(t.Context(), tx, s.batch(1, []int64{1}, 2))
			require.NoError(t, err)
			return stop
		}), stop)
		require.Empty(t, s.points(t, 1, 0, forever))
		n, err := s.store.Compact(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestLineageAndFlagsStayWithThePoint(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{})
		b := s.batch(1, []int64{1000, 2000}, 60, 300)
		b.Origin = series.Origin{Raw: [32]byte{7}, Mapper: "csv/3", Pointer: "lines 2-3"}
		b.Flags = []series.Flags{0, series.Invalid | series.Outlier}
		r := s.append(t, b)
		s.append(t, s.batch(1, []int64{3000}, 61))
		s.compact(t)
		points := s.points(t, 1, 0, forever)
		require.Len(t, points, 3)
		require.Equal(t, r.Load, points[1].Load)
		require.NotEqual(t, r.Load, points[2].Load)
		require.Equal(t, series.Invalid|series.Outlier, points[1].Flags)
		o := s.outcome(t, points[1].Load)
		require.Equal(t, b.Origin, o.Origin)
		require.True(t, o.At.Equal(now))
	})
}

func TestVariablesAndSourcesKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{})
		ctx := t.Context()
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			v := series.Variable{System: "http://loinc.org", Code: "8867-4", Unit: "/min"}
			again, err := s.store.Define(ctx, tx, v)
			require.NoError(t, err)
			require.Equal(t, s.variable, again)
			all, err := s.store.Variables(ctx, tx)
			require.NoError(t, err)
			require.Equal(t, map[series.VariableID]series.Variable{again: v}, all, "another concept replaces the earlier one")
			v.Unit = "Hz"
			other, err := s.store.Define(ctx, tx, v)
			require.NoError(t, err)
			require.NotEqual(t, again, other, "another unit is another variable")
			same, err := s.store.Source(ctx, tx, "watch")
			require.NoError(t, err)
			require.Equal(t, s.source, same)
			sources, err := s.store.Sources(ctx, tx)
			require.NoError(t, err)
			require.Equal(t, map[series.SourceID]string{same: "watch"}, sources)
			_, err = s.store.Define(ctx, tx, series.Variable{})
			require.Error(t, err)
			_, err = s.store.Source(ctx, tx, "")
			require.Error(t, err)
			return nil
		}))
	})
}

func TestSummariesAndBacklogCountWhatIsThere(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{})
		s.append(t, s.batch(1, []int64{1000, 2000}, 60, 61))
		s.append(t, s.batch(2, []int64{500}, 62))
		read := func() (list []series.Summary, waits series.Backlog) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
				if list, err = s.store.Summaries(t.Context(), tx); err != nil {
					return err
				}
				waits, err = s.store.Backlog(t.Context(), tx)
				return err
			}))
			return list, waits
		}
		list, waits := read()
		require.Empty(t, list)
		require.EqualValues(t, 2, waits.Loads)
		require.EqualValues(t, 3, waits.Points)
		require.Positive(t, waits.Bytes)
		s.compact(t)
		list, waits = read()
		require.Zero(t, waits)
		require.Len(t, list, 1)
		require.Positive(t, list[0].Bytes)
		list[0].Bytes = 0
		require.Equal(t, series.Summary{Variable: s.variable, Persons: 2, Series: 2, Points: 3, First: 500, Last: 2000}, list[0])
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	for name, cfg := range map[string]series.Config{
		"partition of half an hour": {Partition: 90 * time.Minute},
		"partition of two years":    {Partition: 2 * 366 * 24 * time.Hour},
		"bite of ten":               {Bite: 10},
		"negative retention":        {Retention: series.Retention{Raw: -1}},
		"minutes before points":     {Retention: series.Retention{Raw: 2 * time.Hour, Minute: time.Hour}},
		"hours without minutes":     {Retention: series.Retention{Raw: time.Hour, Hour: 2 * time.Hour}},
	} {
		_, err := series.Open(t.Context(), db, cfg)
		require.Error(t, err, name)
	}
	_, err := series.Open(t.Context(), db, series.Config{Partition: time.Hour})
	require.NoError(t, err)
	_, err = series.Open(t.Context(), db, series.Config{Partition: 2 * time.Hour})
	require.ErrorContains(t, err, "partition of 1h0m0s")
}

func TestPatientDataNeitherPrintsNorMarshals(t *testing.T) {
	t.Parallel()
	point := series.Point{Time: 4711, Value: 4711}
	for name, v := range map[string]any{
		"point": point, "pointer": &point, "list": []series.Point{point},
		"aggregate": series.Aggregate{N: 4711, Max: 4711},
		"batch":     series.Batch{Persons: []omop.PersonID{person(4711)}, Values: []float64{4711}, Times: []int64{4711}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, v), "4711", "%s %s", name, verb)
		}
		_, err := json.Marshal(v)
		require.Error(t, err, name)
		require.Error(t, gob.NewEncoder(&bytes.Buffer{}).Encode(v), name)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		require.NotContains(t, log.String(), "4711", name)
	}
}
