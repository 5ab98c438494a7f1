package omop_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// sweep ends a pass; the site holds persons of whom there is more than the tables say.
func sweep(t *testing.T, db *sqldb.DB, s *omop.Store, b omop.Batch, held bool) (w omop.Swept) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) (err error) {
		w, err = s.Sweep(t.Context(), tx, omop.Pass{Raw: b.Raw, Mapper: b.Mapper, Position: b.Position},
			func(_ context.Context, _ *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
				if held {
					return persons, nil
				}
				return nil, nil
			})
		return err
	}))
	return w
}

func counts(t *testing.T, db *sqldb.DB, s *omop.Store) (n map[omop.Table]int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		n, err = s.Counts(t.Context(), tx)
		return err
	}))
	return n
}

// of is a batch of a file, by its number, as a mapper makes it.
func of(file byte, mapper string, b omop.Batch) omop.Batch {
	b.Raw, b.Position, b.Mapper, b.At = [32]byte{file}, int64(file), mapper, now
	return b
}

func TestWhatAMapperNoLongerMakesGoes(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		before := ada()
		before.Stated = []omop.StatedPeriod{{Record: rec("ada", "s1"), Start: day("2010-01-01"), End: day("2020-12-31"), TypeConceptID: ehr}}
		inVisit := rec("ada", "x1")
		inVisit.Visit = before.Visits[0].Key
		before.Devices = []omop.Device{{Record: inVisit, ConceptID: 1, Start: day("2015-03-02"), TypeConceptID: ehr}}
		before.Specimens = []omop.Specimen{{Record: rec("ada", "x1"), ConceptID: 1, Start: day("2015-03-02"), TypeConceptID: ehr}}
		before.VisitDetails = []omop.VisitDetail{{Record: inVisit, ConceptID: 1, Start: day("2015-03-02"), End: day("2015-03-02"), TypeConceptID: ehr}}
		before.PayerPlans = []omop.PayerPlan{{Record: rec("ada", "x1"), Start: day("2015-01-01"), End: day("2015-12-31")}}
		first := of(1, "a", before)
		first.Locations = []omop.Location{{Record: omop.Record{Key: omop.NewKey("l")}, State: "MA"}}
		first.CareSites = []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("c")}, Location: omop.NewKey("l")}}
		first.Providers = []omop.Provider{{Record: omop.Record{Key: omop.NewKey("d"), CareSite: omop.NewKey("c")}}}
		first.Conditions[0].Provider = omop.NewKey("d")
		put(t, db, s, first)
		require.Zero(t, sweep(t, db, s, first, false), "there was no pass before")

		// Another mapper knows the person and a condition, and puts it on another day.
		second := of(1, "b", omop.Batch{Persons: before.Persons, Conditions: []omop.Condition{before.Conditions[0]}})
		second.Conditions[0].Start = day("2016-01-01")
		second.Periods = []omop.ObservationPeriod{{Person: omop.NewKey("ada"), Start: day("2016-01-01"), End: day("2016-01-01"), TypeConceptID: ehr}}
		put(t, db, s, second)
		require.Equal(t, omop.Swept{Rows: 14}, sweep(t, db, s, second, false), "one of each other table")
		require.Equal(t, map[omop.Table]int64{
			omop.PersonTable: 1, omop.ConditionTable: 1, omop.VisitTable: 0, omop.DrugTable: 0, omop.ProcedureTable: 0,
			omop.MeasurementTable: 0, omop.ObservationTable: 0, omop.DeathTable: 0, omop.PeriodTable: 1,
			omop.DeviceTable: 0, omop.SpecimenTable: 0, omop.VisitDetailTable: 0, omop.PayerPlanTable: 0,
			omop.LocationTable: 0, omop.CareSiteTable: 0, omop.ProviderTable: 0,
		}, counts(t, db, s))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var n, visits int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*), count(visit_occurrence_id) + count(provider_id) FROM condition_occurrence").Scan(&n, &visits))
			require.Equal(t, []int{1, 0}, []int{n, visits}, "the visit and the provider are gone from the row")
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM lineage").Scan(&n))
			require.Equal(t, 2, n)
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM load").Scan(&n))
			require.Equal(t, 1, n, "a pass without rows is forgotten")
			return nil
		}))
		require.Equal(t, []string{"2016-01-01 2016-01-01"}, periodsOf(t, db), "nothing is stated any more, so it is made of the events")
		put(t, db, s, second)
		require.Equal(t, []string{"2016-01-01 2016-01-01"}, periodsOf(t, db))
		require.Zero(t, sweep(t, db, s, second, false))
	})
}

