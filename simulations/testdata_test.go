// Package simulations_test checks the demo's data against what others counted in
// it. The tests stand here because go test ./... does not enter folders named testdata.
package simulations_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// manifest returns the rows by file name, as column name to value.
func manifest(t *testing.T) map[string]map[string]string {
	t.Helper()
	rows := testdata.Manifest()
	byFile := map[string]map[string]string{}
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, column := range rows[0] {
			m[column] = row[i]
		}
		byFile[m["file"]] = m
	}
	require.Len(t, byFile, 266)
	return byFile
}

// TestFilesAreThoseOfTheManifest, byte by byte. What is in them is read and counted by
// node/mapping's tests.
func TestFilesAreThoseOfTheManifest(t *testing.T) {
	t.Parallel()
	rows, want := manifest(t), testdata.Expected()
	for _, h := range testdata.Hospitals() {
		seen := 0
		for file, err := range h.Files(t.Context()) {
			require.NoError(t, err)
			row, known := rows[file.Name]
			if !known {
				require.True(t, file.Infrastructure(), file.Name)
				continue
			}
			seen++
			require.Equal(t, h.Name, row["hospital"])
			sum := sha256.Sum256(file.Data)
			require.Equal(t, row["sha256"], hex.EncodeToString(sum[:]), file.Name)
		}
		require.Equal(t, h.Patients, seen)
		require.Equal(t, h.Patients, want.Hospitals[h.Name].Patients)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	h, dir := testdata.Hospitals()[0], filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time changes nothing
		paths, err := h.Extract(t.Context(), dir)
		require.NoError(t, err)
		require.Len(t, paths, h.Patients+2)
		require.Contains(t, paths[0], "hospitalInformation")
		require.Contains(t, paths[1], "practitionerInformation")
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, len(paths), "no half-written file is left")
		for _, p := range paths {
			require.FileExists(t, p)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Extract(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
	_, err = testdata.Hospital{Name: "nowhere"}.Extract(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestVocabularyIsWhole: no relationship leads to a concept that is not there.
func TestVocabularyIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, testdata.ExtractVocabulary(dir))
	concepts := map[string]bool{}
	for _, c := range table(t, dir, "CONCEPT.csv.gz") {
		concepts[c["concept_id"]] = true
		require.Len(t, c["valid_start_date"], 8, "Athena writes yyyymmdd")
	}
	for _, r := range table(t, dir, "CONCEPT_RELATIONSHIP.csv.gz") {
		require.Equal(t, "Maps to", r["relationship_id"])
		require.Contains(t, concepts, r["concept_id_1"])
		require.Contains(t, concepts, r["concept_id_2"])
	}
}

func table(t *testing.T, dir, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	require.NoError(t, err)
	defer f.Close()
	zr, err := gzip.NewReader(f)
	require.NoError(t, err)
	data, err := io.ReadAll(zr)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	header := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range strings.Split(line, "\t") {
			row[header[i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}
