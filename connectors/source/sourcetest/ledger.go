// Package sourcetest compares what the readers of sources make of outside cases with
// what others made of them.
//
// Start from [NewLedger]. The differences stand in a golden file, each looked at by a
// person and explained in the DESIGN.md of its package.
package sourcetest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Ledger compares facts, each a kind and a text, and counts those that only one side has.
type Ledger struct {
	unit  string // in the plural
	agree map[string]int
	only  map[string]*difference // by kind, side and text
	types map[string]*tally      // by the part of a kind before its point
}

// tally counts the messages or documents in which a type of resource was compared.
type tally struct{ compared, alike, within int }

type difference struct {
	count int
	first string // message or document
}

// NewLedger returns an empty ledger of messages, or whatever unit calls them.
func NewLedger(unit string) *Ledger {
	return &Ledger{unit, map[string]int{}, map[string]*difference{}, map[string]*tally{}}
}

// Compare takes the facts of one message or document, by kind such as
// "Observation.value".
func (l *Ledger) Compare(name string, ours, theirs map[string][]string) {
	compared, more, less := map[string]bool{}, map[string]bool{}, map[string]bool{}
	kinds := map[string][]string{}
	maps.Copy(kinds, ours)
	maps.Copy(kinds, theirs)
	for k := range kinds {
		of, _, _ := strings.Cut(k, ".")
		compared[of] = true
		rest := slices.Clone(theirs[k])
		for _, fact := range ours[k] {
			if at := slices.Index(rest, fact); at >= 0 {
				rest = slices.Delete(rest, at, at+1)
				l.agree[k]++
				continue
			}
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
		l.types[of].compared++
		if !more[of] {
			l.types[of].within++
			if !less[of] {
				l.types[of].alike++
			}
		}
	}
}

func (l *Ledger) note(name, line string) {
	if l.only[line] == nil {
		l.only[line] = &difference{first: name}
	}
	l.only[line].count++
}

// Golden compares the differences with those that were looked at, in a file of testdata.
func (l *Ledger) Golden(t testing.TB, file string) {
	t.Helper()
	var b strings.Builder
	for _, of := range slices.Sorted(maps.Keys(l.types)) {
		n := l.types[of]
		fmt.Fprintf(&b, "%s\t%s\t%d, alike in %d, all of ours is theirs in %d\n", of, l.unit, n.compared, n.alike, n.within)
	}
	for _, k := range slices.Sorted(maps.Keys(l.agree)) {
		fmt.Fprintf(&b, "%s\tagree\t\t%d\n", k, l.agree[k])
	}
	for _, line := range slices.Sorted(maps.Keys(l.only)) {
		fmt.Fprintf(&b, "%s\t%d\t%s\n", line, l.only[line].count, l.only[line].first)
	}
	Golden(t, file, b.String())
}

// Golden compares text with a file of testdata that was looked at; -update writes it.
func Golden(t testing.TB, file, text string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