// TestARowThatAnotherFileMakesTooIsThatFiles in whichever order the two came.
func TestARowThatAnotherFileMakesTooIsThatFiles(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		for name, order := range map[string][]byte{"in order": {1, 2}, "the later one first": {2, 1}} {
			t.Run(name, func(t *testing.T) {
				clear := func(tx *sqldb.Tx) error {
					for _, table := range []string{"person", "condition_occurrence", "lineage", "load", "observation_period"} {
						if _, err := tx.Exec(t.Context(), "DELETE FROM "+table); err != nil {
							return err
						}
					}
					return nil
				}
				s := open(t, db)
				require.NoError(t, db.Write(t.Context(), clear))
				whole := omop.Batch{Persons: ada().Persons, Conditions: ada().Conditions}
				for _, file := range order {
					put(t, db, s, of(file, "a", whole))
				}
				less := of(2, "b", omop.Batch{Persons: whole.Persons})
				put(t, db, s, less)
				require.Equal(t, omop.Swept{Files: [][32]byte{{1}}}, sweep(t, db, s, less, false))
				require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
					o, err := s.Origin(t.Context(), tx, omop.ConditionTable, omop.NewKey("ada"), omop.NewKey("c1"))
					require.NoError(t, err)
					require.Equal(t, [32]byte{1}, o.Raw)
					return nil
				}))
				// The other mapper makes it of neither.
				last := of(1, "b", omop.Batch{Persons: whole.Persons})
				put(t, db, s, last)
				require.Equal(t, omop.Swept{Rows: 1}, sweep(t, db, s, last, false))
				require.EqualValues(t, 1, counts(t, db, s)[omop.PersonTable])
			})
		}
	})
}

func TestAPersonGoesWithTheLastRow(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, of(1, "a", omop.Batch{Persons: ada().Persons}))
		put(t, db, s, of(2, "a", omop.Batch{Conditions: ada().Conditions}))
		nobody := of(1, "b", omop.Batch{})
		require.Zero(t, sweep(t, db, s, nobody, false), "a row of the other file names her")
		nothing := of(2, "b", omop.Batch{})
		require.Equal(t, omop.Swept{Rows: 1}, sweep(t, db, s, nothing, true), "a consent names her")
		require.EqualValues(t, 1, counts(t, db, s)[omop.PersonTable])
		put(t, db, s, of(3, "a", omop.Batch{Visits: ada().Visits}))
		again := of(3, "b", omop.Batch{})
		require.Equal(t, omop.Swept{Rows: 2}, sweep(t, db, s, again, false), "nothing names her any more")
		require.Zero(t, counts(t, db, s)[omop.PersonTable])
	})
}

