package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type describeCase struct {
	File     string            `json:"file"`
	Values   []analysis.Column `json:"values"`
	By       *analysis.Column  `json:"by"`
	Pairwise bool              `json:"pairwise"`
	query.Description
}

func (c describeCase) method(t require.TestingT) analysis.Iteration {
	m, err := analysis.Describe{Values: c.Values, By: c.By, Pairwise: c.Pairwise}.New()
	require.NoError(t, err)
	return m
}

func TestDescribeIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[describeCase](t, "describe.json") {
		m := c.method(t)
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		c.equal(t, result)
	}
}

func (c describeCase) equal(t require.TestingT, result any) {
	got := result.(*query.Description)
	require.Equal(t, c.N, got.N)
	require.Equal(t, c.Omitted, got.Omitted)
	require.Len(t, got.Columns, len(c.Description.Columns))
	for i, w := range c.Description.Columns {
		g := got.Columns[i]
		require.Equal(t, w.Name, g.Name)
		nearMoment(t, w.All, g.All)
		require.Len(t, g.Groups, len(w.Groups))
		for k := range w.Groups {
			require.Equal(t, w.Groups[k].Level, g.Groups[k].Level)
			nearMoment(t, w.Groups[k].Moment, g.Groups[k].Moment)
		}
		if w.Welch == nil {
			require.Nil(t, g.Welch)
			continue
		}
		nearSignificance(t, &w.Welch.Significance, &g.Welch.Significance, "Welch's t")
		near(t, &w.Welch.Estimate, &g.Welch.Estimate, 1e-3, "difference")
		near(t, &w.Welch.Lower, &g.Welch.Lower, 1e-3, "lower limit")
		near(t, &w.Welch.Upper, &g.Welch.Upper, 1e-3, "upper limit")
	}
	require.Len(t, got.Pairs, len(c.Pairs))
	for i, w := range c.Pairs {
		g := got.Pairs[i]
		require.Equal(t, []any{w.First, w.Second, w.N}, []any{g.First, g.Second, g.N})
		near(t, w.Covariance, g.Covariance, 0, "covariance")
		near(t, w.Correlation, g.Correlation, 1e-3, "correlation")
	}
}

func nearMoment(t require.TestingT, want, got query.Moment) {
	require.Equal(t, want.N, got.N)
	near(t, want.Mean, got.Mean, 0, "mean")
	near(t, want.Variance, got.Variance, 0, "variance")
	near(t, want.SD, got.SD, 0, "sd")
	for _, shape := range [][2]query.Shape{{want.Skewness, got.Skewness}, {want.Kurtosis, got.Kurtosis}} {
		near(t, shape[0].Type1, shape[1].Type1, 1e-2, "type 1")
		near(t, shape[0].Type2, shape[1].Type2, 1e-2, "type 2")
		near(t, shape[0].Type3, shape[1].Type3, 1e-2, "type 3")
	}
}

// TestDescribeIsTheOneOfDataSHIELD: what its own test expects of LAB_TSC.
func TestDescribeIsTheOneOfDataSHIELD(t *testing.T) {
	t.Parallel()
	m, err := analysis.Describe{Values: []analysis.Column{{Name: "lab_tsc", Kind: analysis.Numeric, High: 20}}}.New()
	require.NoError(t, err)
	result, err := alone(t, m, tableRows(t, "cnsim.csv.gz", m.Columns()))
	require.NoError(t, err)
	all := result.(*query.Description).Columns[0].All
	require.EqualValues(t, 7825, all.N)
	require.InEpsilon(t, 0.515598613390042, *all.Kurtosis.Type1, 1e-12)
}

