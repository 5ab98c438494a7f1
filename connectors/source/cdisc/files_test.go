package cdisc

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// file returns a file of testdata, uncompressed.
func file(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	raw, err = io.ReadAll(zr)
	require.NoError(t, err)
	return raw
}

// files are those of testdata, or of the folders that TRIALMESH_CDISC names, which may hold
// the whole of what testdata is a part of.
func files(t testing.TB, pattern string) []string {
	t.Helper()
	folders := []string{"testdata/phuse", "testdata/msg"}
	if named := os.Getenv("TRIALMESH_CDISC"); named != "" {
		folders = filepath.SplitList(named)
	}
	var all []string
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.NotEmpty(t, all)
	return all
}

// got is what a data set gives.
type got struct {
	records  []fhir.Record
	problems []*fhir.Problem
}

func (g *got) types() map[string]int {
	n := map[string]int{}
	for _, rec := range g.records {
		n[rec.Type]++
	}
	return n
}

func (g *got) rules() map[fhir.Rule]int {
	n := map[fhir.Rule]int{}
	for _, p := range g.problems {
		n[p.Rule]++
	}
	return n
}

func readAll(t testing.TB, src io.Reader, opts fhir.Options) *got {
	t.Helper()
	out := &got{}
	for rec, err := range Read(t.Context(), src, opts) {
		if err != nil {
			p, ok := fhir.AsProblem(err)
			require.True(t, ok, "%v", err)
			out.problems = append(out.problems, p)
			continue
		}
		out.records = append(out.records, rec)
	}
	return out
}

// results are those of files that were read.
var results sync.Map

// readFile returns what a file gives, and reads it once for all tests. Nobody changes it.
func readFile(t testing.TB, name string) *got {
	t.Helper()
	once, _ := results.LoadOrStore(name, sync.OnceValue(func() *got {
		return readAll(t, bytes.NewReader(file(t, name)), fhir.Options{})
	}))
	return once.(func() *got)()
}

func readText(t testing.TB, text string) *got {
	t.Helper()
	return readAll(t, strings.NewReader(text), fhir.Options{})
}

// only returns the resource of a data set of one row.
func only[R fhir.Resource](t testing.TB, text string) R {
	t.Helper()
	g := readText(t, text)
	require.Empty(t, g.problems)
	require.Len(t, g.records, 1)
	made, ok := g.records[0].Resource.(R)
	require.True(t, ok, g.records[0].Type)
	return made
}

// rowOf is a CSV file of one row, given as name=value.
func rowOf(cells ...string) string {
	var names, values []string
	for _, c := range append([]string{"STUDYID=S", "USUBJID=S-1"}, cells...) {
		name, value, _ := strings.Cut(c, "=")
		names, values = append(names, name), append(values, `"`+value+`"`)
	}
	return strings.Join(names, ",") + "\n" + strings.Join(values, ",") + "\n"
}

// independently reads a CSV file or Dataset-JSON with the standard library alone: a map of
// texts for each row. Repeated rows and fragments of a CSV file are left out.
func independently(t testing.TB, name string) (rows []map[string]string) {
	t.Helper()
	text := file(t, name)
	if strings.Contains(name, ".csv") {
		all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, cells := range all[1:] {
			key := strings.Join(cells, "|")
			if cells[0] == "" || seen[key] {
				continue
			}
			seen[key] = true
			row := map[string]string{}
			for i, name := range all[0] {
				row[name] = cells[i]
			}
			rows = append(rows, row)
		}
		return rows
	}
	var data struct {
		Columns []struct{ Name string }
		Rows    [][]any
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&data))
	for _, cells := range data.Rows {
		row := map[string]string{}
		for i, column := range data.Columns {
			if cells[i] != nil {
				row[column.Name] = fmt.Sprint(cells[i])
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func bufioOf(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
