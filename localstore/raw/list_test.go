package raw

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigestsAreListedInOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, err := range s.Digests() {
		require.NoError(t, err)
		t.Fatal("an empty store has a file")
	}
	want := map[Digest]bool{}
	for i := range 300 {
		want[put(t, s, []byte{byte(i), byte(i >> 8)})] = true
	}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "ab", "no digest"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "another folder"), 0o700))
	var last Digest
	for d, err := range s.Digests() {
		require.NoError(t, err)
		require.True(t, want[d], "each once")
		require.Positive(t, bytes.Compare(d[:], last[:]))
		last = d
		delete(want, d)
	}
	require.Empty(t, want)
}

func TestEncryptedIsTheFileAsItLies(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := put(t, s, []byte("content"))
	f, size, err := s.Encrypted(d)
	require.NoError(t, err)
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	want, err := os.ReadFile(s.path(d))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.EqualValues(t, len(got), size)
	require.NotContains(t, string(got), "content")
	_, _, err = s.Encrypted(Digest{1})
	require.ErrorIs(t, err, ErrNotFound)
}
