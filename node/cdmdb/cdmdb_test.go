package cdmdb_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/cdmdb"
)

const gibleed = "../../connectors/source/cdm/testdata/gibleed/"

// engines runs fn on an empty database of each engine, with its address.
func engines(t *testing.T, fn func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, "sqlite:"+filepath.Join(t.TempDir(), "cdm.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, sqltest.PostgresDSN(t))
	})
}

// run executes statements in the database at address.
func run(t testing.TB, address string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also when the test ends
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: address})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}))
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

var word = regexp.MustCompile(`[a-z_0-9]+`)

// fill makes a table of typed columns from a file of GiBleed; rename may change its columns'
// names.
func fill(t testing.TB, address, table string, rename func(string) string) {
	t.Helper()
	f, err := os.Open(gibleed + table + ".csv.gz")
	require.NoError(t, err)
	defer f.Close()
	in, err := fhir.OpenInput(t.Context(), f, fhir.Options{})
	require.NoError(t, err)
	rows, err := csv.NewReader(in).ReadAll()
	require.NoError(t, err)
	columns := make([]string, len(rows[0]))
	for i, title := range rows[0] { // which may be date(birth_datetime,'unixepoch')
		names := word.FindAllString(strings.ToLower(title), -1)
		at := slices.IndexFunc(names, func(name string) bool { _, ok := cdm.StoredTable(table).Column(name); return ok })
		require.GreaterOrEqual(t, at, 0, "%s %s", table, title)
		kind := "varchar(255)"
		switch name := names[at]; {
		case strings.HasSuffix(name, "_id"), strings.HasPrefix(name, "year_"), strings.HasPrefix(name, "month_"), strings.HasPrefix(name, "day_"):
			kind = "bigint"
		case strings.HasSuffix(name, "_date"):
			kind = "date"
		case strings.HasSuffix(name, "_datetime"):
			kind = "timestamp"
		case strings.HasPrefix(name, "value_as_number"), strings.HasPrefix(name, "quantity"):
			kind = "numeric"
		}
		columns[i] = `"` + rename(names[at]) + `" ` + kind
	}
	statements := []string{fmt.Sprintf(`CREATE TABLE "%s" (%s)`, rename(table), strings.Join(columns, ", "))}
	for some := range slices.Chunk(rows[1:], 200) {
		var values []string
		for _, row := range some {
			cells := make([]string, len(row))
			for i, cell := range row {
				if cells[i] = quote(cell); cell == "" {
					cells[i] = "NULL"
				}
			}
			values = append(values, "("+strings.Join(cells, ", ")+")")
		}
		statements = append(statements, fmt.Sprintf(`INSERT INTO "%s" VALUES %s`, rename(table), strings.Join(values, ", ")))
	}
	run(t, address, statements...)
}

// records are what the reader of a CDM gives of a file.
func records(t testing.TB, src io.Reader) []fhir.Record {
	t.Helper()
	var all []fhir.Record
	for rec, err := range cdm.Read(t.Context(), src, fhir.Options{}) {
		require.NoError(t, err)
		all = append(all, rec)
	}
	return all
}

func keyOf(rec fhir.Record) int64 {
	row := rec.Resource.(*cdm.Row)
	return row.Int(row.Table.Columns[0].Name)
}

func same(name string) string { return name }

// read copies the tables, which are closed when the test ends, and what was said.
func read(t testing.TB, address, schema string) (tables []cdmdb.Table, said []string, err error) {
	t.Helper()
	tables, err = cdmdb.Read(t.Context(), cdmdb.Config{Address: address, Schema: schema, Say: func(s string) { said = append(said, s) }})
	t.Cleanup(func() { require.NoError(t, cdmdb.Close(tables)) })
	return tables, said, err
}

