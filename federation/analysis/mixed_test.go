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
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// mixedCase is a model with what R says of it; see testdata/mixed/mixed.R. The last of its
// columns is the site.
type mixedCase struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Columns []analysis.Column `json:"columns"`
	query.Mixed
}

func mixedCases(t testing.TB) []mixedCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "mixed", "cases.json"))
	require.NoError(t, err)
	var cases []mixedCase
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

func (c mixedCase) declared() []analysis.Column { return c.Columns }

func (c mixedCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	m, err := analysis.Mixed{Formula: f, Criterion: c.Criterion, Declared: c.Columns}.New()
	require.NoError(t, err)
	return m
}

// siteOf returns a function that says which site a row is of.
func siteOf(rows [][]float64) func(row int) int {
	return func(row int) int { return int(rows[row][len(rows[row])-1]) }
}

func TestMixedModelIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range mixedCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			rows := tableRows(t, filepath.Join("mixed", c.File), c.Columns)
			outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows, int(c.Sites), siteOf(rows))...)
			require.NoError(t, err)
			require.LessOrEqual(t, outcome.Rounds, 15)
			c.equal(t, outcome.Result)
		})
	}
}

func (c mixedCase) equal(t require.TestingT, result any) {
	want, got := c.Mixed, result.(*query.Mixed)
	require.Equal(t, want.Criterion, got.Criterion)
	require.Equal(t, []int64{want.N, *want.Omitted, want.Sites}, []int64{got.N, *got.Omitted, got.Sites})
	require.True(t, got.Converged)
	require.Equal(t, want.Warnings, append([]string{}, got.Warnings...))
	near(t, &want.SiteVariance, &got.SiteVariance, 0, "variance of sites")
	near(t, &want.ResidualVariance, &got.ResidualVariance, 0, "residual variance")
	near(t, &want.LogLikelihood, &got.LogLikelihood, 1, "log likelihood")
	near(t, &want.AIC, &got.AIC, 1, "AIC")
	nearCoefficients(t, want.Coefficients, got.Coefficients)
}

// TestMixedModelOfAnyOrder: of sites, with such that have nobody, and of their rows.
func TestMixedModelOfAnyOrder(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(mixedCases(t), func(c mixedCase) bool { return c.N > 60 }) // too many rows to repeat
	whole := make([]any, len(cases))
	rows := make([][][]float64, len(cases))
	for i, c := range cases {
		rows[i] = tableRows(t, filepath.Join("mixed", c.File), c.Columns)
		outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows[i], int(c.Sites), siteOf(rows[i]))...)
		require.NoError(t, err)
		whole[i] = outcome.Result
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		sites := rapid.IntRange(int(cases[i].Sites), 20).Draw(t, "sites")
		places := make([]int, sites)
		for k := range places {
			places[k] = k
		}
		places = rapid.Permutation(places).Draw(t, "places")
		rows := rapid.Permutation(rows[i]).Draw(t, "rows")
		site := siteOf(rows)
		frames := split(t, cases[i].Columns, rows, sites, func(r int) int { return places[site(r)] })
		outcome, err := analysis.Local(cases[i].method(t), frames...)
		require.NoError(t, err)
		require.Equal(t, whole[i], outcome.Result)
	})
}

// TestMixedModelHasTheVariancesOfABalancedTable, which are known in closed form.
func TestMixedModelHasTheVariancesOfABalancedTable(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("y ~ 1")
	require.NoError(t, err)
	m, err := analysis.Mixed{Formula: f, Declared: counts()}.New()
	require.NoError(t, err)
	rows := [][]float64{{1, 0, 0}, {3, 0, 0}, {11, 0, 0}, {13, 0, 0}, {21, 0, 0}, {23, 0, 0}}
	outcome, err := analysis.Local(m, split(t, counts(), rows, 3, func(r int) int { return r / 2 })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.Mixed)
	require.InEpsilon(t, 2, got.ResidualVariance, 1e-9) // mean square within, 6/3
	require.InEpsilon(t, 99, got.SiteVariance, 1e-9)    // (mean square between - within)/2 = (200-2)/2
	require.InEpsilon(t, 12, *got.Coefficients[0].Estimate, 1e-9)
}

func TestMixedModelSaysWhyThereIsNoResult(t *testing.T) {
	t.Parallel()
	for want, of := range map[string]struct {
		rows [][]float64
		site func(int) int
	}{
		"nobody":                 {nil, func(int) int { return 0 }},
		"only one site has rows": {[][]float64{{1, 0, 1}, {2, 0, 2}, {5, 1, 3}}, func(int) int { return 0 }},
		"each site has one row":  {[][]float64{{1, 0, 1}, {2, 0, 2}, {5, 1, 3}}, func(r int) int { return r }},
		"no residuals are left within sites": {
			[][]float64{{1, 0, 1}, {2, 0, 2}, {11, 0, 1}, {12, 0, 2}, {26, 0, 1}, {27, 0, 2}}, func(r int) int { return r / 2 },
		},
		"no residuals are left: ": {[][]float64{{1, 0, 1}, {2, 0, 2}, {3, 1, 3}}, func(r int) int { return r % 2 }},
	} {
		f, err := formula.Parse("y ~ x + I(x^2)")
		require.NoError(t, err)
		m, err := analysis.Mixed{Formula: f, Declared: counts()}.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, split(t, counts(), of.rows, 3, of.site)...)
		var none analysis.NoResult
		require.ErrorAs(t, err, &none, want)
		require.ErrorContains(t, err, want)
	}
}

func TestMixedModelRefusesWhatItCannotFit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"g ~ x":             "mixed: the response of family gaussian must be numeric",
		"y ~ z":             "not declared",
		"y ~ 0":             "neither terms nor an intercept",
		"y ~ x + strata(g)": "no strata",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.Mixed{Formula: f, Declared: counts()}.New()
		require.ErrorContains(t, err, want, text)
	}
	f, err := formula.Parse("y ~ x")
	require.NoError(t, err)
	_, err = analysis.Mixed{Formula: f, Criterion: "GCV", Declared: counts()}.New()
	require.ErrorContains(t, err, "REML or ML")
	m, err := analysis.Mixed{Formula: f, Declared: counts()}.New()
	require.NoError(t, err)
	require.Equal(t, 4, m.Parameters())
	require.Len(t, m.Columns(), 2)
}
