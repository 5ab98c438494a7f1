package analysis_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

func TestFrameRefuses(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string][]analysis.Column{
		"no columns":     nil,
		"no name":        {{Kind: analysis.Logical}},
		"unknown kind":   {{Name: "x", Kind: "text"}},
		"twice":          {{Name: "x", Kind: analysis.Logical}, {Name: "x", Kind: analysis.Logical}},
		"empty range":    {{Name: "x", Kind: analysis.Numeric, Low: 1, High: 1}},
		"endless range":  {{Name: "x", Kind: analysis.Numeric, Low: 0, High: math.Inf(1)}},
		"no levels":      {{Name: "x", Kind: analysis.Factor}},
		"repeated level": {{Name: "x", Kind: analysis.Factor, Levels: []string{"a", "a"}}},
	} {
		_, err := analysis.NewFrame(columns)
		require.Error(t, err, name)
	}
	for name, row := range map[string][]float64{
		"too few values":     {0, 0, 1},
		"no such level":      {2, 0, 1.5, 1},
		"between two levels": {0.5, 0, 1.5, 1},
		"neither yes nor no": {0, 2, 1.5, 1},
		"out of range":       {0, 0, 1.5, 11},
	} {
		f, err := analysis.NewFrame(matrixColumns[1:])
		require.NoError(t, err)
		require.Error(t, f.Append(row), name)
		require.Zero(t, f.Len())
	}
}

func TestCompleteLeavesOutWhoMissesAValue(t *testing.T) {
	t.Parallel()
	na := math.NaN()
	f := split(t, matrixColumns, [][]float64{{0, 0, 1, 2, 3}, {na, 0, 1, 2, 3}, {1, 1, 0, na, 3}, {2, 0, 0, 4, na}}, 1, func(int) int { return 0 })[0]
	some, kept, err := f.Complete([]analysis.Column{matrixColumns[3], matrixColumns[0]})
	require.NoError(t, err)
	require.Equal(t, []int{0, 3}, kept)
	require.Equal(t, []float64{2, 4}, some.Values("x"))
	require.Equal(t, []float64{0, 2}, some.Values("a"))
	require.Nil(t, some.Values("z"))
	_, _, err = f.Complete([]analysis.Column{{Name: "x", Kind: analysis.Numeric, Low: 1, High: 9}})
	require.EqualError(t, err, "frame: there is no column x as declared")
}

func TestFrameStaysAtTheSite(t *testing.T) {
	t.Parallel()
	f := split(t, matrixColumns, matrixRows, 1, func(int) int { return 0 })[0]
	_, err := json.Marshal(f)
	require.Error(t, err)
	require.Equal(t, "frame:redacted frame:redacted", fmt.Sprintf("%v %+v", f, *f))
}
