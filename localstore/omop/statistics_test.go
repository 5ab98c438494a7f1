package omop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestStatisticsFollowWhatGrows(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, patients(0))
		require.NoError(t, s.Refresh(t.Context()), "nothing that matters is there")
		for from := 10; from < 100; from += 10 {
			put(t, db, s, patients(from))
		}
		require.NoError(t, s.Refresh(t.Context()))
		if db.Dialect() == sqldb.SQLite {
			return
		}
		known := func() (rows int) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('measurement')").Scan(&rows)
			}))
			return rows
		}
		require.Equal(t, 10_000, known())
	})
}