// TestADatabaseGivesTheRowsOfItsExport puts Eunomia's tables into typed columns, with upper
// case names on the way, and compares each row with that of the CSV file.
func TestADatabaseGivesTheRowsOfItsExport(t *testing.T) {
	t.Parallel()
	all := []string{"person", "observation_period", "visit_occurrence", "death", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation"}
	engines(t, func(t *testing.T, address string) {
		for i, table := range all {
			rename := same
			if i%2 == 1 {
				rename = strings.ToUpper
			}
			fill(t, address, table, rename)
		}
		tables, said, err := read(t, address, "")
		require.NoError(t, err)
		require.Contains(t, said, "death: 0 rows")
		var got []string
		for _, table := range tables {
			got = append(got, strings.TrimSuffix(table.Name, ".csv.gz"))
			f, err := os.Open(gibleed + table.Name)
			require.NoError(t, err)
			defer f.Close()
			want := records(t, f)
			require.EqualValues(t, len(want), table.Rows)
			byKey := map[int64]fhir.Resource{} // a heap may have another order
			for _, rec := range want {
				byKey[keyOf(rec)] = rec.Resource
			}
			for _, rec := range records(t, io.NewSectionReader(table, 0, table.Size())) {
				require.True(t, reflect.DeepEqual(byKey[keyOf(rec)], rec.Resource), "%s line %d", table.Name, rec.Line)
				delete(byKey, keyOf(rec))
			}
			require.Empty(t, byKey)
			require.Equal(t, cdm.StoredTable(got[len(got)-1]).Stage(), table.Stage)
		}
		require.Equal(t, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "death" }), got, "in the order in which they are loaded; one without rows is not sent")

		again, _, err := read(t, address, "")
		require.NoError(t, err)
		for i := range tables {
			require.Equal(t, tables[i].Digest, again[i].Digest, "the same rows are the same file, which a node knows")
		}
	})
}

// TestASchemaMayDiffer: tables are missing, columns are too many, in other case or named as
// in 5.3.
func TestASchemaMayDiffer(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, address string) {
		run(t, address,
			`CREATE TABLE "PERSON" ("PERSON_ID" bigint, gender_concept_id int, "Year_Of_Birth" int, race_concept_id int, ethnicity_concept_id int, ssn text)`,
			`INSERT INTO "PERSON" VALUES (-9007199254740993, 8532, 1950, 8527, 0, 'never')`,
			`CREATE TABLE visit_occurrence (visit_occurrence_id bigint, person_id bigint, visit_concept_id int, visit_start_date date, visit_end_date date,
				visit_type_concept_id int, admitting_source_concept_id int, discharge_to_concept_id int, discharged_to_concept_id int)`,
			`INSERT INTO visit_occurrence VALUES (1, -9007199254740993, 9201, '2020-01-01', '2020-01-03', 32817, 8717, 1, 8536)`,
			`CREATE TABLE note (note_id bigint)`)
		tables, said, err := read(t, address, "")
		require.NoError(t, err)
		require.Len(t, tables, 2)
		person := records(t, io.NewSectionReader(tables[0], 0, tables[0].Size()))
		require.EqualValues(t, -9007199254740993, person[0].Resource.(*cdm.Row).Int("person_id"))
		visit := records(t, io.NewSectionReader(tables[1], 0, tables[1].Size()))[0].Resource.(*cdm.Row)
		require.EqualValues(t, 8717, visit.Int("admitted_from_concept_id"))
		require.EqualValues(t, 8536, visit.Int("discharged_to_concept_id"), "the column of 5.4 counts")
		require.Contains(t, said, "person: left out ssn, which the CDM does not have")
		require.Contains(t, said, "visit_occurrence: left out discharge_to_concept_id, which the CDM does not have")
		require.Contains(t, said, "measurement: no such table")
	})
}

