package raw

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllDigestsAreListed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		for _, err := range s.Digests(t.Context()) {
			require.NoError(t, err)
			t.Fatal("an empty store has a file")
		}
		want := map[Digest]bool{}
		for i := range 300 {
			want[put(t, s.Store, []byte{byte(i), byte(i >> 8)})] = true
		}
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "no digest"), nil, 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(s.dir, "another folder"), 0o700))
		for range s.Digests(t.Context()) {
			break // that is all right
		}
		for d, err := range s.Digests(t.Context()) {
			require.NoError(t, err)
			require.True(t, want[d], "each once")
			delete(want, d)
		}
		require.Empty(t, want)
	})
}

func TestEncryptedIsTheFileAsItIsStored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		d := put(t, s.Store, []byte("content"))
		f, size, err := s.Encrypted(t.Context(), d)
		require.NoError(t, err)
		got, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, s.stored(t, s.names(t)[0]), got)
		require.EqualValues(t, len(got), size)
		require.NotContains(t, string(got), "content")
		_, _, err = s.Encrypted(t.Context(), Digest{1})
		require.ErrorIs(t, err, ErrNotFound)
	})
}