// TestSweepsThatPutDoNotWaitForEachOther: one that has put rows of a person used to wait
// for another sweep which waited for that person, until the database ended one of them.
func TestSweepsThatPutDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	db := sqltest.Postgres(t)
	s := open(t, db)
	made := []omop.ObservationPeriod{{Person: omop.NewKey("ada"), Start: day("2015-01-01"), End: day("2015-01-01"), TypeConceptID: ehr}}
	bob := omop.Person{Key: omop.NewKey("bob"), GenderConceptID: female, YearOfBirth: 1950}
	put(t, db, s, of(1, "a", omop.Batch{Persons: append(ada().Persons, bob), Conditions: ada().Conditions, Periods: made}))
	put(t, db, s, of(2, "a", omop.Batch{Visits: ada().Visits, Periods: made}))
	first, second := of(1, "b", omop.Batch{Persons: ada().Persons, Conditions: ada().Conditions}), of(2, "b", omop.Batch{Periods: made})
	put(t, db, s, first)

	reached, done := make(chan struct{}), make(chan error, 1)
	go func() {
		<-reached
		done <- db.Write(t.Context(), func(tx *sqldb.Tx) error {
			pass := omop.Pass{Raw: second.Raw, Mapper: second.Mapper, Position: second.Position}
			if err := s.AheadOfSweep(t.Context(), tx, pass); err != nil {
				return err
			}
			if _, err := s.Put(t.Context(), tx, second); err != nil {
				return err
			}
			_, err := s.Sweep(t.Context(), tx, pass, func(context.Context, *sqldb.Tx, []omop.PersonID) ([]omop.PersonID, error) { return nil, nil })
			return err
		})
	}()
	waits := func(ctx context.Context) (n int, err error) {
		err = db.Read(ctx, func(tx *sqldb.Tx) error {
			return tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
				AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(current_schema() || '/omop/sweep', 0)`).Scan(&n)
		})
		return n, err
	}
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := s.Sweep(t.Context(), tx, omop.Pass{Raw: first.Raw, Mapper: first.Mapper, Position: first.Position},
			func(ctx context.Context, _ *sqldb.Tx, gone []omop.PersonID) ([]omop.PersonID, error) {
				close(reached)
				for {
					if n, err := waits(ctx); err != nil || n > 0 {
						return nil, err
					}
					runtime.Gosched()
				}
			})
		return err
	}))
	require.NoError(t, <-done)
	require.Zero(t, counts(t, db, s)[omop.VisitTable])
	require.EqualValues(t, 1, counts(t, db, s)[omop.PersonTable])
}

// TestAPartOfAVisitOutlivesIt: the CDM wants a visit, which is 0 then. Merged, the rows are
// the other person's.
func TestAPartOfAVisitOutlivesIt(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		part := rec("ada", "d1")
		part.Visit = ada().Visits[0].Key
		device := rec("ada", "x1")
		device.Visit = part.Visit
		keep := omop.Batch{
			Persons:      ada().Persons,
			VisitDetails: []omop.VisitDetail{{Record: part, ConceptID: 1, Start: day("2015-03-02"), End: day("2015-03-02"), TypeConceptID: ehr}},
			Devices:      []omop.Device{{Record: device, ConceptID: 1, Start: day("2015-03-02"), TypeConceptID: ehr}},
			Specimens:    []omop.Specimen{{Record: rec("ada", "t1"), ConceptID: 1, Start: day("2015-03-02"), TypeConceptID: ehr}},
			PayerPlans:   []omop.PayerPlan{{Record: rec("ada", "i1"), Start: day("2015-01-01"), End: day("2015-12-31")}},
		}
		put(t, db, s, of(1, "a", omop.Batch{Persons: ada().Persons, Visits: ada().Visits}))
		put(t, db, s, of(2, "a", keep))
		visits := func() (ids [2]*int64) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT d.visit_occurrence_id, x.visit_occurrence_id FROM visit_detail d, device_exposure x").Scan(&ids[0], &ids[1])
			}))
			return ids
		}
		before := visits()
		require.NotNil(t, before[1])
		require.Equal(t, before[1], before[0])
		none := of(1, "b", omop.Batch{Persons: ada().Persons})
		put(t, db, s, none)
		require.Equal(t, omop.Swept{Rows: 1}, sweep(t, db, s, none, false))
		require.Equal(t, [2]*int64{new(int64), nil}, visits())
		again := put(t, db, s, of(2, "a", keep))
		require.Equal(t, []int{3, 2}, []int{again.Duplicates, again.Replaced}, "the two that were in the visit are not now")

		bob := omop.Person{Key: omop.NewKey("bob"), YearOfBirth: 1950}
		put(t, db, s, of(3, "a", omop.Batch{Persons: []omop.Person{bob}, Merges: []omop.Merge{{Survivor: bob.Key, Retired: omop.NewKey("ada")}}}))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			id, err := s.PersonByKey(t.Context(), tx, bob.Key)
			require.NoError(t, err)
			for _, table := range []string{"visit_detail", "device_exposure", "specimen", "payer_plan_period"} {
				var whose omop.PersonID
				require.NoError(t, tx.QueryRow(t.Context(), "SELECT person_id FROM "+table).Scan(&whose))
				require.True(t, id == whose, table)
			}
			return nil
		}))
	})
}
