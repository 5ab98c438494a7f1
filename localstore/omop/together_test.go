package omop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func periodsOf(t *testing.T, db *sqldb.DB) (out []string) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT observation_period_start_date, observation_period_end_date FROM observation_period ORDER BY 1, 2`)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var from, to omop.Date
			require.NoError(t, rows.Scan(&from, &to))
			out = append(out, from.String()+" "+to.String())
		}
		return rows.Err()
	}))
	return out
}

// putAtOnce puts first, and second before first has committed.
func putAtOnce(t *testing.T, db *sqldb.DB, s *omop.Store, first, second omop.Batch) {
	t.Helper()
	put1, committed := make(chan struct{}), make(chan error, 1)
	done2 := make(chan error, 1)
	go func() {
		committed <- db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Put(t.Context(), tx, first)
			close(put1)
			select { // until the other has committed, or waits for us
			case err2 := <-done2:
				done2 <- err2
			case <-time.After(200 * time.Millisecond):
			}
			return err
		})
	}()
	<-put1
	go func() {
		done2 <- db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Put(t.Context(), tx, second)
			return err
		})
	}()
	require.NoError(t, <-committed)
	require.NoError(t, <-done2)
}

// TestPeriodsOfTwoLoadsAtOnceAreOne: two workers, or two nodes, on one PostgreSQL.
func TestPeriodsOfTwoLoadsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	made := func(start, end string) omop.Batch {
		return omop.Batch{Mapper: "m" + start, At: now, Conditions: []omop.Condition{{
			Record: rec("ada", "c"+start), ConceptID: hypertension, TypeConceptID: ehr, Start: day(start),
		}}, Periods: []omop.ObservationPeriod{{Person: omop.NewKey("ada"), Start: day(start), End: day(end), TypeConceptID: ehr}}}
	}
	stated := omop.Batch{Mapper: "s", At: now, Stated: []omop.StatedPeriod{{Record: rec("ada", "1"), Start: day("2012-01-01"), End: day("2012-12-31"), TypeConceptID: ehr}}}
	begin := func(t *testing.T) (*sqldb.DB, *omop.Store) {
		db := sqltest.Postgres(t)
		s := open(t, db)
		put(t, db, s, omop.Batch{Mapper: "m", At: now, Persons: ada().Persons})
		require.Empty(t, periodsOf(t, db))
		return db, s
	}
	t.Run("two files of events", func(t *testing.T) {
		db, s := begin(t)
		putAtOnce(t, db, s, made("2010-01-01", "2010-02-01"), made("2020-01-01", "2020-02-01"))
		require.Equal(t, []string{"2010-01-01 2020-02-01"}, periodsOf(t, db))
	})
	t.Run("events and stated periods", func(t *testing.T) {
		db, s := begin(t)
		putAtOnce(t, db, s, made("2010-01-01", "2020-02-01"), stated)
		require.Equal(t, []string{"2012-01-01 2012-12-31"}, periodsOf(t, db))
	})
	t.Run("stated periods and events", func(t *testing.T) {
		db, s := begin(t)
		putAtOnce(t, db, s, stated, made("2010-01-01", "2020-02-01"))
		require.Equal(t, []string{"2012-01-01 2012-12-31"}, periodsOf(t, db))
	})
	t.Run("widened from both ends", func(t *testing.T) {
		db, s := begin(t)
		put(t, db, s, made("2015-01-01", "2015-02-01"))
		putAtOnce(t, db, s, made("2010-01-01", "2010-02-01"), made("2020-01-01", "2020-02-01"))
		require.Equal(t, []string{"2010-01-01 2020-02-01"}, periodsOf(t, db))
	})
}

// TestAPeriodThatIsRefusedHidesNobody: the one made from events stays.
func TestAPeriodThatIsRefusedHidesNobody(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]omop.StatedPeriod{
		"refused":           {Record: rec("ada", "1"), Start: day("2012-01-01"), End: omop.Date(1 << 30), TypeConceptID: 44814724},
		"ends before start": {Record: rec("ada", "1"), Start: day("2020-12-31"), End: day("2010-01-01"), TypeConceptID: 44814724},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := sqltest.SQLite(t)
			s := open(t, db)
			put(t, db, s, ada())
			found := func() (n int) {
				require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
					return tx.QueryRow(t.Context(), "SELECT count(*) FROM observation_period").Scan(&n)
				}))
				return n
			}
			require.Equal(t, 1, found())
			result := put(t, db, s, omop.Batch{Mapper: "m", At: now, Stated: []omop.StatedPeriod{p}})
			require.Equal(t, []omop.Refusal{{Table: omop.PeriodTable, Pointer: p.Pointer, Rule: omop.DateRange}}, result.Refused)
			require.Equal(t, 1, found())
		})
	}
}
