package hl7v2

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// ledger compares facts, each a kind and a text, and counts those that only one side has.
type ledger struct {
	agree map[string]int
	only  map[string]*difference // by side, kind and text
	types map[string]*tally      // by the part of a kind before its point
}

// tally counts the messages in which a type of resource was compared.
type tally struct{ messages, alike, within int }

type difference struct {
	count int
	first string // message
}

// compare takes the facts of one message.
func (l *ledger) compare(name string, ours, theirs map[string][]string) {
	if l.agree == nil {
		*l = ledger{map[string]int{}, map[string]*difference{}, map[string]*tally{}}
	}
	kinds := map[string]bool{}
	for k := range ours {
		kinds[k] = true
	}
	for k := range theirs {
		kinds[k] = true
	}
	compared, more, less := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for k := range kinds {
		of, _, _ := strings.Cut(k, ".")
		compared[of] = true
		rest := slices.Clone(theirs[k])
		var only []string
		for _, fact := range ours[k] {
			if at := slices.Index(rest, fact); at >= 0 {
				rest = slices.Delete(rest, at, at+1)
				l.agree[k]++
			} else {
				only = append(only, fact)
			}
		}
		for _, fact := range only {
			l.note(name, k+"\tours\t"+fact)
			more[of] = true
		}
		for _, fact := range rest {
			l.note(name, k+"\ttheirs\t"+fact)
			less[of] = true
		}
	}
	for of := range compared {
		if l.types[of] == nil {
			l.types[of] = &tally{}
		}
		l.types[of].messages++
		if !more[of] {
			l.types[of].within++
			if !less[of] {
				l.types[of].alike++
			}
		}
	}
}

func (l *ledger) note(name, line string) {
	if l.only[line] == nil {
		l.only[line] = &difference{first: name}
	}
	l.only[line].count++
}

// golden compares the differences with those that were looked at.
func (l *ledger) golden(t testing.TB, file string) {
	t.Helper()
	var b strings.Builder
	for _, of := range slices.Sorted(maps.Keys(l.types)) {
		n := l.types[of]
		fmt.Fprintf(&b, "%s\tmessages\t%d, alike in %d, all of ours is theirs in %d\n", of, n.messages, n.alike, n.within)
	}
	for _, k := range slices.Sorted(maps.Keys(l.agree)) {
		fmt.Fprintf(&b, "%s\tagree\t\t%d\n", k, l.agree[k])
	}
	for _, line := range slices.Sorted(maps.Keys(l.only)) {
		fmt.Fprintf(&b, "%s\t%d\t%s\n", line, l.only[line].count, l.only[line].first)
	}
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}
