package analysis_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// known reads what R says of some cases; see the scripts in testdata/describe.
func known[T any](t testing.TB, file string) []T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "describe", file))
	require.NoError(t, err)
	var cases []T
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

// alone runs a method over rows of one site.
func alone(t require.TestingT, m analysis.Iteration, rows [][]float64) (any, error) {
	outcome, err := analysis.Local(m, split(t, m.Columns(), rows, 1, func(int) int { return 0 })...)
	return outcome.Result, err
}

// dealt draws a split of the rows over 2 to 20 sites and runs the method over them.
func dealt(t *rapid.T, m analysis.Iteration, rows [][]float64) any {
	sites := rapid.IntRange(2, 20).Draw(t, "sites")
	deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows), len(rows)).Draw(t, "deal")
	outcome, err := analysis.Local(m, split(t, m.Columns(), rows, sites, func(r int) int { return deal[r] })...)
	require.NoError(t, err)
	return outcome.Result
}

type crossTabCase struct {
	Name string `json:"name"`
	query.ContingencyTable
}

func (c crossTabCase) least(t require.TestingT, least int64) analysis.Iteration {
	var factors []analysis.Column
	for _, f := range c.Factors {
		factors = append(factors, analysis.Column{Name: f.Name, Kind: analysis.Factor, Levels: f.Levels})
	}
	m, err := analysis.CrossTab{Factors: factors, MinCell: least}.New()
	require.NoError(t, err)
	return m
}

func (c crossTabCase) method(t require.TestingT) analysis.Iteration { return c.least(t, 0) }

// rows are the persons that are counted.
func (c crossTabCase) rows() [][]float64 {
	var rows [][]float64
	for cell, n := range c.Counts {
		row := make([]float64, len(c.Factors))
		for i := len(row) - 1; i >= 0; i-- {
			row[i] = float64(cell % len(c.Factors[i].Levels))
			cell /= len(c.Factors[i].Levels)
		}
		for range n {
			rows = append(rows, row)
		}
	}
	return rows
}

func TestCrossTabIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[crossTabCase](t, "crosstab.json") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			result, err := alone(t, c.least(t, 0), c.rows())
			require.NoError(t, err)
			c.equal(t, result)
		})
	}
}

func (c crossTabCase) equal(t require.TestingT, result any) {
	got := result.(*query.ContingencyTable)
	require.Equal(t, c.Counts, got.Counts)
	require.Equal(t, c.Factors, got.Factors)
	require.Equal(t, c.N, got.N)
	nearSignificance(t, c.ChiSquared, got.ChiSquared, "χ²")
	nearSignificance(t, c.Yates, got.Yates, "χ² of Yates")
	nearSignificance(t, c.Fisher, got.Fisher, "Fisher")
	nearSignificance(t, c.CMH, got.CMH, "CMH")
	nearSignificance(t, c.CMHCorrected, got.CMHCorrected, "CMH, corrected")
	nearRatio(t, c.OddsRatio, got.OddsRatio)
	nearRatio(t, c.CommonRatio, got.CommonRatio)
}

func nearSignificance(t require.TestingT, want, got *query.Significance, of string) {
	if want == nil {
		require.Nil(t, got, of)
		return
	}
	require.NotNil(t, got, of)
	near(t, want.Statistic, got.Statistic, 1e-3, of)
	near(t, want.DF, got.DF, 0, "df of "+of)
	near(t, &want.P, &got.P, 0, "p of "+of)
}

func nearRatio(t require.TestingT, want, got *query.OddsRatio) {
	if want == nil {
		require.Nil(t, got)
		return
	}
	require.NotNil(t, got)
	near(t, want.Estimate, got.Estimate, 0, "odds ratio")
	near(t, want.Lower, got.Lower, 0, "lower limit")
	near(t, want.Upper, got.Upper, 0, "upper limit")
}

func TestSplitMovesNoBitOfCrossTab(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(known[crossTabCase](t, "crosstab.json"), func(c crossTabCase) bool { return c.N > 50 }) // too much to repeat
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(cases).Draw(t, "case")
		whole, err := alone(t, c.least(t, 0), c.rows())
		require.NoError(t, err)
		require.Equal(t, whole, dealt(t, c.least(t, 0), c.rows()))
	})
}

