package omop_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// changedSince returns who has changed, and the state that then is.
func changedSince(t require.TestingT, db *sqldb.DB, s *omop.Store, since omop.State) (now omop.State, changed []int64, err error) {
	err = db.Read(context.Background(), func(tx *sqldb.Tx) (err error) {
		now, changed, err = s.ChangedSince(context.Background(), tx, since)
		return err
	})
	return now, changed, err
}

func stateOf(t require.TestingT, db *sqldb.DB, s *omop.Store) (now omop.State) {
	require.NoError(t, db.Read(context.Background(), func(tx *sqldb.Tx) (err error) {
		now, err = s.State(context.Background(), tx)
		return err
	}))
	return now
}

// watched notes by triggers of the database whose rows are written.
func watched(t *testing.T, db *sqldb.DB) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "CREATE TABLE written (person_id INTEGER)")
		for _, table := range []string{
			"person", "visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation", "death", "observation_period",
			"device_exposure", "specimen", "visit_detail", "payer_plan_period",
		} {
			for act, rows := range map[string][]string{"INSERT": {"NEW"}, "DELETE": {"OLD"}, "UPDATE": {"OLD", "NEW"}} {
				statement := "CREATE TRIGGER watch_" + table + act + " AFTER " + act + " ON " + table + " BEGIN "
				for _, row := range rows {
					statement += "INSERT INTO written VALUES (" + row + ".person_id); "
				}
				if err == nil {
					_, err = tx.Exec(t.Context(), statement+"END")
				}
			}
		}
		return err
	}))
}

