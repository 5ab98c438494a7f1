package raw

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// copied is a store over the same folder with a copy of the key file as it is now.
func copied(t *testing.T, cfg Config) *Store {
	t.Helper()
	data, err := os.ReadFile(cfg.KeyFile)
	require.NoError(t, err)
	cfg.KeyFile = filepath.Join(t.TempDir(), "copy.key")
	require.NoError(t, os.WriteFile(cfg.KeyFile, data, 0o600))
	s, err := Open(cfg)
	require.NoError(t, err)
	return s
}

func TestARotatedKeyOpensOldFilesAndAnOldKeyNoNewOnes(t *testing.T) {
	t.Parallel()
	each(t, rotateAndReencrypt)
}

func rotateAndReencrypt(t *testing.T, at *site) {
	cfg, key := at.cfg, at.cfg.KeyFile
	contents := [][]byte{{}, []byte("a"), random(3 << 20), random(100)}
	stolenKey := filepath.Join(t.TempDir(), "stolen.key")
	data, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(stolenKey, data, 0o600))
	stolen := copied(t, cfg)
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
	before := at.names(t)
	put(t, stolen, []byte("bad"))
	bad := slices.DeleteFunc(at.names(t), func(name string) bool { return slices.Contains(before, name) })[0]
	at.overwrite(t, bad, []byte("nothing that any key opens, however long it is tried"))

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
	cfg.KeyFile = stolenKey
	_, err = Open(cfg)
	require.ErrorIs(t, err, ErrDamaged, "nor the secret of names")
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
