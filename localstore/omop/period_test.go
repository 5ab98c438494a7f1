package omop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestStatedPeriodsAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		periods := func() (out []string) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				rows, err := tx.Query(t.Context(), `SELECT observation_period_start_date, observation_period_end_date, period_type_concept_id
					FROM observation_period ORDER BY observation_period_start_date`)
				require.NoError(t, err)
				defer rows.Close()
				for rows.Next() {
					var from, to omop.Date
					var kind int64
					require.NoError(t, rows.Scan(&from, &to, &kind))
					require.Contains(t, []int64{ehr, 44814724}, kind)
					out = append(out, from.String()+" "+to.String())
				}
				return rows.Err()
			}))
			return out
		}
		stated := func(key, start, end string) omop.StatedPeriod {
			return omop.StatedPeriod{Record: rec("ada", key), Start: day(start), End: day(end), TypeConceptID: 44814724}
		}
		put(t, db, s, ada())
		require.Equal(t, []string{"2010-01-01 2020-12-31"}, periods(), "made from events")

		two := omop.Batch{Mapper: "m", At: now, Stated: []omop.StatedPeriod{stated("1", "2012-01-01", "2013-01-01"), stated("2", "2015-05-05", "2019-01-01")}}
		require.Equal(t, omop.Result{Stored: 2}, put(t, db, s, two))
		require.Equal(t, []string{"2012-01-01 2013-01-01", "2015-05-05 2019-01-01"}, periods(), "in place of what was made")
		require.Equal(t, omop.Result{Duplicates: 2}, put(t, db, s, two))

		put(t, db, s, ada())
		require.Len(t, periods(), 2, "events do not widen them")
		two.Stated[1].End = day("2019-02-01")
		require.Equal(t, omop.Result{Replaced: 1, Duplicates: 1}, put(t, db, s, two))
		require.Equal(t, []string{"2012-01-01 2013-01-01", "2015-05-05 2019-02-01"}, periods())

		two.Stated[0].Person = omop.NewKey("eve")
		require.Equal(t, []omop.Refusal{{Table: omop.PeriodTable, Pointer: "entry[1]", Rule: omop.UnknownPerson}}, put(t, db, s, two).Refused)
	})
}

func TestPersonsByKey(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			found, err := s.PersonsByKey(t.Context(), tx, []omop.Key{omop.NewKey("eve"), omop.NewKey("ada")})
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.Equal(t, day("1950-12-10"), found[omop.NewKey("ada")].Birth())
			require.Equal(t, day("2020-12-31"), *found[omop.NewKey("ada")].Death)
			return nil
		}))
	})
}

func TestRowsWhoseVisitIsMissingAreNamed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		b := ada()
		b.Visits = nil
		require.Equal(t, []string{"entry[c1]", "entry[d1]", "entry[p1]", "entry[m1]", "entry[o1]"}, put(t, db, s, b).Visitless)
		require.Empty(t, put(t, db, s, ada()).Visitless)
	})
}
