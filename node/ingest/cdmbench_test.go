package ingest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// BenchmarkCDM loads the tables of testdata, enlarged by renumbering persons and rows.
func BenchmarkCDM(b *testing.B) {
	const copies = 40
	files := map[string][]byte{}
	rows := 0
	for _, name := range stored {
		zipped, err := os.ReadFile(filepath.Join(gibleed, name+".csv.gz"))
		require.NoError(b, err)
		files[name] = enlarge(b, zipped, copies)
		rows += bytes.Count(files[name], []byte("\n")) - 1
	}
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for range b.N {
				s := newSite(b, open(b))
				s.run(b)
				begun := time.Now()
				for _, name := range stored {
					s.load(b, name, files[name])
				}
				took += time.Since(begun)
			}
			b.ReportMetric(float64(rows*b.N)/took.Seconds(), "rows/s")
		})
	}
}

// enlarge repeats the rows of a table with the numbers of other persons and rows.
func enlarge(t testing.TB, zipped []byte, copies int) []byte {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	require.NoError(t, w.Write(rows[0]))
	for i := range copies {
		for _, row := range rows[1:] {
			shifted := slices.Clone(row)
			for c, name := range rows[0] {
				switch strings.ToLower(name) {
				case "person_id", "visit_occurrence_id", strings.ToLower(rows[0][0]):
					shifted[c] += fmt.Sprintf("%02d", i)
				}
			}
			require.NoError(t, w.Write(shifted))
		}
	}
	w.Flush()
	return out.Bytes()
}
