package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAProgramRemovesItsOwnPlaceOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remove, err := writePlace(dir, "http://127.0.0.1:1")
	require.NoError(t, err)
	p, err := readPlace(dir)
	require.NoError(t, err)
	require.Equal(t, place{"http://127.0.0.1:1", os.Getpid()}, p)

	successor := []byte(`{"url":"http://127.0.0.1:1","process":1}` + "\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, runFile), successor, 0o600))
	remove()
	require.FileExists(t, filepath.Join(dir, runFile))

	remove, err = writePlace(dir, "http://127.0.0.1:1")
	require.NoError(t, err)
	remove()
	require.NoFileExists(t, filepath.Join(dir, runFile))
}
