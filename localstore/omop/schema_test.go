package omop_test

import (
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// column is a column as the database describes it.
type column struct {
	typ      string
	required bool
	key      bool
}

func columns(t *testing.T, db *sqldb.DB, table string) map[string]column {
	t.Helper()
	ctx := t.Context()
	query := `SELECT name, lower(type), "notnull" <> 0, pk <> 0 FROM pragma_table_info(?)`
	if db.Dialect() == sqldb.Postgres {
		query = `SELECT c.column_name, CASE WHEN c.data_type = 'character varying' THEN 'varchar(' || c.character_maximum_length || ')' ELSE c.data_type END,
			c.is_nullable = 'NO', k.column_name IS NOT NULL
			FROM information_schema.columns c LEFT JOIN (
				SELECT u.table_name, u.column_name FROM information_schema.table_constraints x
				JOIN information_schema.key_column_usage u USING (constraint_schema, constraint_name)
				WHERE x.constraint_type = 'PRIMARY KEY' AND x.constraint_schema = current_schema()
			) k ON k.table_name = c.table_name AND k.column_name = c.column_name
			WHERE c.table_schema = current_schema() AND c.table_name = ?`
	}
	out := map[string]column{}
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, query, table)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var name string
			var c column
			require.NoError(t, rows.Scan(&name, &c.typ, &c.required, &c.key))
			out[name] = c
		}
		return rows.Err()
	}))
	return out
}

// types gives, for a data type of the CDM, what each engine calls it.
var types = map[string]map[sqldb.Dialect][]string{
	"integer":  {sqldb.SQLite: {"integer"}, sqldb.Postgres: {"integer", "bigint"}},
	"float":    {sqldb.SQLite: {"real"}, sqldb.Postgres: {"numeric"}},
	"date":     {sqldb.SQLite: {"date"}, sqldb.Postgres: {"date"}},
	"datetime": {sqldb.SQLite: {"datetime"}, sqldb.Postgres: {"timestamp without time zone"}},
}

func TestTablesConformToTheCDM(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/cdm_5.4_fields.csv")
	require.NoError(t, err)
	defer f.Close()
	fields, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		_, err := omop.Open(t.Context(), db)
		require.NoError(t, err)
		want := map[string]map[string]bool{}
		have := map[string]map[string]column{}
		for _, field := range fields[1:] {
			table, name, typ := strings.ToLower(field[0]), strings.ToLower(field[1]), strings.ToLower(field[3])
			if want[table] == nil {
				want[table], have[table] = map[string]bool{}, columns(t, db, table)
			}
			want[table][name] = true
			c, ok := have[table][name]
			require.True(t, ok, "%s.%s is missing", table, name)
			required := field[2] == "Yes"
			require.Equal(t, required, c.required, "%s.%s required", table, name)
			if field[4] == "Yes" {
				require.True(t, c.key, "%s.%s is the primary key", table, name)
			}
			expect := types[typ][db.Dialect()]
			if strings.HasPrefix(typ, "varchar") {
				expect = []string{typ, "text"}
			}
			require.Contains(t, expect, c.typ, "%s.%s", table, name)
			if strings.HasSuffix(name, "concept_id") && db.Dialect() == sqldb.Postgres {
				require.Equal(t, "integer", c.typ, "%s.%s", table, name)
			}
		}
		require.Len(t, want, 16)
		for table := range want {
			for name := range have[table] {
				require.True(t, want[table][name], "%s.%s is not in the CDM", table, name)
			}
		}
	})
}

func TestSchemaAfterAllMigrations(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		_, err := omop.Open(t.Context(), db)
		require.NoError(t, err)
		golden(t, "schema."+string(db.Dialect())+".golden", schema(t, db))
	})
}

// schema describes tables, columns and indexes, sorted.
func schema(t *testing.T, db *sqldb.DB) string {
	t.Helper()
	ctx := t.Context()
	query := `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'schema_version%'`
	if db.Dialect() == sqldb.Postgres {
		query = `SELECT 'column ' || table_name || '.' || lpad(ordinal_position::text, 2, '0') || ' ' || column_name || ' ' || data_type
				|| coalesce('(' || character_maximum_length || ')', '') || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END
			FROM information_schema.columns WHERE table_schema = current_schema() AND table_name NOT LIKE 'schema_version%'
			UNION ALL SELECT replace(indexdef, current_schema() || '.', '') FROM pg_indexes
			WHERE schemaname = current_schema() AND tablename NOT LIKE 'schema_version%'
			UNION ALL SELECT 'sequence ' || sequencename FROM pg_sequences WHERE schemaname = current_schema() AND sequencename NOT LIKE 'schema_version%'`
	}
	var lines []string
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, query)
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

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update")
	require.Equal(t, string(want), got, "%s; -update rewrites it", path)
}
