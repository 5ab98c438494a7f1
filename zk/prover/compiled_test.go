package prover

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// TestCompiledCircuitIsKept: what is read is what was compiled, and only that.
func TestCompiledCircuitIsKept(t *testing.T) {
	t.Parallel()
	fresh, err := compile(minute)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "folder", "a-1")
	require.NoError(t, keepCompiled(path, fresh))
	kept, err := readCompiled(path)
	require.NoError(t, err)
	require.Equal(t, fresh.digest, kept.digest)
	require.Equal(t, fresh.digest, circuits.Digest(kept.R1CS))

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, at := range []int{0, 40, compiledHead + 9, len(raw) - 1} {
		bad := append([]byte(nil), raw...)
		bad[at] ^= 1
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := readCompiled(path)
		require.ErrorIs(t, err, errCompiled, "byte %d", at)
	}
	require.NoError(t, os.WriteFile(path, raw[:50], 0o600))
	_, err = readCompiled(path)
	require.ErrorIs(t, err, errCompiled)
}

// TestDamagedCompiledCircuitIsCompiledAgain, as one that cannot be kept is.
func TestDamagedCompiledCircuitIsCompiledAgain(t *testing.T) {
	t.Parallel()
	want := minuteKeys(t).Published().Circuit
	for name, spoil := range map[string]func(dir string) error{
		"nothing there": func(string) error { return nil },
		"damaged": func(dir string) error {
			program, err := thisProgram()
			if err != nil {
				return err
			}
			file := filepath.Join(dir, compiledFolder, minute.String()+"-"+program.String()[:16])
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			return os.WriteFile(file, make([]byte, 1000), 0o600)
		},
		"no room for it": func(dir string) error { return os.WriteFile(filepath.Join(dir, compiledFolder), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, spoil(dir))
			k, err := DevelopmentKeys(t.Context(), dir, minute)
			require.NoError(t, err)
			require.Equal(t, want, k.Circuit())
		})
	}
}

func TestOldCompiledCircuitsAreTakenAway(t *testing.T) {
	t.Parallel()
	fresh, err := compile(minute)
	require.NoError(t, err)
	dir := t.TempDir()
	for i := range keptCompiled + 3 {
		require.NoError(t, keepCompiled(filepath.Join(dir, minute.String()+"-"+string(rune('a'+i))), fresh))
	}
	require.Len(t, entries(t, dir), keptCompiled)
}
