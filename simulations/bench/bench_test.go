//go:build !race

package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/simulations/network"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// TestFigures takes each benchmark of a small network, the same for all: proofs of consent
// are most of the work of building one, and under the race detector they take minutes.
func TestFigures(t *testing.T) {
	t.Parallel()
	cfg := bench.Config{
		Dir: t.TempDir(), For: time.Millisecond, Questions: 6, Delays: []time.Duration{20 * time.Millisecond, 0}, Nodes: []int{3}, Progress: func(string) {},
	}
	build := network.Config{Researchers: meansResearchers, RoundTrip: time.Millisecond, Persons: 15, Shape: circuits.Shape{ShardSize: 16, Shards: 1, Slots: 4}}
	require.NoError(t, with(t.Context(), cfg, build, func(n *network.Network) error {
		figures, err := roundtrip(t.Context(), cfg, n)
		require.NoError(t, err)
		named(t, figures, "count-roundtrip", "count-roundtrip-p95", "count-roundtrip-cpu")
		require.Positive(t, figures[0].Reference.Value, "the nodes say how long they evaluate")

		figures, err = means(t.Context(), cfg, n)
		require.NoError(t, err)
		named(t, figures, "means", "means-cpu")

		figures, err = concurrent(t.Context(), cfg, n)
		require.NoError(t, err)
		named(t, figures[:1], "concurrent")
		require.Zero(t, figures[1].Value)
		require.True(t, figures[1].OK)

		delays := []time.Duration{0, 20 * time.Millisecond}
		row, err := measureRow(t.Context(), cfg, n, network.Count, "count-3", delays, 5)
		require.NoError(t, err)
		named(t, row, "count-3-0", "count-3-20")
		require.GreaterOrEqual(t, row[1].Value, 0.02*(stepsOfRound+1), "a round trip for every step, and one to ask")

		_, err = regression(t.Context(), cfg, n)
		require.ErrorIs(t, err, network.ErrUnanswered, "fifteen persons are too few")
		return nil
	}))
}

func named(t *testing.T, figures []bench.Figure, names ...string) {
	t.Helper()
	require.Len(t, figures, len(names))
	for i, f := range figures {
		require.Equal(t, names[i], f.Name)
		require.Positive(t, f.Value, f.Name)
		require.NotEmpty(t, f.Unit, f.Name)
	}
}

func TestMaskingAddsUp(t *testing.T) {
	t.Parallel()
	lengths, err := vectorLengths()
	require.NoError(t, err)
	require.Greater(t, lengths[1], lengths[0])
	for _, m := range methods {
		if m.analysis.Kind.InRounds() {
			_, err = analysis.InRounds(m.analysis)
		} else {
			_, err = analysis.For(m.analysis)
		}
		require.NoError(t, err, m.name)
	}
	member, hub, err := masking(t.Context(), 3, 7)
	require.NoError(t, err)
	require.Positive(t, member)
	require.Positive(t, hub)
}

func TestAllAreExplained(t *testing.T) {
	t.Parallel()
	var names []string
	for _, b := range All() {
		names = append(names, b.Name)
		require.True(t, strings.HasSuffix(b.Explain, "."), b.Name)
	}
	require.Equal(t, []string{"concurrent", "count-roundtrip", "grid", "mask", "means"}, names)
}
