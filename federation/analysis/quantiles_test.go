package analysis_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type quantilesCase struct {
	File          string          `json:"file"`
	Value         string          `json:"value"`
	By            analysis.Column `json:"by"`
	Probabilities []float64       `json:"probabilities"`
	N             int64           `json:"n"`
	Omitted       int64           `json:"omitted"`
	All           []float64       `json:"all"`
	Groups        [][]float64     `json:"groups"`
}

func (c quantilesCase) method(t require.TestingT) analysis.Iteration {
	value := analysis.Column{Name: c.Value, Kind: analysis.Numeric, Low: -10, High: 100}
	m, err := analysis.Quantiles{Values: []analysis.Column{value}, By: &c.By, Probabilities: c.Probabilities}.New()
	require.NoError(t, err)
	return m
}

func (c quantilesCase) equal(t require.TestingT, result any) {
	got := result.(*query.QuantileTable)
	require.Equal(t, c.N, got.N)
	require.Equal(t, c.Omitted, *got.Omitted)
	require.Equal(t, c.All, valuesOf(t, got.Columns[0].All))
	require.Len(t, got.Columns[0].Groups, len(c.Groups))
	for i, g := range got.Columns[0].Groups {
		require.Equal(t, c.Groups[i], valuesOf(t, g.Quantiles), g.Level)
	}
}

// TestQuantilesAreThoseOfR, to the last bit.
func TestQuantilesAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[quantilesCase](t, "quantiles.json") {
		m := c.method(t)
		rows := tableRows(t, c.File, m.Columns())
		outcome, err := analysis.Local(m, split(t, m.Columns(), rows, 3, func(r int) int { return r % 3 })...)
		require.NoError(t, err)
		require.LessOrEqual(t, outcome.Rounds, 12)
		c.equal(t, outcome.Result)
	}
}

func valuesOf(t require.TestingT, quantiles []query.Quantile) []float64 {
	var out []float64
	for _, q := range quantiles {
		require.NotNil(t, q.Value)
		require.Nil(t, q.Low)
		out = append(out, *q.Value)
	}
	return out
}

// TestQuantilesKnown: the answer on CNSIM that averages of quantiles miss.
func TestQuantilesKnown(t *testing.T) {
	t.Parallel()
	column := analysis.Column{Name: "lab_tsc", Kind: analysis.Numeric, High: 20}
	p := []float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}
	want := []float64{4.152, 4.5354, 5.121, 5.816, 6.527, 7.245, 7.6478}
	for _, least := range []int64{0, 11} {
		m, err := analysis.Quantiles{Values: []analysis.Column{column}, Probabilities: p, MinCell: least}.New()
		require.NoError(t, err)
		result, err := alone(t, m, tableRows(t, "cnsim.csv.gz", m.Columns()))
		require.NoError(t, err)
		for i, q := range result.(*query.QuantileTable).Columns[0].All {
			if least == 0 {
				require.InEpsilon(t, want[i], *q.Value, 1e-12)
				continue
			}
			require.Nil(t, q.Value)
			require.LessOrEqual(t, *q.Low, want[i]+1e-12)
			require.GreaterOrEqual(t, *q.High, want[i]-1e-12)
			require.Less(t, *q.High-*q.Low, 0.03, "11 of 7825 persons lie close together")
		}
	}
}

// TestQuantilesOfAnything: values of any size and sign, with ties, in any split: the ones
// of the sorted values if there is no least cell, and a bin around them if there is.
func TestQuantilesOfAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Float64Range(-1e9, 1e9),
			rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 5e-324, -5e-324, 1e9, -1e9, 1, -1, 1 + 0x1p-52}),
		)
		values := rapid.SliceOfN(value, 1, 20).Draw(t, "values")
		least := rapid.SampledFrom([]int64{1, 2, 11}).Draw(t, "least")
		p := []float64{rapid.Float64Range(0, 1).Draw(t, "p")}
		m, err := analysis.Quantiles{
			Values:        []analysis.Column{{Name: "v", Kind: analysis.Numeric, Low: -1e9, High: 1e9}},
			Probabilities: p, MinCell: least,
		}.New()
		require.NoError(t, err)
		var rows [][]float64
		for _, v := range values {
			rows = append(rows, []float64{v})
		}
		whole, err := alone(t, m, rows)
		require.NoError(t, err)
		require.Equal(t, whole, dealt(t, m, rows))
		slices.Sort(values)
		for i, q := range whole.(*query.QuantileTable).Columns[0].All {
			low := values[int(math.Floor(float64(len(values)-1)*p[i]))]
			high := values[min(len(values)-1, int(math.Floor(float64(len(values)-1)*p[i]))+1)]
			switch {
			case q.Value != nil:
				require.True(t, low <= *q.Value && *q.Value <= high)
			default:
				require.Greater(t, least, int64(1))
				require.True(t, *q.Low <= high && low <= *q.High)
			}
		}
	})
}

