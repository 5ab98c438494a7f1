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
