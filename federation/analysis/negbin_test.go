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

// negBinCase is a model with what R says of it; see testdata/negbin/negbin.R.
type negBinCase struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Weights string            `json:"weights"`
	Columns []analysis.Column `json:"columns"`
	query.NegativeBinomial
}

func negBinCases(t testing.TB) []negBinCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "negbin", "cases.json"))
	require.NoError(t, err)
	var cases []negBinCase
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

func (c negBinCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	m, err := analysis.NegativeBinomial{Formula: f, Link: c.Link, Weights: c.Weights, Declared: c.Columns}.New()
	require.NoError(t, err)
	return m
}

func TestNegativeBinomialIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range negBinCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			rows := tableRows(t, filepath.Join("negbin", c.File), c.Columns)
			outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows, 3, func(r int) int { return r % 3 })...)
			require.NoError(t, err)
			require.LessOrEqual(t, outcome.Rounds, 20)
			c.equal(t, outcome.Result)
			require.Empty(t, outcome.Result.(*query.NegativeBinomial).Warnings)
		})
	}
}

func (c negBinCase) equal(t require.TestingT, result any) {
	want, got := c.NegativeBinomial, result.(*query.NegativeBinomial)
	require.Equal(t, query.NegBinomial, got.Family)
	require.Equal(t, []int64{want.N, *want.Omitted, want.DF, want.NullDF}, []int64{got.N, *got.Omitted, got.DF, got.NullDF})
	require.True(t, got.Converged)
	near(t, &want.LogLikelihood, &got.LogLikelihood, 0, "log likelihood")
	if !want.Converged { // glm.nb warns that its alternation stops before the maximum
		require.GreaterOrEqual(t, got.LogLikelihood, want.LogLikelihood)
		require.InEpsilon(t, want.Theta, got.Theta, 1e-5)
		return
	}
	near(t, &want.Theta, &got.Theta, 0, "theta")
	near(t, &want.ThetaSE, &got.ThetaSE, 0, "se of theta")
	near(t, &want.Deviance, &got.Deviance, 0, "deviance")
	near(t, &want.NullDeviance, &got.NullDeviance, 0, "null deviance")
	near(t, want.AIC, got.AIC, 0, "AIC")
	away := runaways(got.Warnings) // of which glm.nb is silent
	infinite := func(c query.Coefficient) bool { return slices.Contains(away, c.Name) }
	nearCoefficients(t, slices.DeleteFunc(slices.Clone(want.Coefficients), infinite), slices.DeleteFunc(slices.Clone(got.Coefficients), infinite))
}

// nearCoefficients compares tables, estimates beside their standard errors.
func nearCoefficients(t require.TestingT, want, got []query.Coefficient) {
	require.Len(t, got, len(want))
	for i, w := range want {
		g := got[i]
		require.Equal(t, w.Name, g.Name)
		scale := 0.0
		if w.SE != nil {
			scale = *w.SE
		}
		near(t, w.Estimate, g.Estimate, scale, w.Name)
		near(t, w.SE, g.SE, 0, "se of "+w.Name)
		near(t, w.Statistic, g.Statistic, 1, "statistic of "+w.Name)
		near(t, w.P, g.P, 1e-6, "p of "+w.Name)
	}
}

// TestNegativeBinomialOfAnySplit: sites may be empty, have one person or lack a level.
func TestNegativeBinomialOfAnySplit(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(negBinCases(t), func(c negBinCase) bool { return c.N > 20 }) // too many rows to repeat
	require.NotEmpty(t, cases)
	whole := make([]any, len(cases))
	rows := make([][][]float64, len(cases))
	for i, c := range cases {
		rows[i] = tableRows(t, filepath.Join("negbin", c.File), c.Columns)
		outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows[i], 1, func(int) int { return 0 })...)
		require.NoError(t, err)
		whole[i] = outcome.Result
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows[i]), len(rows[i])).Draw(t, "deal")
		outcome, err := analysis.Local(cases[i].method(t), split(t, cases[i].Columns, rows[i], sites, func(r int) int { return deal[r] })...)
		require.NoError(t, err)
		require.Equal(t, whole[i], outcome.Result)
	})
}

// counts declares the columns of made-up rows.
func counts() []analysis.Column {
	return []analysis.Column{
		{Name: "y", Kind: analysis.Numeric, Low: 0, High: 1000},
		{Name: "g", Kind: analysis.Factor, Levels: []string{"a", "b", "c"}},
		{Name: "x", Kind: analysis.Numeric, Low: -1, High: 10},
	}
}

func TestNegativeBinomialSaysWhyThereIsNoResult(t *testing.T) {
	t.Parallel()
	for want, rows := range map[string][][]float64{
		"nobody":                  nil,
		"all counts are zero":     {{0, 0, 1}, {0, 1, 2}, {0, 1, 3}},
		"iteration limit reached": {{4, 0, 1}, {5, 0, 2}, {5, 1, 3}, {6, 1, 4}},
	} {
		f, err := formula.Parse("y ~ x")
		require.NoError(t, err)
		m, err := analysis.NegativeBinomial{Formula: f, Declared: counts()}.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, split(t, counts(), rows, 2, func(r int) int { return r % 2 })...)
		var none analysis.NoResult
		require.ErrorAs(t, err, &none, want)
		require.ErrorContains(t, err, want)
	}
}