// TestFisherAddsUp compares with all tables of the same margins, one by one.
func TestFisherAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows, columns := rapid.IntRange(2, 3).Draw(t, "rows"), 3
		c := crossTabCase{}
		c.Factors = []query.TableFactor{{Name: "a", Levels: levelNames[:rows]}, {Name: "b", Levels: levelNames[:columns]}}
		c.Counts = rapid.SliceOfN(rapid.Int64Range(1, 3), rows*columns, rows*columns).Draw(t, "counts")
		result, err := alone(t, c.least(t, 0), c.rows())
		require.NoError(t, err)
		require.InEpsilon(t, fisherByAll(c.Counts, columns), result.(*query.ContingencyTable).Fisher.P, 1e-9)
	})
}

var levelNames = []string{"k", "l", "m"}

// fisherByAll adds up the chances of all tables by brute force.
func fisherByAll(counts []int64, columns int) float64 {
	rows := len(counts) / columns
	row, column := make([]int, rows), make([]int, columns)
	weight := func(v int) float64 { // 1 / v!
		w := 1.0
		for i := 2; i <= v; i++ {
			w /= float64(i)
		}
		return w
	}
	at := 1.0
	for i, n := range counts {
		row[i/columns] += int(n)
		column[i%columns] += int(n)
		at *= weight(int(n))
	}
	all, unlikely := 0.0, 0.0
	var fill func(cell int, chance float64)
	fill = func(cell int, chance float64) {
		if cell == len(counts) {
			all += chance
			if chance <= at*(1+1e-7) {
				unlikely += chance
			}
			return
		}
		i, j := cell/columns, cell%columns
		for v := 0; v <= min(row[i], column[j]); v++ {
			if j == columns-1 && v != row[i] || i == rows-1 && v != column[j] {
				continue
			}
			row[i], column[j] = row[i]-v, column[j]-v
			fill(cell+1, chance*weight(v))
			row[i], column[j] = row[i]+v, column[j]+v
		}
	}
	fill(0, 1)
	return unlikely / all
}

func TestCrossTabShowsNoSmallCell(t *testing.T) {
	t.Parallel()
	c := crossTabCase{}
	c.Factors = []query.TableFactor{{Name: "a", Levels: []string{"k", "l"}}, {Name: "b", Levels: []string{"m", "n"}}}
	for name, small := range map[string]struct {
		counts []int64
		shown  bool
	}{
		"ten":    {[]int64{30, 10, 12, 40}, false},
		"eleven": {[]int64{30, 11, 12, 40}, true},
		"nobody": {[]int64{30, 0, 12, 40}, true},
	} {
		c.Counts = small.counts
		_, err := alone(t, c.least(t, 11), c.rows())
		if small.shown {
			require.NoError(t, err, name)
			continue
		}
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, name)
	}
}

func TestCrossTabOfNobody(t *testing.T) {
	t.Parallel()
	c := crossTabCase{}
	c.Factors = []query.TableFactor{{Name: "a", Levels: []string{"k", "l"}}, {Name: "b", Levels: []string{"m", "n"}}}
	for _, factors := range [][]query.TableFactor{c.Factors, append(slices.Clone(c.Factors), query.TableFactor{Name: "s", Levels: []string{"o"}})} {
		c.Factors = factors
		result, err := alone(t, c.least(t, 11), nil)
		require.NoError(t, err)
		require.NotEmpty(t, result.(*query.ContingencyTable).Warnings)
		require.Nil(t, result.(*query.ContingencyTable).CMH)
	}
}

func TestCrossTabRefuses(t *testing.T) {
	t.Parallel()
	factor := func(name string, levels ...string) analysis.Column {
		return analysis.Column{Name: name, Kind: analysis.Factor, Levels: levels}
	}
	for want, m := range map[string]analysis.CrossTab{
		"two or three":         {Factors: []analysis.Column{factor("a", "b")}},
		"0 levels":             {Factors: []analysis.Column{factor("a", "b"), factor("c")}},
		"factor or logical":    {Factors: []analysis.Column{factor("a", "b"), {Name: "c", Kind: analysis.Numeric, High: 1}}},
		"must not be below 0":  {Factors: []analysis.Column{factor("a", "b"), factor("c", "d")}, MinCell: -1},
		"name must have 1 to ": {Factors: []analysis.Column{factor("a", "b"), factor("", "d")}},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
}
