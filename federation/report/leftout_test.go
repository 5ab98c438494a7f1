package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestFewLeftOut: rows and text say that there are few, and not how many.
func TestFewLeftOut(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "", 1: "fewer than 11 left out for a missing value", 10: "fewer than 11 left out for a missing value", 11: "11 left out for a missing value"} {
		left := query.Omitting(n)
		left.HideFew(11)
		require.Equal(t, want, leftOut(left, "for a missing value"))

		var out rows
		out.size(443, left)
		require.Equal(t, figures(query.OneShot{N: 443, LeftOut: left})[1].State, out[1].State)
		if want == "" || n == 11 {
			require.InDelta(t, n, *out[1].Value, 0)
			continue
		}
		require.Nil(t, out[1].Value)
		require.Equal(t, []any{bounded, 1.0, 10.0}, []any{out[1].State, *out[1].Low, *out[1].High})
	}
}
