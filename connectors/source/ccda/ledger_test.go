package ccda

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

// ledger compares facts, each a kind and a text, and counts those that only one side has.
type ledger struct {
	agree map[string]int
	only  map[string]*difference // by kind, side and text
	types map[string]*tally      // by the part of a kind before its point
}

// tally counts the documents in which a type of resource was compared.
type tally struct{ documents, alike, within int }

type difference struct {
	count int
	first string // document
}

func newLedger() *ledger {
	return &ledger{map[string]int{}, map[string]*difference{}, map[string]*tally{}}
}

// compare takes the facts of one document.
func (l *ledger) compare(name string, ours, theirs facts) {
	compared, more, less := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, k := range kindsOf(ours, theirs) {
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
		l.types[of].documents++
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
		fmt.Fprintf(&b, "%s\tdocuments\t%d, alike in %d, all of ours is theirs in %d\n", of, n.documents, n.alike, n.within)
	}
	for _, k := range slices.Sorted(maps.Keys(l.agree)) {
		fmt.Fprintf(&b, "%s\tagree\t\t%d\n", k, l.agree[k])
	}
	for _, line := range slices.Sorted(maps.Keys(l.only)) {
		fmt.Fprintf(&b, "%s\t%d\t%s\n", line, l.only[line].count, l.only[line].first)
	}
	requireGolden(t, file, b.String())
}

// requireGolden compares text with a file that was looked at.
func requireGolden(t testing.TB, file, text string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
