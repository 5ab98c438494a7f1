package cohort_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// archive returns the definitions of testdata by name, such as library/25.
var archive = sync.OnceValues(func() (map[string][]byte, error) {
	f, err := os.Open(filepath.Join("testdata", "definitions.tar.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if name, isDefinition := strings.CutSuffix(entry.Name, ".json"); isDefinition {
			if files[name], err = io.ReadAll(r); err != nil {
				return nil, err
			}
		}
	}
})

// definitions are those of the archive, read once for all tests, which do not change them.
var definitions = sync.OnceValues(func() (map[string]cohort.Definition, error) {
	files, err := archive()
	if err != nil {
		return nil, err
	}
	read := make(map[string]cohort.Definition, len(files))
	for name, raw := range files {
		d, err := cohort.Read(raw)
		if err != nil {
			return nil, errors.Join(errors.New(name), err)
		}
		read[name] = d
	}
	return read, nil
})

func allDefinitions(t testing.TB) (names []string, all map[string]cohort.Definition) {
	t.Helper()
	all, err := definitions()
	require.NoError(t, err)
	return slices.Sorted(maps.Keys(all)), all
}

// TestAllDefinitionsAreRead: none of them has an element that the reader does not know.
func TestAllDefinitionsAreRead(t *testing.T) {
	t.Parallel()
	names, all := allDefinitions(t)
	require.Len(t, names, 442)
	reads := map[cohort.Domain]bool{}
	for _, d := range all {
		for _, domain := range d.Reads() {
			reads[domain] = true
		}
		require.Empty(t, d.Unsupported())
	}
	for _, domain := range cohort.Domains() {
		if domain != cohort.LocationRegion {
			require.True(t, reads[domain], "no definition reads %s", domain)
		}
	}
}

// TestLibraryHasNoFalseAlarms: published definitions are what their authors mean. What
// looks odd about them is a note.
func TestLibraryHasNoFalseAlarms(t *testing.T) {
	t.Parallel()
	names, all := allDefinitions(t)
	notes := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "library/") {
			continue
		}
		for _, f := range all[name].Lint() {
			require.Equal(t, cohort.Note, f.Severity, "%s: %+v", name, f)
			notes++
		}
	}
	require.Equal(t, 129, notes)
}
