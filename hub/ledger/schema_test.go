package ledger_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The schema after all migrations, to be read as a diff.
func TestSchemaIsGolden(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	var schema strings.Builder
	write(t, db, func(tx *sqldb.Tx) {
		rows, err := tx.Query(t.Context(), "SELECT sql FROM sqlite_master WHERE name LIKE 'ledger_%' AND sql IS NOT NULL ORDER BY name")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var statement string
			require.NoError(t, rows.Scan(&statement))
			schema.WriteString(statement + ";\n\n")
		}
		require.NoError(t, rows.Err())
	})
	const golden = "testdata/schema.golden.sql"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(schema.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), schema.String())
}
