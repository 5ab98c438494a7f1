package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExtractIsCalledRightly: it writes somewhere or says that it does not.
func TestExtractIsCalledRightly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	example, err := execute(t, "node", "extract", "example")
	require.NoError(t, err)
	spec := filepath.Join(dir, "study.yaml")
	require.NoError(t, os.WriteFile(spec, []byte(example), 0o600))
	wrong := filepath.Join(dir, "wrong.yaml")
	require.NoError(t, os.WriteFile(wrong, []byte("version: 1\n"), 0o600))
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"--dir " + dir, exitUsage, `"spec"`},
		{"--dir " + dir + " --spec " + spec, exitUsage, "--to, or give --dry-run"},
		{"--dir " + dir + " --spec " + spec + " --to x --dry-run", exitUsage, "--to, or give --dry-run"},
		{"exampel", exitUsage, `unknown command "exampel"`},
		{"--dir " + dir + " --spec " + wrong + " --dry-run", exitError, "study: want"},
		{"--dir " + dir + " --spec " + spec + " --dry-run", exitError, "node init makes one"},
	} {
		_, err := execute(t, append([]string{"node", "extract"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.status, statusOf(err), "%s: %v", c.args, err)
		require.ErrorContains(t, err, c.says, c.args)
	}
}

// TestExtractOfAHeldNode: a node that went back in time may have forgotten who withdrew, so
// that nothing is written by its consents until it is resumed.
func TestExtractOfAHeldNode(t *testing.T) {
	t.Parallel()
	dir, _ := newKeptNode(t)
	example, err := execute(t, "node", "extract", "example")
	require.NoError(t, err)
	spec, to := filepath.Join(t.TempDir(), "study.yaml"), filepath.Join(t.TempDir(), "extract")
	require.NoError(t, os.WriteFile(spec, []byte(example), 0o600))
	_, err = execute(t, "node", "hold", "--dir", dir, "--at", "2026-03-01T08:00:00Z")
	require.NoError(t, err)
	for _, where := range [][]string{{"--to", to}, {"--dry-run"}} {
		_, err = execute(t, append([]string{"node", "extract", "--dir", dir, "--spec", spec, "--trial", "glucose-1"}, where...)...)
		require.Equal(t, exitError, statusOf(err))
		require.ErrorContains(t, err, "restored from a backup")
		require.NoFileExists(t, to)
		require.NoDirExists(t, to)
	}
	_, err = execute(t, "node", "resume", "--dir", dir)
	require.NoError(t, err)
	_, err = execute(t, "node", "extract", "--dir", dir, "--spec", spec, "--trial", "glucose-1", "--to", to)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "restored from a backup", "it is refused for no other reason than the hold")
}
