package omop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// everything has a row in each table of a person born in 1990-05, who died.
func everything() omop.Batch {
	person, day := omop.NewKey("p"), sqldb.Day(2020, 3, 1)
	rec := func(key string) omop.Record { return omop.Record{Key: omop.NewKey(key), Person: person} }
	before := day - 1
	return omop.Batch{
		Raw: [32]byte{1}, Mapper: "test", At: now,
		Persons:      []omop.Person{{Key: person, GenderConceptID: female, YearOfBirth: 1990, MonthOfBirth: 5}},
		Stated:       []omop.StatedPeriod{{Record: rec("o"), Start: day - 10, End: day + 10}},
		Visits:       []omop.Visit{{Record: rec("v"), ConceptID: outpatientWalk, Start: day, End: before}},
		Conditions:   []omop.Condition{{Record: rec("c"), ConceptID: diabetes, Start: day, End: &before}},
		Drugs:        []omop.Drug{{Record: rec("d"), ConceptID: lisinopril, Start: day, End: before}},
		Procedures:   []omop.Procedure{{Record: rec("r"), Start: day, End: &before}},
		Measurements: []omop.Measurement{{Record: rec("m"), ConceptID: systolic, Start: day}},
		Observations: []omop.Observation{{Record: rec("b"), Start: sqldb.Day(1990, 4, 30)}},
		Deaths:       []omop.Death{{Person: person, Date: day - 61}},
	}
}

func TestDefectsOfEveryTable(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		require.Empty(t, put(t, db, s, everything()).Refused)
		for table, want := range map[omop.Table][]omop.Defect{
			omop.PersonTable:      {omop.PartialBirth},
			omop.PeriodTable:      {},
			omop.VisitTable:       {omop.EndBeforeStart, omop.AfterDeath},
			omop.ConditionTable:   {omop.EndBeforeStart, omop.AfterDeath, omop.Visitless},
			omop.DrugTable:        {omop.EndBeforeStart, omop.AfterDeath, omop.Visitless},
			omop.ProcedureTable:   {omop.EndBeforeStart, omop.AfterDeath, omop.NoConcept, omop.Visitless},
			omop.MeasurementTable: {omop.AfterDeath, omop.Visitless, omop.NoValue},
			omop.ObservationTable: {omop.BeforeBirth, omop.NoConcept, omop.OutsidePeriod, omop.Visitless},
			omop.DeathTable:       {omop.InFuture},
		} {
			found := []omop.Defect{}
			require.NoError(t, s.Survey(t.Context(), func(tx *sqldb.Tx) error {
				tallies, err := s.Defects(t.Context(), tx, table, sqldb.Day(2019, 12, 29)) // two days before the death
				for _, d := range tallies {
					require.LessOrEqual(t, d.Found, d.Of, d.Defect)
					require.NotEmpty(t, d.Field)
					if d.Found > 0 && (d.Defect != omop.InFuture || table == omop.DeathTable) {
						found = append(found, d.Defect)
					}
				}
				return err
			}))
			require.ElementsMatch(t, want, found, table)
		}
	})
}

func TestRepeatsOfEveryEventTable(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		b := everything()
		put(t, db, s, b)
		repeats := func(table omop.Table) (n int64) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
				n, err = s.Repeats(t.Context(), tx, table)
				return err
			}))
			return n
		}
		events := []omop.Table{omop.VisitTable, omop.ConditionTable, omop.DrugTable, omop.ProcedureTable, omop.MeasurementTable, omop.ObservationTable}
		for _, table := range events {
			require.True(t, omop.IsEvent(table))
			require.Zero(t, repeats(table), table)
		}
		again := omop.NewKey("again")
		b.Visits[0].Key, b.Conditions[0].Key, b.Drugs[0].Key, b.Procedures[0].Key, b.Measurements[0].Key, b.Observations[0].Key = again, again, again, again, again, again
		put(t, db, s, b)
		for _, table := range events {
			require.EqualValues(t, 1, repeats(table), table)
		}
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Repeats(t.Context(), tx, omop.PersonTable)
			require.ErrorContains(t, err, "no event table")
			return nil
		}))
	})
}
