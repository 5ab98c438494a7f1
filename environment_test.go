package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFlagsDefaultToTheEnvironment: each names a file that is not there, in the words of the
// flag that it stands for.
func TestFlagsDefaultToTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	question := filepath.Join(dir, "count.json")
	require.NoError(t, os.WriteFile(question, []byte(`{"trial": "bp-2026", "purpose": "how many", "analysis": {"kind": "count"},
		"cohort": {"PrimaryCriteria": {"CriteriaList": [{"VisitOccurrence": {}}], "ObservationWindow": {"PriorDays": 0, "PostDays": 0}}}}`), 0o600))
	_, err := execute(t, "query", "submit", question)
	require.ErrorContains(t, err, `"hub", "key" not set`)

	key := filepath.Join(dir, "researcher.key")
	_, err = execute(t, "key", "new", key)
	require.NoError(t, err)
	t.Setenv("TRIALMESH_HUB", "https://127.0.0.1:1")
	t.Setenv("TRIALMESH_KEY", filepath.Join(dir, "other.key"))
	_, err = execute(t, "query", "submit", question)
	require.ErrorContains(t, err, "--key: open "+dir)
	t.Setenv("TRIALMESH_ROOT", filepath.Join(dir, "root.pem"))
	_, err = execute(t, "query", "submit", question, "--key", key)
	require.ErrorContains(t, err, "--root: open "+dir, "what is given goes before what is set")
	t.Setenv("TRIALMESH_ROOT", "")
	t.Setenv("TRIALMESH_TOKEN_FILE", filepath.Join(dir, "researcher.token"))
	_, err = execute(t, "query", "submit", question, "--key", key)
	require.ErrorContains(t, err, "--token-file: open "+dir)
	_, err = execute(t, "query", "list")
	require.ErrorContains(t, err, "--token-file: open "+dir)

	help, err := execute(t, "query", "submit", "--help")
	require.NoError(t, err)
	for _, name := range []string{"TRIALMESH_HUB", "TRIALMESH_ROOT", "TRIALMESH_TOKEN_FILE", "TRIALMESH_KEY"} {
		require.Contains(t, help, "; or in "+name)
	}
}
