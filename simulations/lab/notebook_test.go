package main

import (
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/sdk/sdktest"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// runNotebook runs the example notebook for researchers on the demonstration whose state
// is in dir: what its cells give has to be what it keeps.
func runNotebook(t *testing.T, dir string) {
	t.Helper()
	const sdk = "../../protocol/sdk"
	python := sdktest.Python(t, "cryptography", "pandas", "yaml")
	sdktest.ReadSources(t, filepath.Join(sdk, "python"), "src/trialmesh/*.*", "examples/*.*", "tests/notebook.py")

	circuits, err := prover.CacheDir()
	require.NoError(t, err)
	w := newWorld(t.Context(), dir, circuits, slog.New(slog.DiscardHandler))
	defer func() { require.NoError(t, w.close()) }()
	require.NoError(t, newDemo(w, io.Discard).build())
	require.NoError(t, w.equipResearcher())

	program, err := filepath.Abs(filepath.Join(sdk, "python", "tests", "notebook.py"))
	require.NoError(t, err)
	notebook, err := filepath.Abs(filepath.Join(sdk, "python", "examples", "first_question.ipynb"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, program, notebook)
	cmd.Dir = w.peopleDir()
	sdktest.Run(t, sdk, cmd, "TRIALMESH_HUB="+w.hub.URL())
}
