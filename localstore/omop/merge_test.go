package omop_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// eve is ada under another name, with rows of her own.
func eve() omop.Batch {
	return omop.Batch{
		Raw: [32]byte{2}, Mapper: "test/1", At: now,
		Persons:    []omop.Person{{Key: omop.NewKey("eve"), Pointer: "entry[0]", GenderConceptID: female, YearOfBirth: 1951}},
		Periods:    []omop.ObservationPeriod{{Person: omop.NewKey("eve"), Start: day("2008-01-01"), End: day("2018-12-31"), TypeConceptID: ehr}},
		Visits:     []omop.Visit{{Record: rec("eve", "v1"), ConceptID: outpatientWalk, Start: day("2008-05-05"), End: day("2008-05-05"), TypeConceptID: ehr}},
		Conditions: []omop.Condition{{Record: rec("eve", "c1"), ConceptID: diabetes, Start: day("2008-05-05"), TypeConceptID: ehr}},
		Deaths:     []omop.Death{{Person: omop.NewKey("eve"), Date: day("2020-12-30"), TypeConceptID: ehr}},
	}
}

func merge(survivor, retired string) omop.Batch {
	return omop.Batch{
		Raw: [32]byte{3}, Mapper: "test/1", At: now,
		Merges: []omop.Merge{{Survivor: omop.NewKey(survivor), Retired: omop.NewKey(retired), Pointer: "entry[9]"}},
	}
}

func personOf(t *testing.T, db *sqldb.DB, s *omop.Store, key string) (id omop.PersonID) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		id, err = s.PersonByKey(t.Context(), tx, omop.NewKey(key))
		return err
	}))
	return id
}

// owners counts the rows of people, all of whom have to exist, and the persons.
func owners(t *testing.T, db *sqldb.DB) (rows, persons int) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM person").Scan(&persons))
		for _, table := range []string{"visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation", "death", "observation_period"} {
			var n, orphans int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*), count(*) - count(p.person_id) FROM "+table+" t LEFT JOIN person p ON p.person_id = t.person_id").
				Scan(&n, &orphans))
			require.Zero(t, orphans, table)
			rows += n
		}
		var lost int
		require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM lineage WHERE table_id = (SELECT min(table_id) FROM lineage) AND row_id NOT IN (SELECT person_id FROM person)").Scan(&lost))
		require.Zero(t, lost, "lineage of persons who are no more")
		return nil
	}))
	return rows, persons
}

