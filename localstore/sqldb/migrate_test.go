package sqldb_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		migrated(t, db)
		migrated(t, db) // twice changes nothing

		later := fstest.MapFS{}
		for name, f := range schema {
			later[name] = f
		}
		for _, d := range []string{"sqlite", "postgres"} {
			later[d+"/0002_tag.sql"] = &fstest.MapFile{Data: []byte(up + "CREATE TABLE tag (id BIGINT);")}
		}
		require.NoError(t, sqldb.Migrate(ctx, db, "note", later))
		require.ErrorIs(t, sqldb.Migrate(ctx, db, "note", schema), sqldb.ErrNewer)

		other := fstest.MapFS{}
		for _, d := range []string{"sqlite", "postgres"} {
			other[d+"/0001_other.sql"] = &fstest.MapFile{Data: []byte(up + "CREATE TABLE other (id BIGINT);")}
		}
		require.NoError(t, sqldb.Migrate(ctx, db, "other", other), "components do not share a version")

		bad := fstest.MapFS{}
		for _, d := range []string{"sqlite", "postgres"} {
			bad[d+"/0001_bad.sql"] = &fstest.MapFile{Data: []byte(up + "CREATE TABLE half (id BIGINT);\nCREATE TABLE note (id BIGINT);")}
		}
		require.Error(t, sqldb.Migrate(ctx, db, "bad", bad))
		require.Error(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			var n int
			return tx.QueryRow(ctx, "SELECT count(*) FROM half").Scan(&n)
		}), "a migration that fails leaves nothing")

		for _, name := range []string{"", "Note", "a-b", "a;b", "1a"} {
			require.Error(t, sqldb.Migrate(ctx, db, name, schema), name)
		}
	})
}

func TestMigrateFromSeveralProcessesAtOnce(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dsn(t)
			var wg sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				db := sqltest.Open(t, dsn) // its own connections, as another process has
				wg.Go(func() { errs[i] = sqldb.Migrate(t.Context(), db, "note", schema) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
		})
	}
}
