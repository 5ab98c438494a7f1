package raw

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// copied is a store over the same folder with a copy of the key file as it is now.
func copied(t *testing.T, dir, key string) *Store {
	t.Helper()
	data, err := os.ReadFile(key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "copy.key")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	s, err := Open(Config{Dir: dir, KeyFile: path})
	require.NoError(t, err)
	return s
}

func TestARotatedKeyOpensOldFilesAndAnOldKeyNoNewOnes(t *testing.T) {
	t.Parallel()
	dir, key := filepath.Join(t.TempDir(), "raw"), filepath.Join(t.TempDir(), "raw.key")
	require.NoError(t, CreateKey(key))
	cfg := Config{Dir: dir, KeyFile: key}
	contents := [][]byte{{}, []byte("a"), random(3 << 20), random(100)}
	stolen := copied(t, dir, key)
	for _, c := range contents[:3] {
		put(t, stolen, c)
	}
	require.NoError(t, RotateKey(key))
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s, err := Open(cfg)
	require.NoError(t, err)
	all := make([]Digest, len(contents))
	for i, c := range contents {
		all[i] = put(t, s, c)
		got, err := read(s, all[i])
		require.NoError(t, err)
		require.Equal(t, string(c), string(got))
	}
	require.ErrorIs(t, stolen.Verify(t.Context(), all[3]), ErrDamaged, "it is under the new key")
	require.NoError(t, stolen.Verify(t.Context(), all[2]), "it is under the old key yet")
	bad := put(t, stolen, []byte("bad"))
	require.NoError(t, os.WriteFile(s.path(bad), []byte("nothing that any key opens, however long it is tried"), 0o600))

	ctx, cancel := context.WithCancel(t.Context())
	n, err := Reencrypt(ctx, cfg, func(Reencrypted) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	first := n.Files + n.Before + n.Damaged
	require.GreaterOrEqual(t, first, int64(1))
	require.Less(t, n.Files, int64(3))
	again, err := Reencrypt(t.Context(), cfg, func(Reencrypted) {})
	require.NoError(t, err)
	require.EqualValues(t, 3, n.Files+again.Files, "each once")
	require.EqualValues(t, 1, again.Damaged)
	last, err := Reencrypt(t.Context(), cfg, func(Reencrypted) {})
	require.NoError(t, err)
	require.Equal(t, Reencrypted{Before: 4, Damaged: 1}, last)
	for i, c := range contents {
		got, err := read(s, all[i])
		require.NoError(t, err)
		require.Equal(t, string(c), string(got))
		require.ErrorIs(t, stolen.Verify(t.Context(), all[i]), ErrDamaged, "the old key opens nothing")
	}
	left, err := os.ReadDir(s.unfinished())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestARotationThatFailsKeepsTheKey(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "raw.key")
	require.Error(t, RotateKey(key), "there is none")
	require.NoError(t, os.WriteFile(key, []byte("{}"), 0o600))
	require.ErrorContains(t, RotateKey(key), "not a Tink keyset")
	text, err := os.ReadFile(key)
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
}
