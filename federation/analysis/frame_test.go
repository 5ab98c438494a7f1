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

// TestTellsFew: of twenty rows, whom numeric columns tell from the others.
func TestTellsFew(t *testing.T) {
	t.Parallel()
	columns := []analysis.Column{{Name: "a", Kind: analysis.Numeric, High: 100}, {Name: "b", Kind: analysis.Numeric, High: 100}}
	first := func(n int) func(int) float64 {
		return func(row int) float64 {
			if row < n {
				return float64(50 + row)
			}
			return 0
		}
	}
	last := func(n int) func(int) float64 { return func(row int) float64 { return first(n)(19 - row) } }
	all := func(row int) float64 { return float64(row) }
	levels := func(n int) func(int) float64 { return func(row int) float64 { return float64(min(row/6, n)) } }
	for name, c := range map[string]struct {
		a, b func(row int) float64
		odd  []int // how many in each column
		few  bool
	}{
		"nobody":                   {all, all, nil, false},
		"few":                      {first(2), all, []int{2}, true},
		"enough":                   {first(7), all, []int{7}, false},
		"half":                     {first(10), all, []int{10}, false},
		"the same":                 {first(7), first(7), []int{7, 7}, false},
		"others":                   {first(7), last(7), []int{7, 7}, false},
		"few of both":              {first(10), last(8), []int{10, 8}, true}, // nobody is in both, but two are in none
		"few in both":              {first(7), last(10), []int{7, 10}, true}, // three are in none
		"few of one of few values": {levels(3), all, nil, true},
		"enough of few values":     {levels(2), all, nil, false},
	} {
		var rows []int
		f, err := analysis.NewFrame(columns)
		require.NoError(t, err)
		for row := range 20 {
			rows = append(rows, row)
			require.NoError(t, f.Append([]float64{c.a(row), c.b(row)}))
		}
		var odd []int
		for _, o := range f.Odd(rows, nil) {
			odd = append(odd, len(o.Rows))
		}
		require.Equal(t, c.odd, odd, name)
		require.Equal(t, c.few, f.TellsFew(rows, nil, 5) != nil, name)
		require.Nil(t, f.TellsFew(rows, []string{"a", "b"}, 5), name)
	}
}

func TestPowersTellFew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows []int
		few  bool
	}{
		"one number":                    {[]int{3}, false},
		"few have one of five":          {[]int{40, 40, 10, 40, 40}, true},
		"many have each of five":        {[]int{40, 40, 11, 40, 40}, false},
		"few have none of four":         {[]int{40, 1, 40, 9, 40, 40}, true},
		"many have none of four":        {[]int{40, 5, 40, 6, 40, 40}, false},
		"few, as nobody is like others": {[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, false},
	} {
		require.Equal(t, c.few, analysis.PowersTellFew(c.rows, 5, 11), name)
	}
}