func TestWhatIsNoCDMIsRefused(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, address string) {
		run(t, address, `CREATE TABLE something (a int)`)
		_, _, err := read(t, address, "")
		require.ErrorContains(t, err, "no table person")
		if strings.HasPrefix(address, "sqlite:") {
			require.NotContains(t, err.Error(), "schema")
		} else {
			require.ErrorContains(t, err, "name the schema")
			_, _, err = read(t, address, "nope")
			require.ErrorContains(t, err, "schema nope has no table person")
			at, bad := url.Parse(address)
			require.NoError(t, bad)
			who := at.Query()
			who.Set("user", "nobody-is-called-this") // it counts before the one in front of the host
			at.RawQuery = who.Encode()
			_, _, err = read(t, at.String(), "")
			require.ErrorIs(t, err, sqldb.ErrAccount)
		}
		run(t, address, `CREATE TABLE person (a int)`)
		_, _, err = read(t, address, "")
		require.ErrorContains(t, err, "person has no column of the CDM")
		run(t, address, `DROP TABLE person`, `CREATE TABLE person (person_id int)`)
		_, _, err = read(t, address, "")
		require.ErrorContains(t, err, "no rows")
	})
	_, _, err := read(t, "sqlite:"+filepath.Join(t.TempDir(), "none.db"), "")
	require.ErrorIs(t, err, sqldb.ErrUnavailable, "a file is not made")
	_, _, err = read(t, "sqlite:x.db", "cdm")
	require.ErrorContains(t, err, "no schemas")
	_, _, err = read(t, "mysql:x", "")
	require.ErrorContains(t, err, "must begin with")
}

// TestSecondsAreTimesInSQLite reads times as OHDSI's R packages write them there.
func TestSecondsAreTimesInSQLite(t *testing.T) {
	t.Parallel()
	address := "sqlite:" + filepath.Join(t.TempDir(), "cdm.db")
	run(t, address, `CREATE TABLE person (person_id NUMERIC, gender_concept_id NUMERIC, year_of_birth NUMERIC, birth_datetime REAL, race_concept_id NUMERIC, ethnicity_concept_id NUMERIC)`,
		`INSERT INTO person VALUES (7, 8532, 1963, -189388800.0, 8527, 0), (8, 8532, 1963, NULL, 8527, 0)`)
	tables, _, err := read(t, address, "")
	require.NoError(t, err)
	rows := records(t, io.NewSectionReader(tables[0], 0, tables[0].Size()))
	at := rows[0].Resource.(*cdm.Row).Time("birth_datetime")
	require.NotNil(t, at)
	require.Equal(t, "1964-01-01", at.UTC().Format("2006-01-02"))
	require.False(t, rows[1].Resource.(*cdm.Row).Has("birth_datetime"))
}

// TestATableThatMayNotBeReadIsNamed: then nothing is given of the others either.
func TestATableThatMayNotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	address := sqltest.PostgresDSN(t)
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	schema := q.Get("search_path")
	role := "reader_of_" + schema
	run(t, address, `CREATE TABLE person (person_id int)`, `INSERT INTO person VALUES (1)`, `CREATE TABLE death (person_id int, death_date date)`,
		"CREATE ROLE "+role+" LOGIN", "GRANT USAGE ON SCHEMA "+schema+" TO "+role, "GRANT SELECT ON person TO "+role)
	t.Cleanup(func() { run(t, address, "DROP OWNED BY "+role, "DROP ROLE "+role) })
	q.Set("user", role)
	q.Del("search_path")
	u.RawQuery = q.Encode()
	tables, _, err := read(t, u.String(), schema)
	require.ErrorIs(t, err, sqldb.ErrForbidden)
	require.ErrorContains(t, err, "table death")
	require.Empty(t, tables)
}

// TestALostConnectionGivesNothing ends the connection when the first table has come.
func TestALostConnectionGivesNothing(t *testing.T) {
	t.Parallel()
	address := sqltest.PostgresDSN(t)
	fill(t, address, "person", same)
	fill(t, address, "condition_occurrence", same)
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	name := "copy-of-" + q.Get("search_path")
	q.Set("application_name", name)
	u.RawQuery = q.Encode()
	tables, err := cdmdb.Read(t.Context(), cdmdb.Config{Address: u.String(), Say: func(s string) {
		if s == "person: 55 rows" {
			run(t, address, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = "+quote(name))
		}
	}})
	require.ErrorContains(t, err, "table condition_occurrence")
	require.Empty(t, tables)
}
