package series_test

import (
	"flag"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestSchemaAfterAllMigrations(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		newSite(t, db, series.Config{})
		path, got := filepath.Join("testdata", "schema."+string(db.Dialect())+".golden"), schema(t, db)
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o750))
			require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err, "run the test with -update")
		require.Equal(t, string(want), got, "%s; -update rewrites it", path)
	})
}

// schema describes tables, columns and indexes, sorted.
func schema(t *testing.T, db *sqldb.DB) string {
	t.Helper()
	query := `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'schema_version%'`
	if db.Dialect() == sqldb.Postgres {
		query = `SELECT 'column ' || c.table_name || '.' || lpad(c.ordinal_position::text, 2, '0') || ' ' || c.column_name || ' ' || c.data_type
				|| CASE c.is_nullable WHEN 'NO' THEN ' not null' ELSE '' END || CASE a.attstorage WHEN 'e' THEN ' external' ELSE '' END
			FROM information_schema.columns c
			JOIN pg_attribute a ON a.attrelid = (quote_ident(c.table_schema) || '.' || quote_ident(c.table_name))::regclass AND a.attname = c.column_name
			WHERE c.table_schema = current_schema() AND c.table_name NOT LIKE 'schema_version%'
			UNION ALL SELECT replace(indexdef, current_schema() || '.', '') FROM pg_indexes
			WHERE schemaname = current_schema() AND tablename NOT LIKE 'schema_version%'`
	}
	var lines []string
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			require.NoError(t, rows.Scan(&s))
			lines = append(lines, s)
		}
		return rows.Err()
	}))
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}
