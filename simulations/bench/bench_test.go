package bench

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
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

func TestAllAreExplained(t *testing.T) {
	t.Parallel()
	var names []string
	for _, b := range All() {
		names = append(names, b.Name)
		require.True(t, strings.HasSuffix(b.Explain, "."), b.Name)
	}
	require.Equal(t, []string{"concurrent", "count-roundtrip", "grid", "mask", "means"}, names)
}
