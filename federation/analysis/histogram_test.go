package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type histogramCase struct {
	File   string    `json:"file"`
	Breaks []float64 `json:"breaks"`
	query.FrequencyTable
}

func (c histogramCase) method(t require.TestingT) analysis.Iteration {
	m, err := analysis.Histogram{Value: analysis.Column{Name: c.Name, Kind: analysis.Numeric, High: 100}, Breaks: c.Breaks}.New()
	require.NoError(t, err)
	return m
}

func TestHistogramIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[histogramCase](t, "histogram.json") {
		m := c.method(t)
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		c.equal(t, result)
	}
}

func (c histogramCase) equal(t require.TestingT, result any) {
	got := result.(*query.FrequencyTable)
	for i := range c.Bins {
		near(t, &c.Bins[i].Density, &got.Bins[i].Density, 0, "density")
		got.Bins[i].Density = c.Bins[i].Density
	}
	require.Equal(t, &c.FrequencyTable, got)
}

// TestHistogramJoinsSmallBins: no bin shows fewer than the least number of persons, bins
// cover the breaks, nobody is lost, and a split changes nothing.
func TestHistogramJoinsSmallBins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const least = 11
		m, err := analysis.Histogram{
			Value: analysis.Column{Name: "v", Kind: analysis.Numeric, High: 10}, Breaks: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, MinCell: least,
		}.New()
		require.NoError(t, err)
		var rows [][]float64
		for _, v := range rapid.SliceOfN(rapid.Float64Range(0, 10), least, 100).Draw(t, "values") {
			rows = append(rows, []float64{v})
		}
		result, err := alone(t, m, rows)
		require.NoError(t, err)
		require.Equal(t, result, dealt(t, m, rows))
		low, total := 0.0, int64(0)
		for _, b := range result.(*query.FrequencyTable).Bins {
			require.Equal(t, low, b.Low)
			require.True(t, b.Count == 0 || b.Count >= least)
			low, total = b.High, total+b.Count
		}
		require.Equal(t, 10.0, low)
		require.EqualValues(t, len(rows), total)
	})
}

func TestHistogramRefuses(t *testing.T) {
	t.Parallel()
	v := analysis.Column{Name: "v", Kind: analysis.Numeric, High: 10}
	for want, m := range map[string]analysis.Histogram{
		"2 to 1001 breaks":    {Value: v, Breaks: []float64{1}},
		"each above the one":  {Value: v, Breaks: []float64{1, 2, 2}},
		"within the column's": {Value: v, Breaks: []float64{1, 11}},
		"must be numeric":     {Value: analysis.Column{Name: "v", Kind: analysis.Logical}, Breaks: []float64{0, 1}},
		"must not be below 0": {Value: v, Breaks: []float64{0, 1}, MinCell: -1},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
	m, err := analysis.Histogram{Value: v, Breaks: []float64{0, 5}, MinCell: 2}.New()
	require.NoError(t, err)
	_, err = alone(t, m, [][]float64{{1}, {2}, {6}})
	var no analysis.NoResult
	require.ErrorAs(t, err, &no, "one person outside")
}
