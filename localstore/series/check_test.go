package series_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// fault is one call of what Check was given.
type fault struct {
	rule  series.Fault
	table string
	key   int64
}

func check(t *testing.T, db *sqldb.DB) (points int64, found []fault) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		points, err = series.Check(t.Context(), tx, func(f series.Fault, table string, key int64) { found = append(found, fault{f, table, key}) })
		return err
	}))
	return points, found
}

func TestCheckReadsAllThatIsStored(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{Retention: series.Retention{Raw: 40 * 24 * time.Hour}})
		at := now.UnixMilli()
		appended := func(b series.Batch) {
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := s.store.Append(t.Context(), tx, b)
				return err
			}))
		}
		appended(s.batch(1, []int64{at + 2000, at, at + 1000}, 1, 2, 3))
		points, found := check(t, db)
		require.EqualValues(t, 3, points, "landed")
		require.Empty(t, found)
		_, err := s.store.Compact(t.Context())
		require.NoError(t, err)
		appended(s.batch(2, []int64{at + 70*24*3600_000}, 4))
		require.NoError(t, s.store.Retain(t.Context(), now.Add(80*24*time.Hour)))
		_, err = s.store.Compact(t.Context())
		require.NoError(t, err)
		appended(s.batch(2, []int64{at + 71*24*3600_000}, 5))
		points, found = check(t, db)
		require.EqualValues(t, 3, points, "an aggregate of a minute, a point in a chunk and one that landed")
		require.Empty(t, found)

		exec := func(statement string, args ...any) {
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), statement, args...)
				return err
			}))
		}
		exec("UPDATE series_chunk SET points = 2")
		exec("UPDATE series_aggregate SET body = ?", []byte{1})
		exec("DELETE FROM series_load WHERE load_id = 3")
		_, found = check(t, db)
		require.Len(t, found, 3)
		for i, want := range []fault{{series.DamagedBody, "series_chunk", 0}, {series.UnknownLoad, "series_landed", 3}, {series.DamagedBody, "series_aggregate", 0}} {
			require.Equal(t, want.rule, found[i].rule)
			require.Equal(t, want.table, found[i].table)
		}
	})
}