// TestQuantilesStopAtSmallBins: what fewer than the least number of persons share stays a bin, and
// a group of fewer is not searched at all.
func TestQuantilesStopAtSmallBins(t *testing.T) {
	t.Parallel()
	const least = 11
	m, err := analysis.Quantiles{
		Values:        []analysis.Column{{Name: "v", Kind: analysis.Numeric, High: 1000}},
		By:            &analysis.Column{Name: "g", Kind: analysis.Logical},
		Probabilities: []float64{0, 0.5, 1}, MinCell: least,
	}.New()
	require.NoError(t, err)
	var rows [][]float64
	for i := range 300 {
		group := 0.0
		if i < 10 { // a group that is too small for anything
			group = 1
		}
		rows = append(rows, []float64{float64(i*i%977) / 3, group})
	}
	for range 20 {
		rows = append(rows, []float64{0, 0})
	}
	result, err := alone(t, m, rows)
	require.NoError(t, err)
	c := result.(*query.QuantileTable).Columns[0]
	require.Zero(t, *c.All[0].Value, "twenty persons share the least value")
	require.Nil(t, c.All[2].Value, "one person has the greatest")
	for _, q := range c.Groups[1].Quantiles {
		require.Zero(t, *q.Low)
		require.Equal(t, 1000.0, *q.High)
	}
}

// TestQuantilesTellOfNoFewer: between the ends of each answer, of every rank that there is, lie
// as many values as may be shown.
func TestQuantilesTellOfNoFewer(t *testing.T) {
	t.Parallel()
	const least = 11
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{17, 33, 65}).Draw(t, "n") // whose ranks are exact
		value := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 40, 40.001, 1000}), rapid.Float64Range(0, 1000))
		values := rapid.SliceOfN(value, n, n).Draw(t, "values")
		var p []float64
		for k := range n {
			p = append(p, float64(k)/float64(n-1))
		}
		m, err := analysis.Quantiles{Values: []analysis.Column{{Name: "v", Kind: analysis.Numeric, High: 1000}}, Probabilities: p, MinCell: least}.New()
		require.NoError(t, err)
		var rows [][]float64
		for _, v := range values {
			rows = append(rows, []float64{v})
		}
		result, err := alone(t, m, rows)
		require.NoError(t, err)
		slices.Sort(values)
		for k, q := range result.(*query.QuantileTable).Columns[0].All {
			low, high := q.Low, q.High
			if q.Value != nil {
				low, high = q.Value, q.Value
			}
			require.True(t, *low <= values[k] && values[k] <= *high)
			within := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v < *low || v > *high })
			require.GreaterOrEqual(t, len(within), least)
		}
	})
}

func TestQuantilesOfNobody(t *testing.T) {
	t.Parallel()
	m, err := analysis.Quantiles{Values: []analysis.Column{{Name: "v", Kind: analysis.Numeric, High: 1}}, Probabilities: []float64{0.5}}.New()
	require.NoError(t, err)
	result, err := alone(t, m, nil)
	require.NoError(t, err)
	require.Equal(t, []query.Quantile{{P: 0.5}}, result.(*query.QuantileTable).Columns[0].All)
}

func TestQuantilesRefuse(t *testing.T) {
	t.Parallel()
	x := analysis.Column{Name: "x", Kind: analysis.Numeric, High: 1}
	for want, m := range map[string]analysis.Quantiles{
		"name a column":         {Probabilities: []float64{0.5}},
		"from 0 to 1":           {Values: []analysis.Column{x}, Probabilities: []float64{1.5}},
		"must not be below 0":   {Values: []analysis.Column{x}, Probabilities: []float64{0.5}, MinCell: -1},
		"it must be numeric":    {Values: []analysis.Column{{Name: "l", Kind: analysis.Logical}}, Probabilities: []float64{0.5}},
		"must be a factor":      {Values: []analysis.Column{x}, By: &x, Probabilities: []float64{0.5}},
		"column x stands twice": {Values: []analysis.Column{x, x}, Probabilities: []float64{0.5}},
		"more than 312":         {Values: []analysis.Column{x}, Probabilities: make([]float64, 313)},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
}