// TestNegativeBinomialOfFewRows: steps that leave the range of the link are taken back, and
// fitted counts near 0 break no sum.
func TestNegativeBinomialOfFewRows(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		formula string
		link    query.Link
		rows    [][]float64
	}{
		{"y ~ x", query.LinkIdentity, [][]float64{{2, 0, 4.2}, {2, 1, 6.4}, {3, 2, 3.2}, {5, 1, 7.6}, {0, 0, 0.4}, {4, 1, 10}, {9, 2, 3.3}}},
		{"y ~ x", query.LinkSqrt, [][]float64{{3, 2, 6.8}, {1, 1, 9.3}, {2, 0, 9.5}, {31, 2, 2.6}, {0, 1, 6.5}, {201, 2, 6.9}, {8, 1, 8.8}, {1, 1, 1.3}}},
		{"y ~ x + g", query.LinkLog, [][]float64{{1, 1, 4.4}, {2, 1, 7.5}, {114, 2, 3.8}, {0, 2, 3.5}, {2, 1, 6.4}, {0, 1, 0.4}, {0, 1, 6.5}, {1, 2, 3.6}, {5, 0, 4.6}}},
		{"y ~ x + g", query.LinkLog, [][]float64{{0, 1, 8.8}, {3, 0, 3.5}, {525, 1, 9.2}, {0, 0, 7.9}, {0, 0, 3.3}, {86, 2, 7.9}, {0, 0, 2.3}}},
	} {
		f, err := formula.Parse(of.formula)
		require.NoError(t, err)
		m, err := analysis.NegativeBinomial{Formula: f, Link: of.link, Declared: counts()}.New()
		require.NoError(t, err)
		outcome, err := analysis.Local(m, split(t, counts(), of.rows, 2, func(r int) int { return r % 2 })...)
		require.NoError(t, err)
		got := outcome.Result.(*query.NegativeBinomial)
		require.Greater(t, got.Theta, 0.0)
		require.LessOrEqual(t, got.Deviance, got.NullDeviance)
	}
}

// TestNegativeBinomialNamesTheInfinite: nobody of the first level has an event.
func TestNegativeBinomialNamesTheInfinite(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("y ~ g")
	require.NoError(t, err)
	m, err := analysis.NegativeBinomial{Formula: f, Declared: counts()}.New()
	require.NoError(t, err)
	rows := [][]float64{{9, 0, 1}, {1, 0, 1}, {30, 0, 1}, {0, 1, 1}, {0, 1, 1}, {5, 2, 1}, {50, 2, 1}, {2, 2, 1}, {7, 2, 1}}
	outcome, err := analysis.Local(m, split(t, counts(), rows, 2, func(r int) int { return r % 2 })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.NegativeBinomial)
	require.Equal(t, []string{"Loglik converged before variable gb; coefficient may be infinite."}, got.Warnings)
	require.Less(t, *got.Coefficients[1].Estimate, -10.0)
	require.InDelta(t, 2.590267, *got.Coefficients[0].Estimate, 1e-6) // of the mean 40/3
}

func TestNegativeBinomialRefusesWhatItCannotFit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x ~ g":             "must not be negative",
		"g ~ x":             "must be numeric",
		"y ~ z":             "not declared",
		"y ~ 0":             "neither terms nor an intercept",
		"y ~ x + strata(g)": "no strata",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.NegativeBinomial{Formula: f, Declared: counts()}.New()
		require.ErrorContains(t, err, want, text)
	}
	f, err := formula.Parse("y ~ x + g")
	require.NoError(t, err)
	_, err = analysis.NegativeBinomial{Formula: f, Link: query.LinkLogit, Declared: counts()}.New()
	require.ErrorContains(t, err, "link")
	_, err = analysis.NegativeBinomial{Formula: f, Weights: "g", Declared: counts()}.New()
	require.ErrorContains(t, err, "weights")
	m, err := analysis.NegativeBinomial{Formula: f, Declared: counts()}.New()
	require.NoError(t, err)
	require.Equal(t, 5, m.Parameters())
	require.Len(t, m.Columns(), 3)
}

// TestThetaIsTheMaximum: of a table on which glm.nb warns "alternation limit reached", at whatever
// limit, with a theta of 0.6132611; theta.py finds the maximum with 50 digits.
func TestThetaIsTheMaximum(t *testing.T) {
	t.Parallel()
	columns := []analysis.Column{
		{Name: "x", Kind: analysis.Numeric, Low: -6, High: 6},
		{Name: "z", Kind: analysis.Numeric, Low: 0.05, High: 3},
		{Name: "g", Kind: analysis.Factor, Levels: []string{"a", "b", "c"}},
		{Name: "y", Kind: analysis.Numeric, High: 200},
	}
	raw, err := os.ReadFile("testdata/negbin/theta.json")
	require.NoError(t, err)
	var want struct {
		Coefficients         []float64
		Theta, LogLikelihood float64
	}
	require.NoError(t, json.Unmarshal(raw, &want))
	f, err := formula.Parse("y ~ x + g + offset(log(z))")
	require.NoError(t, err)
	m, err := analysis.NegativeBinomial{Formula: f, Declared: columns}.New()
	require.NoError(t, err)
	outcome, err := analysis.Local(m, split(t, columns, tableRows(t, "negbin/theta.csv", columns), 3, func(r int) int { return r % 3 })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.NegativeBinomial)
	require.Empty(t, got.Warnings)
	require.InEpsilon(t, want.Theta, got.Theta, 1e-12)
	require.InEpsilon(t, want.LogLikelihood, got.LogLikelihood, 1e-12)
	for i, v := range want.Coefficients {
		require.InEpsilon(t, v, *got.Coefficients[i].Estimate, 1e-11)
	}
}
