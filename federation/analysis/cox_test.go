package analysis_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestHazardsAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range survivalCases(t, "cox") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			want, got := c.Hazards, c.whole(t).(*query.Hazards)
			require.Equal(t, want.Ties, got.Ties)
			require.Equal(t, []int64{want.N, want.Omitted, want.Events}, []int64{got.N, got.Omitted, got.Events})
			require.Equal(t, want.Times, got.Times)
			require.Equal(t, want.Iterations, got.Iterations)
			require.Equal(t, want.Converged, got.Converged)
			require.ElementsMatch(t, want.Warnings, got.Warnings)
			near(t, &want.NullLogLikelihood, &got.NullLogLikelihood, 0, "log likelihood without terms")
			near(t, &want.LogLikelihood, &got.LogLikelihood, 0, "log likelihood")
			runaway := len(want.Warnings) > 0
			nearTest(t, want.LikelihoodRatio, got.LikelihoodRatio, "likelihood ratio")
			nearTest(t, want.Score, got.Score, "score test")
			if !runaway {
				nearTest(t, want.Wald, got.Wald, "Wald test")
			}
			require.Len(t, got.Coefficients, len(want.Coefficients))
			for i, w := range want.Coefficients {
				g := got.Coefficients[i]
				require.Equal(t, w.Name, g.Name)
				if runaway && strings.HasPrefix(w.Name, "m") {
					near(t, w.Estimate, g.Estimate, *w.SE, w.Name)
					require.InEpsilon(t, *w.SE, *g.SE, 1e-5)
					continue
				}
				scale := 0.0
				if w.SE != nil {
					scale = *w.SE
				}
				near(t, w.Estimate, g.Estimate, scale, w.Name)
				near(t, w.SE, g.SE, 0, "se of "+w.Name)
				near(t, w.Statistic, g.Statistic, 1e-3, "statistic of "+w.Name)
				near(t, w.P, g.P, 1e-9, "p of "+w.Name)
			}
		})
	}
}
