package eventindex

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// words is a vocabulary in which every drug has two ingredients.
type words struct{ version string }

func (w *words) Version(context.Context) (string, error) { return w.version, nil }
func (*words) Hierarchy(context.Context) (bool, error)   { return true, nil }
func (*words) Ingredients(_ context.Context, drugs []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	for _, d := range drugs {
		out[d] = []int64{900 + d%2, 902}
	}
	return out, nil
}

func newStore(t require.TestingT, db *sqldb.DB) *omop.Store {
	s, err := omop.Open(context.Background(), db)
	require.NoError(t, err)
	return s
}

func openIndex(t require.TestingT, dir string, db *sqldb.DB, s *omop.Store) *Index {
	x, err := Open(Config{Dir: dir, DB: db, Store: s, Vocabulary: &words{"1"}})
	require.NoError(t, err)
	return x
}

func put(t require.TestingT, db *sqldb.DB, s *omop.Store, b omop.Batch) {
	require.NoError(t, db.Write(context.Background(), func(tx *sqldb.Tx) error {
		_, err := s.Put(context.Background(), tx, b)
		return err
	}))
}

func ptr[T any](v T) *T { return &v }

// content is all that a snapshot says.
type content struct {
	People *events.People
	Events map[cohort.Domain]*events.Events
}

func contentOf(t require.TestingT, s *Snapshot) content {
	c := content{s.People(), map[cohort.Domain]*events.Events{}}
	for _, d := range domains {
		columns := []events.Column{}
		for _, a := range d.attributes {
			columns = append(columns, a.name)
		}
		e, err := s.Events(context.Background(), d.name, nil, columns...)
		require.NoError(t, err)
		for name, v := range e.Columns { // NaN is not equal to itself
			for i, x := range v.Number {
				if math.IsNaN(x) {
					v.Number[i] = -math.MaxFloat64
				}
			}
			if len(v.Int)+len(v.Number)+len(v.Text) == 0 {
				delete(e.Columns, name)
			}
		}
		if len(e.ID) > 0 {
			c.Events[d.name] = e
		}
	}
	return c
}

func snapshotOf(t require.TestingT, x *Index) *Snapshot {
	s, err := x.Snapshot(context.Background())
	require.NoError(t, err)
	return s
}

// fresh is what an index says that is built now.
func fresh(t require.TestingT, db *sqldb.DB, s *omop.Store) content {
	dir, err := os.MkdirTemp("", "eventindex-test-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	x := openIndex(t, dir, db, s)
	defer x.Close()
	snap := snapshotOf(t, x)
	defer snap.Close()
	return contentOf(t, snap)
}

// history draws what a file says of some persons.
func history(t *rapid.T, file byte) omop.Batch {
	b := omop.Batch{Raw: [32]byte{file}, Mapper: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "mapper"), At: now, Position: int64(file)}
	for p := range rapid.IntRange(1, 5).Draw(t, "persons") {
		name := fmt.Sprint("p", p)
		key := omop.NewKey(name)
		b.Persons = append(b.Persons, omop.Person{Key: key, GenderConceptID: 8507, YearOfBirth: 1950 + rapid.IntRange(0, 1).Draw(t, "year")})
		rec := func(kind string, i int) omop.Record {
			return omop.Record{Key: omop.NewKey(fmt.Sprint(name, kind, i)), Person: key, Visit: omop.NewKey(name + "v0"), Invalid: rapid.IntRange(0, 9).Draw(t, "invalid") == 0}
		}
		day := func() omop.Date { return omop.Date(rapid.IntRange(15000, 15200).Draw(t, "day")) }
		for i := range rapid.IntRange(0, 2).Draw(t, "visits") {
			b.Visits = append(b.Visits, omop.Visit{Record: rec("v", i), ConceptID: 9201 + int64(i), Start: day(), End: 15300, TypeConceptID: 1})
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "conditions") {
			b.Conditions = append(b.Conditions, omop.Condition{Record: rec("c", i), ConceptID: int64(rapid.IntRange(0, 2).Draw(t, "condition")), Start: day(), TypeConceptID: 1, StopReason: rapid.SampledFrom([]string{"", "x,;y"}).Draw(t, "reason")})
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "drugs") {
			start := day()
			b.Drugs = append(b.Drugs, omop.Drug{Record: rec("d", i), ConceptID: int64(rapid.IntRange(100, 102).Draw(t, "drug")), Start: start, End: start + 3, DaysSupply: ptr(3), TypeConceptID: 1})
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "measurements") {
			b.Measurements = append(b.Measurements, omop.Measurement{Record: rec("m", i), ConceptID: int64(rapid.IntRange(1, 3).Draw(t, "measured")), Start: day(), TypeConceptID: 1, Number: ptr(rapid.SampledFrom([]float64{0.1, 120, 1.0 / 3}).Draw(t, "value")), UnitConceptID: 8876})
		}
		if rapid.Bool().Draw(t, "dead") {
			b.Deaths = append(b.Deaths, omop.Death{Person: key, Date: day()})
		}
		if rapid.IntRange(0, 3).Draw(t, "stated") == 0 {
			b.Stated = append(b.Stated, omop.StatedPeriod{Record: rec("s", 0), Start: 15000, End: day(), TypeConceptID: 1})
		}
		b.Periods = append(b.Periods, omop.ObservationPeriod{Person: key, Start: day(), End: 15400, TypeConceptID: 1})
	}
	return b
}