func TestMergedPersonsAreOne(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		put(t, db, s, eve())
		require.Equal(t, omop.Result{Merged: 1}, put(t, db, s, merge("ada", "eve")))
		require.Equal(t, personOf(t, db, s, "ada"), personOf(t, db, s, "eve"))
		rows, persons := owners(t, db)
		require.Equal(t, 1, persons)
		require.Equal(t, 10, rows, "six of ada, two of eve, one death and one period")
		var first, last, died omop.Date
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT observation_period_start_date, observation_period_end_date, death_date
				FROM observation_period o JOIN death d ON d.person_id = o.person_id`).Scan(&first, &last, &died)
		}))
		require.Equal(t, []string{"2008-01-01", "2020-12-31", "2020-12-31"}, []string{first.String(), last.String(), died.String()}, "the survivor's death")

		require.Equal(t, omop.Result{}, put(t, db, s, merge("ada", "eve")), "said twice")
		require.Equal(t, omop.Result{Replaced: 2, Superseded: 2}, put(t, db, s, eve()), "her events are ada's, her birth and death are known")
		require.Equal(t, omop.Result{Duplicates: 2, Superseded: 2}, put(t, db, s, eve()))
		late := eve()
		late.Persons, late.Deaths = nil, nil
		late.Conditions = []omop.Condition{{Record: rec("eve", "c2"), ConceptID: hypertension, Start: day("2009-01-01"), TypeConceptID: ehr}}
		require.Equal(t, omop.Result{Stored: 1, Duplicates: 1}, put(t, db, s, late))
		rows, persons = owners(t, db)
		require.Equal(t, []int{11, 1}, []int{rows, persons})

		put(t, db, s, bob())
		require.Equal(t, omop.Result{Merged: 1}, put(t, db, s, merge("bob", "ada")))
		for _, name := range []string{"ada", "eve"} {
			require.Equal(t, personOf(t, db, s, "bob"), personOf(t, db, s, name), "through the one who was merged before")
		}
		rows, persons = owners(t, db)
		require.Equal(t, []int{11, 1}, []int{rows, persons})
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			found, err := s.PersonsByKey(t.Context(), tx, []omop.Key{omop.NewKey("ada"), omop.NewKey("bob"), omop.NewKey("eve")})
			require.Len(t, found, 3)
			return err
		}))
	})
}

func TestAMergeMayComeBeforeWhatItMerges(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		first := ada()
		first.Merges, first.Deaths = merge("ada", "eve").Merges, nil
		put(t, db, s, first)
		require.Equal(t, omop.Result{Stored: 3, Superseded: 1}, put(t, db, s, eve()), "her visit, condition and death")
		rows, persons := owners(t, db)
		require.Equal(t, []int{10, 1}, []int{rows, persons})
	})
}

func TestAMergeThatMayNotBeChangesNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		put(t, db, s, eve())
		refused := func(b omop.Batch, rule omop.Rule) {
			before := dump(t, db)
			require.Equal(t, []omop.Refusal{{Table: omop.PersonTable, Pointer: "entry[9]", Rule: rule}}, put(t, db, s, b).Refused)
			if rule != omop.MergedElsewhere {
				_, persons := owners(t, db)
				require.Equal(t, 2, persons)
			}
			require.Equal(t, before, dump(t, db))
		}
		never := merge("ada", "eve")
		asked := 0
		never.MayMerge = func(_ context.Context, _ *sqldb.Tx, survivor, retired omop.PersonID) (bool, error) {
			asked++
			require.Equal(t, personOf(t, db, s, "ada"), survivor)
			require.Equal(t, personOf(t, db, s, "eve"), retired)
			return false, nil
		}
		put(t, db, s, omop.Batch{Raw: [32]byte{3}, Mapper: "test/1", At: now, Merges: []omop.Merge{{}}}) // its load is noted
		refused(never, omop.MergeRefused)
		require.Equal(t, 1, asked)
		refused(merge("nobody", "eve"), omop.UnknownPerson)
		refused(merge("", "eve"), omop.MissingKey)
		put(t, db, s, merge("ada", "eve"))
		put(t, db, s, bob())
		refused(merge("bob", "eve"), omop.MergedElsewhere)
	})
}

func TestStatedPeriodsStandOverThoseOfAMerge(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		stated := eve()
		stated.Stated = []omop.StatedPeriod{{Record: rec("eve", "1"), Start: day("2001-01-01"), End: day("2002-01-01"), TypeConceptID: ehr}}
		put(t, db, s, stated)
		put(t, db, s, merge("ada", "eve"))
		var n int
		var first omop.Date
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(*), min(observation_period_start_date) FROM observation_period").Scan(&n, &first)
		}))
		require.Equal(t, 1, n)
		require.Equal(t, "2001-01-01", first.String())
	})
}

// bob is somebody of whom nothing but the birth is known.
func bob() omop.Batch {
	b := eve()
	b.Persons[0].Key, b.Periods, b.Visits, b.Conditions, b.Deaths = omop.NewKey("bob"), nil, nil, nil, nil
	return b
}

func TestAPersonDiesOnceUnderAllNames(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		alive := ada()
		deaths := alive.Deaths
		alive.Deaths = nil
		put(t, db, s, of(1, "a", alive))
		put(t, db, s, of(2, "a", eve()))
		put(t, db, s, of(3, "a", merge("ada", "eve")))
		require.Equal(t, omop.Result{Superseded: 1}, put(t, db, s, of(4, "a", omop.Batch{Deaths: deaths})), "it came under the other name")

		dead := bob()
		dead.Deaths = []omop.Death{{Person: omop.NewKey("bob"), Date: day("2021-01-01"), TypeConceptID: ehr}}
		put(t, db, s, of(5, "a", dead))
		require.Equal(t, omop.Result{Merged: 1}, put(t, db, s, of(6, "a", merge("bob", "ada"))))
		without := eve()
		without.Deaths = nil
		put(t, db, s, of(2, "b", without))
		sweep(t, db, s, of(2, "b", without), false)
		require.EqualValues(t, 1, counts(t, db, s)[omop.DeathTable], "bob's is not eve's, whose file says nothing of it any more")
		owners(t, db)
	})
}

func TestAChainOfMergesInOneBatchLosesNobody(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		all, other := ada(), eve()
		all.Persons = append(append(all.Persons, other.Persons...), bob().Persons...)
		all.Conditions = append(all.Conditions, other.Conditions...)
		all.Merges = append(merge("ada", "eve").Merges, merge("bob", "ada").Merges...)
		require.Equal(t, omop.Result{Stored: 11, Merged: 2}, put(t, db, s, all))
		rows, persons := owners(t, db)
		require.Equal(t, []int{9, 1}, []int{rows, persons})
	})
}

// TestAMergeWaitsForWhoIsBeingStored: of two transactions at once, one that stores a
// person and one that merges the name, the later one has to be run again.
func TestAMergeWaitsForWhoIsBeingStored(t *testing.T) {
	t.Parallel()
	db := sqltest.Postgres(t)
	s := open(t, db)
	put(t, db, s, ada())
	stored, merged := make(chan struct{}), make(chan error, 1)
	go func() {
		<-stored
		merged <- db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Put(t.Context(), tx, merge("ada", "eve"))
			return err
		})
	}()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := s.Put(t.Context(), tx, eve())
		close(stored)
		select {
		case err := <-merged:
			require.Fail(t, "the merge did not wait", "%v", err)
		case <-time.After(200 * time.Millisecond):
		}
		return err
	}))
	require.ErrorIs(t, <-merged, sqldb.ErrConflict)
	require.Equal(t, omop.Result{Merged: 1}, put(t, db, s, merge("ada", "eve")))
	_, persons := owners(t, db)
	require.Equal(t, 1, persons)
}