// written returns whose rows were written since the call before.
func written(t require.TestingT, db *sqldb.DB) (ids []int64) {
	require.NoError(t, db.Write(context.Background(), func(tx *sqldb.Tx) error {
		err := tx.Each(context.Background(), "SELECT DISTINCT person_id FROM written ORDER BY 1", nil, func(rows *sqldb.Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		if err == nil {
			_, err = tx.Exec(context.Background(), "DELETE FROM written")
		}
		return err
	}))
	return ids
}

// TestChangesAreNoted: of everyone of whom a row was written, whoever wrote it.
func TestChangesAreNoted(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db)
	watched(t, db)
	rapid.Check(t, func(t *rapid.T) { // each goes on with the store of the one before
		b := omop.Batch{Mapper: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "mapper"), At: now, Position: int64(rapid.IntRange(1, 3).Draw(t, "file"))}
		b.Raw[0] = byte(b.Position)
		if rapid.Bool().Draw(t, "site") {
			specialty := rapid.IntRange(1, 3).Draw(t, "specialty")
			b.Locations = []omop.Location{{Record: omop.Record{Key: omop.NewKey("l")}, State: "MA"}}
			b.CareSites = []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("c")}, Location: omop.NewKey("l"), PlaceConceptID: &specialty}}
			b.Providers = []omop.Provider{{Record: omop.Record{Key: omop.NewKey("d"), CareSite: omop.NewKey("c")}, SpecialtyConceptID: &specialty}}
		}
		for p := range rapid.IntRange(1, 4).Draw(t, "persons") {
			name := fmt.Sprint("p", p)
			day := func() omop.Date { return omop.Date(rapid.IntRange(15000, 15010).Draw(t, "day")) }
			b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(name), YearOfBirth: 1950})
			if rapid.Bool().Draw(t, "visit") {
				at := rec(name, "v")
				at.Provider, at.CareSite = omop.NewKey("d"), omop.NewKey("c")
				b.Visits = append(b.Visits, omop.Visit{Record: at, ConceptID: 9202, Start: day(), End: 15010, TypeConceptID: ehr})
			}
			for i := range rapid.IntRange(0, 2).Draw(t, "conditions") {
				c := omop.Condition{Record: rec(name, fmt.Sprint(i)), ConceptID: hypertension, Start: day(), TypeConceptID: ehr}
				c.Visit, c.Provider = omop.NewKey("v"), omop.NewKey("d")
				b.Conditions = append(b.Conditions, c)
			}
			if rapid.Bool().Draw(t, "more") {
				in := rec(name, "x")
				in.Visit = omop.NewKey("v")
				b.Devices = append(b.Devices, omop.Device{Record: in, Start: day()})
				b.Specimens = append(b.Specimens, omop.Specimen{Record: rec(name, "x"), Start: day()})
				b.VisitDetails = append(b.VisitDetails, omop.VisitDetail{Record: in, Start: day(), End: 15010})
				b.PayerPlans = append(b.PayerPlans, omop.PayerPlan{Record: rec(name, "x"), Start: day(), End: 15020})
			}
			switch rapid.IntRange(0, 3).Draw(t, "rest") {
			case 0:
				b.Deaths = append(b.Deaths, omop.Death{Person: omop.NewKey(name), Date: day()})
			case 1:
				b.Stated = append(b.Stated, omop.StatedPeriod{Record: rec(name, "s"), Start: 15000, End: day(), TypeConceptID: ehr})
			case 2:
				b.Periods = append(b.Periods, omop.ObservationPeriod{Person: omop.NewKey(name), Start: day(), End: 15020, TypeConceptID: ehr})
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "merge") == 0 {
			b.Merges = []omop.Merge{{Survivor: omop.NewKey("p0"), Retired: omop.NewKey(fmt.Sprint("p", rapid.IntRange(1, 3).Draw(t, "retired")))}}
		}
		before := stateOf(t, db, s)
		act := func(fn func(tx *sqldb.Tx) error) {
			before := stateOf(t, db, s)
			require.NoError(t, db.Write(context.Background(), fn))
			_, changed, err := changedSince(t, db, s, before)
			require.NoError(t, err)
			require.Subset(t, changed, written(t, db))
		}
		act(func(tx *sqldb.Tx) error {
			_, err := s.Put(context.Background(), tx, b)
			return err
		})
		if rapid.Bool().Draw(t, "sweep") {
			act(func(tx *sqldb.Tx) error {
				_, err := s.Sweep(context.Background(), tx, omop.Pass{Raw: b.Raw, Mapper: b.Mapper, Position: b.Position},
					func(context.Context, *sqldb.Tx, []omop.PersonID) ([]omop.PersonID, error) { return nil, nil })
				return err
			})
		}
		after, _, err := changedSince(t, db, s, before)
		require.NoError(t, err)
		require.NoError(t, db.Write(context.Background(), func(tx *sqldb.Tx) error {
			_, err := s.Put(context.Background(), tx, b)
			return err
		}))
		if len(written(t, db)) == 0 {
			_, changed, err := changedSince(t, db, s, after)
			require.NoError(t, err)
			require.Empty(t, changed, "what changes nothing is not noted")
		}
	})
}

// TestChangesAreSeenInTheOrderOfTheirEnds: a transaction that began before a state and
// ended after it is not in it, whatever its number.
func TestChangesAreSeenInTheOrderOfTheirEnds(t *testing.T) {
	t.Parallel()
	db := sqltest.Postgres(t)
	s := open(t, db)
	first := stateOf(t, db, s)
	var second omop.State
	early, late := omop.Batch{Mapper: "m", At: now, Persons: ada().Persons}, omop.Batch{Raw: [32]byte{1}, Mapper: "m", At: now, Persons: eve().Persons}
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		if _, err := s.Put(t.Context(), tx, early); err != nil {
			return err
		}
		put(t, db, s, late) // it begins later and ends before
		second = stateOf(t, db, s)
		_, changed, err := changedSince(t, db, s, first)
		require.NoError(t, err)
		require.Len(t, changed, 1)
		return nil
	}))
	third, changed, err := changedSince(t, db, s, second)
	require.NoError(t, err)
	require.Len(t, changed, 1, "the early one, with a number below that of the late one")
	_, changed, err = changedSince(t, db, s, third)
	require.NoError(t, err)
	require.Empty(t, changed)
	third.Store = "another"
	_, _, err = changedSince(t, db, s, third)
	require.ErrorIs(t, err, omop.ErrForeign)
}
