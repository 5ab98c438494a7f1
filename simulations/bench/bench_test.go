package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

func TestMaskingAddsUp(t *testing.T) {
	t.Parallel()
	lengths, err := vectorLengths()
	require.NoError(t, err)
	require.Greater(t, lengths[1], lengths[0])
	for _, m := range methods {
		if m.analysis.Kind.InRounds() {
			_, err = analysis.InRounds(m.analysis, 0)
		} else {
			_, err = analysis.For(query.Request{Analysis: m.analysis})
		}
		require.NoError(t, err, m.name)
	}
	member, hub, err := masking(t.Context(), 3, 7)
	require.NoError(t, err)
	require.Positive(t, member)
	require.Positive(t, hub)
}

// TestNetworkIsMeasured measures as little as gives figures, of one network in which
// stand-ins take the place of proofs.
func TestNetworkIsMeasured(t *testing.T) {
	t.Parallel()
	n, err := network.Start(t.Context(), network.Config{
		Dir: t.TempDir(), Circuits: t.TempDir(), Researchers: meansResearchers, RoundTrip: time.Millisecond,
		Shape: peertest.Shape, Proofs: peertest.Proofs{},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	var measured, told []string
	cfg := bench.Config{
		For: time.Millisecond, Questions: 2, Progress: func(text string) { t.Log(text) }, Measured: func(f bench.Figure) { told = append(told, f.Name) },
	}
	for _, measure := range []func(context.Context, bench.Config, *network.Network) ([]bench.Figure, error){
		roundtrip, means, atOnce,
		func(ctx context.Context, cfg bench.Config, n *network.Network) ([]bench.Figure, error) {
			return measureRows(ctx, cfg, n, 3, []time.Duration{time.Millisecond})
		},
	} {
		figures, err := measure(t.Context(), cfg, n)
		require.NoError(t, err)
		for _, f := range figures {
			measured = append(measured, f.Name)
			if f.Name == "concurrent-failed" {
				require.Zero(t, f.Value)
				continue
			}
			require.Positive(t, f.Value, f.Name)
		}
	}
	require.Equal(t, []string{
		"count-roundtrip", "count-roundtrip-p95", "count-roundtrip-cpu", "means", "means-cpu", "concurrent", "concurrent-failed",
		"count-3-1", "count-3-1-cpu", "km-3-1", "km-3-1-cpu", "glm-3-1", "glm-3-1-cpu",
	}, measured)
	require.Equal(t, measured[len(measured)-6:], told, "the grid's rows are told at once")
}

// TestParticipantIsMeasured makes as few real proofs as give figures.
func TestParticipantIsMeasured(t *testing.T) {
	t.Parallel()
	cfg := bench.Config{For: time.Millisecond, Progress: func(text string) { t.Log(text) }}
	var measured []string
	for _, measure := range []func(context.Context, bench.Config) ([]bench.Figure, error){proveEnroll, verifyProof} {
		figures, err := measure(t.Context(), cfg)
		require.NoError(t, err)
		for _, f := range figures {
			measured = append(measured, f.Name)
			require.Positive(t, f.Value, f.Name)
		}
	}
	require.Equal(t, []string{"prove-enroll", "prove-enroll-cpu", "prove-enroll-constraints", "verify-proof"}, measured)
}

// TestEvidenceIsMeasured exports what a network with real proofs of the smallest size proved.
func TestEvidenceIsMeasured(t *testing.T) {
	t.Parallel()
	cache, err := prover.CacheDir()
	require.NoError(t, err)
	n, err := network.Start(t.Context(), network.Config{Dir: t.TempDir(), Circuits: cache, Shape: circuits.Shape{ShardSize: 16, Shards: 1, Slots: 2}, Persons: 16})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	figures, err := measureEvidence(t.Context(), bench.Config{Dir: t.TempDir(), For: time.Millisecond, Progress: func(text string) { t.Log(text) }}, n)
	require.NoError(t, err)
	var measured []string
	for _, f := range figures {
		measured = append(measured, f.Name)
		require.Positive(t, f.Value, f.Name)
	}
	require.Equal(t, []string{"evidence", "evidence-verify", "evidence-verify-cpu", "evidence-shard", "evidence-entry"}, measured)
	require.True(t, figures[0].OK, "%v kB", figures[0].Value)
}

// TestEpochIsMeasured proves shards of four.
func TestEpochIsMeasured(t *testing.T) {
	t.Parallel()
	figures, err := proveShard(t.Context(), bench.Config{For: time.Millisecond, Progress: func(text string) { t.Log(text) }}, circuits.Shape{ShardSize: 4, Shards: 1, Slots: 2})
	require.NoError(t, err)
	var measured []string
	for _, f := range figures {
		measured = append(measured, f.Name)
		require.Positive(t, f.Value, f.Name)
	}
	require.Equal(t, []string{"prove-epoch", "prove-epoch-changed", "prove-epoch-constraints", "prove-epoch-memory"}, measured)
}

func TestAllAreExplained(t *testing.T) {
	t.Parallel()
	var names []string
	for _, b := range All() {
		names = append(names, b.Name)
		require.True(t, strings.HasSuffix(b.Explain, "."), b.Name)
	}
	require.Equal(t, []string{"concurrent", "count-roundtrip", "evidence", "gas", "grid", "ledger", "mask", "means", "prove-enroll", "prove-epoch", "prove-query", "verify-proof"}, names)
}

func TestLedgerIsMeasured(t *testing.T) {
	t.Parallel()
	figures, err := measureLedger(t.Context(), bench.Config{Dir: t.TempDir(), For: 60 * time.Millisecond, Bar: 1, Progress: func(text string) { t.Log(text) }})
	require.NoError(t, err)
	require.Equal(t, []string{"ledger", "ledger-cpu"}, []string{figures[0].Name, figures[1].Name})
	require.True(t, figures[0].OK)
	require.Positive(t, figures[1].Reference.Value)
}