// change does one thing to a store.
func change(t *rapid.T, db *sqldb.DB, s *omop.Store) {
	ctx := context.Background()
	b := history(t, byte(rapid.IntRange(1, 4).Draw(t, "file")))
	if rapid.IntRange(0, 4).Draw(t, "merge") == 0 {
		b.Merges = []omop.Merge{{Survivor: omop.NewKey("p0"), Retired: omop.NewKey(fmt.Sprint("p", rapid.IntRange(1, 4).Draw(t, "retired")))}}
	}
	pass := omop.Pass{Raw: b.Raw, Mapper: b.Mapper, Position: b.Position}
	sweep := rapid.Bool().Draw(t, "sweep")
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := s.Put(ctx, tx, b); err != nil || !sweep {
			return err
		}
		_, err := s.Sweep(ctx, tx, pass, func(context.Context, *sqldb.Tx, []omop.PersonID) ([]omop.PersonID, error) { return nil, nil })
		return err
	}))
}

func TestAnIndexThatFollowsIsOneBuiltAfresh(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStore(t, db)
		dir := t.TempDir()
		x := openIndex(t, dir, db, s)
		defer func() { require.NoError(t, x.Close()) }()
		rapid.Check(t, func(t *rapid.T) { // each goes on with the store of the one before
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				change(t, db, s)
			}
			if rapid.Bool().Draw(t, "merge") {
				require.NoError(t, x.merge(context.Background(), rapid.IntRange(1, 3).Draw(t, "least")))
			}
			if rapid.Bool().Draw(t, "restart") {
				require.NoError(t, x.Close())
				x = openIndex(t, dir, db, s)
			}
			snap := snapshotOf(t, x)
			defer snap.Close()
			if rapid.IntRange(0, 4).Draw(t, "look") == 0 { // building afresh takes most of the time
				require.Equal(t, fresh(t, db, s), contentOf(t, snap))
			}
		})
	})
}

func adam() omop.Batch {
	rec := func(name string) omop.Record {
		return omop.Record{Key: omop.NewKey(name), Person: omop.NewKey("adam"), Visit: omop.NewKey("v")}
	}
	return omop.Batch{
		Raw: [32]byte{1}, Mapper: "m", At: now, Position: 1,
		Persons: []omop.Person{{Key: omop.NewKey("adam"), GenderConceptID: 8507, YearOfBirth: 1950, MonthOfBirth: 2, RaceConceptID: 8527}},
		Visits:  []omop.Visit{{Record: rec("v"), ConceptID: 9201, Start: 15000, End: 15002, TypeConceptID: 1}},
		Measurements: []omop.Measurement{
			{Record: rec("m1"), ConceptID: 3, Start: 15001, TypeConceptID: 1, Number: ptr(1.0 / 3), UnitConceptID: 8876},
			{Record: rec("m2"), ConceptID: 2, Start: 15001, TypeConceptID: 1},
		},
		Periods: []omop.ObservationPeriod{{Person: omop.NewKey("adam"), Start: 15000, End: 15002, TypeConceptID: 32817}},
	}
}