func TestSplitMovesNoBitOfDescribe(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(known[describeCase](t, "describe.json"), func(c describeCase) bool { return strings.HasSuffix(c.File, ".gz") })
	var rows [][][]float64
	var whole []any
	for i, c := range cases {
		table := tableRows(t, c.File, c.method(t).Columns())
		table[i][0], table[5][1] = math.NaN(), math.NaN() // so that somebody misses a value
		result, err := alone(t, c.method(t), table)
		require.NoError(t, err)
		rows, whole = append(rows, table), append(whole, result)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		require.Equal(t, whole[i], dealt(t, cases[i].method(t), rows[i]))
	})
}

// TestDescribeFew: as R, what few values, or equal ones, do not define is absent.
func TestDescribeFew(t *testing.T) {
	t.Parallel()
	column := analysis.Column{Name: "x", Kind: analysis.Numeric, Low: -7, High: 1000}
	m, err := analysis.Describe{
		Values: []analysis.Column{column, {Name: "y", Kind: analysis.Numeric, High: 1}},
		By:     &analysis.Column{Name: "g", Kind: analysis.Factor, Levels: []string{"equal", "one", "none"}},
	}.New()
	require.NoError(t, err)
	result, err := alone(t, m, nil)
	require.NoError(t, err)
	require.Equal(t, query.Moment{}, result.(*query.Description).Columns[0].All)
	require.Nil(t, result.(*query.Description).Pairs[0].Covariance)
	result, err = alone(t, m, [][]float64{{0.1, 0.3, 0}, {0.1, 0.3, 0}, {0.1, 0.3, 0}, {900, 0.3, 1}})
	require.NoError(t, err)
	d := result.(*query.Description).Columns[0]
	require.Equal(t, query.Moment{}, d.Groups[2].Moment)
	require.InEpsilon(t, 900, *d.Groups[1].Mean, 1e-15)
	require.Nil(t, d.Groups[1].Variance)
	require.InEpsilon(t, 0.1, *d.Groups[0].Mean, 1e-12)
	require.Zero(t, *d.Groups[0].Variance)
	require.Equal(t, query.Shape{}, d.Groups[0].Skewness)
	require.Zero(t, *result.(*query.Description).Columns[1].All.Variance)
	require.Nil(t, result.(*query.Description).Pairs[0].Correlation)
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	x := analysis.Column{Name: "x", Kind: analysis.Numeric, High: 1}
	for want, m := range map[string]analysis.Describe{
		"name a column":                {},
		"it must be numeric":           {Values: []analysis.Column{{Name: "l", Kind: analysis.Logical}}},
		"must be a factor or logical":  {Values: []analysis.Column{x}, By: &analysis.Column{Name: "y", Kind: analysis.Numeric, High: 1}},
		"it must lie within 1e+12":     {Values: []analysis.Column{{Name: "x", Kind: analysis.Numeric, High: 1e13}}},
		"column x stands twice":        {Values: []analysis.Column{x, x}},
		"the plausible range must be ": {Values: []analysis.Column{{Name: "x", Kind: analysis.Numeric}}},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
}

// TestExactMeansTellHowMany: a mean of whole numbers is a fraction whose denominator divides
// their number. So what is shown exactly tells its n, rounded beside it or not.
func TestExactMeansTellHowMany(t *testing.T) {
	t.Parallel()
	age := analysis.Column{Name: "age", Kind: analysis.Numeric, High: 130}
	m, err := analysis.Describe{Values: []analysis.Column{age}}.New()
	require.NoError(t, err)
	for _, n := range []int{317, 1000, 2003} {
		rows := make([][]float64, n)
		for i := range rows {
			rows[i] = []float64{20 + float64(i*i%71)}
		}
		result, err := alone(t, m, rows)
		require.NoError(t, err)
		mean := *result.(*query.Description).Columns[0].All.Mean
		of := 1
		for math.Abs(mean*float64(of)-math.Round(mean*float64(of))) > 1e-6 {
			of++
		}
		require.Zero(t, n%of)
		require.Greater(t, of, n/10, "so n is one of few numbers, of which rounding leaves one")
	}
}
