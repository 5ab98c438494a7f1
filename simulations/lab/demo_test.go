package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/prover"
)

// runDemo runs the command as make demo does and returns its last line.
func runDemo(t *testing.T, dir string) outcome {
	t.Helper()
	keys, err := prover.CacheDir()
	require.NoError(t, err)
	cmd := newDemoCommand()
	var out, screen bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&screen)
	cmd.SetArgs([]string{"--once", "--json", "--dir", dir, "--circuits", keys})
	require.NoError(t, cmd.ExecuteContext(t.Context()), screen.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var o outcome
	dec := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&o))
	require.Contains(t, screen.String(), "8. Somebody flips one bit")
	return o
}

// TestDemo runs the whole demonstration, then resumes it on the same state.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	first := runDemo(t, dir)
	require.True(t, first.OK)
	require.Equal(t, 3, first.Nodes)
	require.EqualValues(t, 266, first.Patients)
	require.EqualValues(t, 35540, first.Observations, "as counted by those who made the data")
	require.Equal(t, 1, first.Count.WithheldCells)
	require.InDelta(t, first.Count.Pooled, first.Count.Value, 4*7.5, "rounding at three hospitals, four cells")
	require.InEpsilon(t, first.Mean.Pooled, first.Mean.Value, exact)
	require.Equal(t, 3, first.Proofs.VerifiedOnChain)
	require.Positive(t, first.Proofs.Gas)
	require.Positive(t, first.Verify.Checks)
	require.Zero(t, first.Verify.Failed)
	require.True(t, first.Tamper.Detected)
	require.Contains(t, first.Tamper.Where, "entry")

	again := runDemo(t, dir)
	require.True(t, again.OK)
	require.Equal(t, first.Count, again.Count, "the same question gets the same answer")
	require.Equal(t, first.Mean, again.Mean)
	require.Equal(t, first.Proofs, again.Proofs, "a repeated answer rests on the first one's proofs")

	t.Run("notebook", func(t *testing.T) { runNotebook(t, dir) })
}

func TestDemoSaysHowToResume(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := newDemoCommand()
	var screen bytes.Buffer
	cmd.SetOut(&screen)
	cmd.SetArgs([]string{"--dir", t.TempDir(), "--circuits", t.TempDir()})
	require.EqualError(t, cmd.ExecuteContext(ctx), "stopped; run again with the same --dir to resume")
	require.NotContains(t, screen.String(), "ended early")
}