func TestEventsAreAsTheyWereStored(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStore(t, db)
		put(t, db, s, adam())
		x := openIndex(t, t.TempDir(), db, s)
		defer x.Close()
		snap := snapshotOf(t, x)
		defer snap.Close()
		p := snap.People()
		require.Len(t, p.ID, 1)
		require.Equal(t, []any{int32(1950), int8(2), int8(0), int64(8507), int64(8527), events.Null},
			[]any{p.YearOfBirth[0], p.BirthMonth[0], p.BirthDay[0], p.Gender[0], p.Race[0], p.GenderSource[0]})
		require.Equal(t, []int32{0, 1}, p.Periods)
		require.Equal(t, []events.Day{15000, 15002}, []events.Day{p.PeriodStart[0], p.PeriodEnd[0]})

		e, err := snap.Events(t.Context(), cohort.Measurement, []int64{3, 2, 3, 7}, "value_as_number", visitConcept, visitID, "unit_concept_id")
		require.NoError(t, err)
		at := slices.Index(e.Domain, 3)
		require.Len(t, e.Domain, 2)
		require.Equal(t, []float64{1.0 / 3}, e.Columns["value_as_number"].Number[at:at+1], "to the last bit")
		require.True(t, math.IsNaN(e.Columns["value_as_number"].Number[1-at]))
		require.Equal(t, []int64{9201, 9201}, e.Columns[visitConcept].Int)
		require.Equal(t, e.Visit, e.Columns[visitID].Int)
		require.Equal(t, int64(8876), e.Columns["unit_concept_id"].Int[at])
		require.Equal(t, events.NoDay, e.End[0])

		v, err := snap.Events(t.Context(), cohort.VisitOccurrence, nil)
		require.NoError(t, err)
		require.Equal(t, v.ID, v.Visit, "a visit is its own")

		var none events.NoTableError
		_, err = snap.Events(t.Context(), cohort.DoseEra, nil)
		require.ErrorAs(t, err, &none)
		require.Equal(t, "DoseEra", none.Name)
		_, err = snap.Events(t.Context(), cohort.Measurement, nil, "effective_drug_dose")
		require.ErrorAs(t, err, &none)
	})
}

func TestASnapshotStaysAsItIs(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	put(t, db, s, adam())
	x := openIndex(t, t.TempDir(), db, s)
	before := snapshotOf(t, x)
	was := contentOf(t, before)
	again := snapshotOf(t, x)
	require.Same(t, before, again, "nothing has changed")
	again.Close()

	more := adam()
	more.Raw, more.Position = [32]byte{2}, 2
	more.Measurements[0].Number = ptr(5.0)
	put(t, db, s, more)
	after := snapshotOf(t, x)
	require.NotEqual(t, before.State(), after.State())
	require.NotEqual(t, was, contentOf(t, after))
	require.NoError(t, x.merge(t.Context(), 1))
	require.Equal(t, was, contentOf(t, before), "also when its files are gone from the folder")
	before.Close()
	after.Close()
	require.NoError(t, x.Close())
}

var errKilled = errors.New("killed")

// TestAKillLeavesAUsableIndex ends at every step, as a process does that is killed, and
// goes on with what is then in the folder.
func TestAKillLeavesAUsableIndex(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	dir := t.TempDir()
	for round, act := range []func(x *Index) error{
		func(x *Index) error { _, err := x.Snapshot(t.Context()); return err }, // build
		func(x *Index) error { _, err := x.Snapshot(t.Context()); return err }, // update
		func(x *Index) error { return x.merge(t.Context(), 1) },
	} {
		b := adam()
		b.Raw, b.Position = [32]byte{byte(round)}, int64(round)
		b.Measurements[0].Number = ptr(float64(round))
		if round < 2 {
			put(t, db, s, b)
		}
		want := fresh(t, db, s)
		killed := true
		for step := 1; killed; step++ {
			x := openIndex(t, dir, db, s)
			left := step
			killed = false
			x.fault = func(string) error {
				if left--; left == 0 {
					killed = true
				}
				if killed {
					return errKilled
				}
				return nil
			}
			err := act(x)
			if killed {
				require.ErrorIs(t, err, errKilled)
			} else {
				require.NoError(t, err)
				require.Greater(t, step, 3, "there are steps")
			}
			if round > 0 || !killed { // else the next build would begin with this one's end
				y := openIndex(t, copyFolder(t, dir), db, s)
				snap := snapshotOf(t, y)
				require.Equal(t, want, contentOf(t, snap), "round %d, step %d", round, step)
				snap.Close()
				require.NoError(t, y.Close())
			}
			require.NoError(t, x.Close())
		}
	}
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 2, "a manifest and a segment: nothing is left of what was broken off")
	for _, e := range list {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}
