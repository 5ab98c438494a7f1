// Package sqltest gives tests a fresh database on each engine.
//
// [Each] runs a test on SQLite and then on PostgreSQL. The PostgreSQL server is
// started once per test binary from the programs on this machine, in a temporary
// folder and on a Unix socket only, and ends with the test binary however that
// ends. Where PostgreSQL is missing its half is skipped, which is printed; with
// CI=true it fails instead.
package sqltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// ServerVariable names the environment variable with the address of a running
// PostgreSQL server to use instead of starting one.
const ServerVariable = "TRIALMESH_TEST_POSTGRES"

// Each runs fn as the subtests "sqlite" and "postgres", each with an empty
// database that is closed when the subtest ends.
func Each(t *testing.T, fn func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, Postgres(t))
	})
}

// SQLite returns an empty SQLite database in the test's temporary folder.
func SQLite(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
}

// Postgres returns an empty PostgreSQL schema, or skips the test.
func Postgres(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, PostgresDSN(t))
}

// schemas numbers the schemas of this process.
var schemas atomic.Int64

// PostgresDSN creates an empty PostgreSQL schema, which is dropped when the test
// ends, and returns its address. It skips the test where there is no PostgreSQL.
func PostgresDSN(t testing.TB) string {
	t.Helper()
	base, err := server()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("PostgreSQL is required when CI=true: %v", err)
		}
		fmt.Fprintf(os.Stderr, "--- SKIP: %s: no PostgreSQL: %v\n", t.Name(), err)
		t.Skipf("no PostgreSQL: %v", err)
	}
	schema, err := sqldb.MakeSchema(t.Context(), base, fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, schema.Drop(context.WithoutCancel(t.Context()))) })
	return schema.DSN
}

// Open opens dsn and closes it when the test ends.
func Open(t testing.TB, dsn string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: dsn})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
