package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

func TestAttritionCountsWhoIsLeft(t *testing.T) {
	t.Parallel()
	m := analysis.Attrition{Steps: []string{"entered", "adults", "no cancer"}}
	sum := make([]uint64, m.Words())
	for _, last := range [][]int{{0, 0, 2, 1}, {2, 2}, nil} { // steps that persons of a site get to
		table, err := m.Tabulate(func(yield func(analysis.Row, error) bool) {
			for _, step := range last {
				if !yield(analysis.Row{Strata: []int{step}}, nil) {
					return
				}
			}
		})
		require.NoError(t, err)
		words, err := analysis.Encode(table)
		require.NoError(t, err)
		for i, w := range words {
			sum[i] += w
		}
	}
	r, err := m.Pool(sum, 3)
	require.NoError(t, err)
	require.Equal(t, analysis.AttritionResult{Sites: 3, Steps: []analysis.CountCell{
		{Levels: []string{"entered"}, N: 6}, {Levels: []string{"adults"}, N: 4}, {Levels: []string{"no cancer"}, N: 3},
	}}, r)
	_, err = m.Pool([]uint64{1, 0, 1, 9, 0, 0}, 3)
	require.ErrorIs(t, err, analysis.ErrInconsistent)
	_, err = m.Tabulate(func(yield func(analysis.Row, error) bool) { yield(analysis.Row{Strata: []int{3}}, nil) })
	require.ErrorContains(t, err, "attrition: count: row 0")
}
