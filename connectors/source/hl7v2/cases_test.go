package hl7v2

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// outside is a message that others wrote and the FHIR resources that others made of it.
type outside struct {
	Name     string
	Message  string
	Segments map[string]int
	Expected []map[string]any
}

func outsideCases(t testing.TB, set string) []outside {
	t.Helper()
	var all []outside
	lines := bufio.NewScanner(bytes.NewReader(unzip(t, set+"/cases.ndjson.gz")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c outside
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		all = append(all, c)
	}
	require.NoError(t, lines.Err())
	return all
}

func unzip(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	zr, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	data, err = io.ReadAll(zr)
	require.NoError(t, err)
	return data
}

// collected is everything one Read gave.
type collected struct {
	records  []fhir.Record
	problems []*fhir.Problem
	summary  fhir.Summary
}

func collect(t testing.TB, src io.Reader, opts Options) (c collected) {
	t.Helper()
	for rec, err := range Read(t.Context(), src, opts) {
		c.summary.Note(rec, err)
		if p, ok := fhir.AsProblem(err); ok {
			c.problems = append(c.problems, p)
			continue
		}
		require.NoError(t, err)
		c.records = append(c.records, rec)
	}
	return c
}

func collectText(t testing.TB, text string) collected {
	t.Helper()
	return collect(t, strings.NewReader(text), Options{})
}

// places renders problems as "rule line path".
func (c collected) places() []string {
	all := []string{}
	for _, p := range c.problems {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s", p.Rule, p.Line, p.Path)))
	}
	return all
}

// first is the resource of the first record of a type.
func first[R fhir.Resource](t testing.TB, c collected) R {
	t.Helper()
	for _, rec := range c.records {
		if r, ok := rec.Resource.(R); ok {
			return r
		}
	}
	var none R
	require.Failf(t, "no such record", "%T", none)
	return none
}

// parsed is a message for tests of what is below Read.
func parsed(t testing.TB, text string) *message {
	t.Helper()
	var m message
	text = strings.TrimPrefix(text, byteOrderMark)
	var lines [][]byte
	for l := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		lines = append(lines, []byte(l))
	}
	require.Nil(t, m.parse(lines, "", 1_000_000))
	m.raw = []byte(text)
	return &m
}
