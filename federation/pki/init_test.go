package pki_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/pki/pkitest"
)

func TestInitWritesPrivateFiles(t *testing.T) {
	t.Parallel()
	var names []string
	var sealing string
	require.NoError(t, filepath.WalkDir(authorityDir(), func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if d.IsDir() {
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), path)
			return nil
		}
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
		names = append(names, d.Name())
		if strings.HasSuffix(path, ".key") {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			if d.Name() == "sealing.key" {
				sealing = string(raw)
				return nil
			}
			head, err := base64.RawURLEncoding.DecodeString(strings.SplitN(string(raw), ".", 2)[0])
			require.NoError(t, err)
			require.JSONEq(t, `{"alg":"dir","enc":"A256GCM"}`, string(head), "the key is readable without the sealing key")
		}
		return nil
	}))
	require.ElementsMatch(t, []string{"root.crt", "root.key", "intermediate.crt", "intermediate.key", "token.key", "sealing.key"}, names)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(sealing))
	require.NoError(t, err)
	require.Len(t, raw, 32)
}

func TestInitRefusesWhatIsThere(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "ca")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "root.key"), []byte("precious"), 0o600))
	require.ErrorIs(t, pki.Init(dir, pki.InitConfig{Name: "Test"}), pki.ErrExists)
	require.Error(t, pki.Init(filepath.Join(parent, "new"), pki.InitConfig{}), "a name is required")
	require.Error(t, pki.Init(filepath.Join(parent, "no", "parent"), pki.InitConfig{Name: "Test"}))
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1, "a refused init leaves nothing behind")
}

func TestInitFillsAnEmptyDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "ca")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, pki.Init(dir, pki.InitConfig{Name: "Test"}))
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, left, 1, "the staging directory is gone")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	secret, err := os.ReadFile(filepath.Join(authorityDir(), "sealing.key"))
	require.NoError(t, err)
	write := func(t *testing.T, dir, name, text string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
		require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir string, cfg *pki.Config)
		want   error
	}{
		"a sealing key that others may read": {func(t *testing.T, dir string, _ *pki.Config) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "sealing.key"), 0o640))
		}, pki.ErrPermissions},
		"a key that others may read": {func(t *testing.T, dir string, _ *pki.Config) {
			require.NoError(t, os.Chmod(filepath.Join(dir, "intermediate.key"), 0o604))
		}, pki.ErrPermissions},
		"a wrong sealing key": {func(t *testing.T, dir string, _ *pki.Config) {
			write(t, dir, "sealing.key", strings.Repeat("A", 43), 0o600)
		}, pki.ErrSealingKey},
		"an empty sealing key": {func(t *testing.T, dir string, _ *pki.Config) {
			write(t, dir, "sealing.key", "\n", 0o600)
		}, pki.ErrSealingKey},
		"no sealing key": {func(_ *testing.T, dir string, cfg *pki.Config) {
			cfg.SealingKeyFile = filepath.Join(dir, "elsewhere")
		}, os.ErrNotExist},
		"no authority": {func(t *testing.T, dir string, _ *pki.Config) {
			require.NoError(t, os.Remove(filepath.Join(dir, "root.crt")))
		}, os.ErrNotExist},
		"another authority's root": {func(t *testing.T, dir string, _ *pki.Config) {
			raw, err := os.ReadFile(filepath.Join(otherDir(), "root.crt"))
			require.NoError(t, err)
			write(t, dir, "root.crt", string(raw), 0o600)
		}, nil},
		"a certificate for another key": {func(t *testing.T, dir string, _ *pki.Config) {
			raw, err := os.ReadFile(filepath.Join(dir, "root.crt"))
			require.NoError(t, err)
			write(t, dir, "intermediate.crt", string(raw), 0o600)
		}, nil},
		"an authority past its end": {func(_ *testing.T, _ string, cfg *pki.Config) {
			cfg.Now = func() time.Time { return time.Now().AddDate(11, 0, 0) }
		}, nil},
		"no store":             {func(_ *testing.T, _ string, cfg *pki.Config) { cfg.Store = nil }, nil},
		"no host":              {func(_ *testing.T, _ string, cfg *pki.Config) { cfg.Hosts = nil }, nil},
		"too short a lifetime": {func(_ *testing.T, _ string, cfg *pki.Config) { cfg.Lifetime = time.Minute }, nil},
		"too long a lifetime":  {func(_ *testing.T, _ string, cfg *pki.Config) { cfg.Lifetime = 91 * 24 * time.Hour }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "ca")
			require.NoError(t, os.CopyFS(dir, os.DirFS(authorityDir())))
			for _, f := range []string{"root.crt", "root.key", "intermediate.crt", "intermediate.key", "token.key", "sealing.key"} {
				require.NoError(t, os.Chmod(filepath.Join(dir, f), 0o600)) // CopyFS applies the umask
			}
			cfg := pki.Config{Store: new(pkitest.Store), Hosts: []string{"hub.test"}}
			tc.damage(t, dir, &cfg)
			_, err := pki.Open(dir, cfg)
			requireNoSecret(t, err, strings.TrimSpace(string(secret)))
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func TestOpenReadsTheSealingKeyElsewhere(t *testing.T) {
	t.Parallel()
	moved := filepath.Join(t.TempDir(), "secret")
	raw, err := os.ReadFile(filepath.Join(authorityDir(), "sealing.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(moved, raw, 0o600))
	a, err := pki.Open(authorityDir(), pki.Config{Store: new(pkitest.Store), Hosts: []string{"hub.test"}, SealingKeyFile: moved})
	require.NoError(t, err)
	require.Equal(t, newHub(t).Fingerprint(), a.Fingerprint())
}
