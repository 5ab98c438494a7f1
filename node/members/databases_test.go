package members_test

import (
	"compress/gzip"
	"encoding/csv"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestDatabasesGiveWhatFilesDo reads each data set from the files and from both engines. The
// columns are the same, so that the members are; some definitions are evaluated on them.
func TestDatabasesGiveWhatFilesDo(t *testing.T) {
	t.Parallel()
	for engine, address := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "cdm.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		for set := range data {
			t.Run(engine+"/"+set, func(t *testing.T) {
				t.Parallel()
				address := address(t)
				fill(t, address, "testdata/"+set)
				wanted, _ := readFiles(t, set)
				guest, err := sqldb.OpenGuest(t.Context(), address, "")
				require.NoError(t, err)
				defer guest.Close()
				require.NoError(t, guest.Read(t.Context(), func(v *sqldb.Visit) error {
					tables, err := memory.Database(t.Context(), v)
					require.NoError(t, err)
					got, vocabulary := read(t, tables, set)
					same(t, wanted, got)
					some(t, set, got, vocabulary)
					return nil
				}))
			})
		}
	}
}

// same compares two sources.
func same(t *testing.T, want, got *memory.Source) {
	t.Helper()
	require.Equal(t, want.People(), got.People())
	for _, d := range cohort.Domains() {
		a, err := want.Events(t.Context(), d, nil)
		require.NoError(t, err)
		b, err := got.Events(t.Context(), d, nil)
		require.NoError(t, err)
		for c, v := range a.Columns {
			if v.Number != nil {
				require.True(t, slices.EqualFunc(v.Number, b.Columns[c].Number, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }), c)
			} else {
				require.Equal(t, v, b.Columns[c], c)
			}
		}
		one, two := *a, *b
		one.Columns, two.Columns = nil, nil
		require.Equal(t, one, two, d)
	}
}

// some evaluates every thirtieth definition.
func some(t *testing.T, set string, source events.Source, vocabulary events.Vocabulary) {
	t.Helper()
	all, err := definitions()
	require.NoError(t, err)
	for i, e := range expected(t, set) {
		if i%30 != 0 {
			continue
		}
		result, err := members.Evaluate(t.Context(), all[data[set]+"/"+e.id], source, vocabulary, members.Options{})
		require.NoError(t, err, e.id)
		text, _ := lines(source.People(), result.Entries, e.dropped)
		require.Equal(t, e.checksum, checksum(text), e.id)
	}
}

// kinds are the types of columns that are no whole numbers, by the ends of their names.
var kinds = map[string]string{
	"_date": "date", "_reason": "varchar(255)", "_number": "varchar(255)", "device_id": "varchar(255)", "_string": "varchar(255)", "source_id": "varchar(255)",
	"as_number": "numeric", "range_low": "numeric", "range_high": "numeric", "quantity": "numeric", "dose_value": "numeric", "relationship_id": "varchar(20)",
}

// fill makes tables of the files of a folder.
func fill(t *testing.T, address, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.csv.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: address})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, path := range files {
			rows := cells(t, path)
			table := strings.TrimSuffix(filepath.Base(path), ".csv.gz")
			var columns []string
			for _, name := range rows[0] {
				kind := "bigint"
				for _, end := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int { return len(a) - len(b) }) { // the longest counts
					if strings.HasSuffix(name, end) {
						kind = kinds[end]
					}
				}
				columns = append(columns, name+" "+kind)
			}
			if _, err := tx.Exec(t.Context(), "CREATE TABLE "+table+" ("+strings.Join(columns, ", ")+")"); err != nil {
				return err
			}
			for some := range slices.Chunk(rows[1:], 500) {
				if _, err := tx.Exec(t.Context(), "INSERT INTO "+table+" VALUES "+values(some)); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func cells(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	rows, err := csv.NewReader(zipped).ReadAll()
	require.NoError(t, err)
	return rows
}

// values are rows as SQL writes them.
func values(rows [][]string) string {
	var text strings.Builder
	for i, row := range rows {
		for j, cell := range row {
			switch {
			case i > 0 && j == 0:
				text.WriteString("), (")
			case j == 0:
				text.WriteString("(")
			default:
				text.WriteString(", ")
			}
			if cell == "" {
				text.WriteString("NULL")
			} else {
				text.WriteString("'" + strings.ReplaceAll(cell, "'", "''") + "'")
			}
		}
	}
	return text.String() + ")"
}
