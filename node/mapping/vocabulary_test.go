package mapping_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// memory is the vocabulary of the test data without a database.
type memory map[[2]string]vocab.Mapping

func (m memory) Lookup(_ context.Context, vocabulary, code string) (vocab.Mapping, error) {
	return m[[2]string{vocabulary, code}], nil
}

// failing is a vocabulary whose database is gone.
type failing struct{ err error }

func (f failing) Lookup(context.Context, string, string) (vocab.Mapping, error) {
	return vocab.Mapping{}, f.err
}

var (
	memoryOnce sync.Once
	memoryRead memory
)

// words reads the vocabulary of the test data once.
func words(t testing.TB) memory {
	t.Helper()
	memoryOnce.Do(func() {
		dir := t.TempDir()
		require.NoError(t, testdata.ExtractVocabulary(dir))
		concepts := map[int64]vocab.Concept{}
		lines(t, filepath.Join(dir, "CONCEPT.csv.gz"), func(f []string) {
			c := vocab.Concept{ID: number(t, f[0]), Name: f[1], Domain: f[2], Vocabulary: f[3], Class: f[4], Code: f[6], Standard: f[5] == "S"}
			concepts[c.ID] = c
		})
		targets := map[int64][]vocab.Concept{}
		lines(t, filepath.Join(dir, "CONCEPT_RELATIONSHIP.csv.gz"), func(f []string) {
			if to := concepts[number(t, f[1])]; f[2] == "Maps to" && to.Standard {
				targets[number(t, f[0])] = append(targets[number(t, f[0])], to)
			}
		})
		memoryRead = memory{}
		for _, c := range concepts {
			m := vocab.Mapping{Source: c, Standard: targets[c.ID]}
			if len(m.Standard) == 0 && c.Standard {
				m.Standard = []vocab.Concept{c}
			}
			slices.SortFunc(m.Standard, func(a, b vocab.Concept) int { return int(a.ID - b.ID) })
			memoryRead[[2]string{c.Vocabulary, c.Code}] = m
		}
	})
	return memoryRead
}

func lines(t testing.TB, path string, visit func([]string)) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	zr, err := gzip.NewReader(f)
	require.NoError(t, err)
	s := bufio.NewScanner(zr)
	for first := true; s.Scan(); first = false {
		if !first {
			visit(strings.Split(s.Text(), "\t"))
		}
	}
	require.NoError(t, s.Err())
}

func number(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err)
	return n
}
