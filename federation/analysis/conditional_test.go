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

// conditionalCase is a model with what R says of it; see testdata/conditional/conditional.R.
type conditionalCase struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Columns []analysis.Column `json:"columns"`
	query.Conditional
}

func conditionalCases(t testing.TB) []conditionalCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "conditional", "cases.json"))
	require.NoError(t, err)
	var cases []conditionalCase
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

func (c conditionalCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	var m analysis.Iteration
	if c.Ties == "" {
		m, err = analysis.CaseSeries{Formula: f, Declared: c.Columns}.New()
	} else {
		m, err = analysis.ConditionalLogistic{Formula: f, Ties: c.Ties, Declared: c.Columns}.New()
	}
	require.NoError(t, err)
	return m
}

// setOf returns a function that says which set a row is of.
func setOf(t require.TestingT, text string, columns []analysis.Column, rows [][]float64) func(row int) float64 {
	f, err := formula.Parse(text)
	require.NoError(t, err)
	return func(row int) float64 {
		set := 0.0 // those of several columns are whole numbers below 100
		for _, v := range f.Strata {
			at := slices.IndexFunc(columns, func(c analysis.Column) bool { return c.Name == v.Columns[0] })
			set = 100*set + rows[row][at]
		}
		return set
	}
}

func TestConditionalLikelihoodsAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range conditionalCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			rows := tableRows(t, filepath.Join("conditional", c.File), c.Columns)
			set := setOf(t, c.Formula, c.Columns, rows)
			frames := split(t, c.Columns, rows, 3, func(r int) int { return int(set(r)) % 3 })
			outcome, err := analysis.Local(c.method(t), frames...)
			require.NoError(t, err)
			c.equal(t, outcome.Result)
		})
	}
}

func (c conditionalCase) equal(t require.TestingT, result any) {
	want, got := c.Conditional, result.(*query.Conditional)
	require.Equal(t, want.Ties, got.Ties)
	require.Equal(t, []int64{want.N, *want.Omitted, want.Sets, want.Informative, want.Events},
		[]int64{got.N, *got.Omitted, got.Sets, got.Informative, got.Events})
	require.Equal(t, want.Converged, got.Converged)
	require.Equal(t, want.Warnings, append([]string{}, got.Warnings...))
	near(t, &want.NullLogLikelihood, &got.NullLogLikelihood, 0, "log likelihood without terms")
	nearTest(t, want.Score, got.Score, "score test")
	if len(want.Warnings) > 0 { // estimates run away
		near(t, &want.LogLikelihood, &got.LogLikelihood, 10, "log likelihood")
		return
	}
	near(t, &want.LogLikelihood, &got.LogLikelihood, 0, "log likelihood")
	nearTest(t, want.LikelihoodRatio, got.LikelihoodRatio, "likelihood ratio")
	require.Equal(t, want.Iterations, got.Iterations)
	nearTest(t, want.Wald, got.Wald, "Wald test")
	nearCoefficients(t, want.Coefficients, got.Coefficients)
}

// TestConditionalLikelihoodsOfAnySplit: the sets may lie in any sites, and the rows of a
// site in any order.
func TestConditionalLikelihoodsOfAnySplit(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(conditionalCases(t), func(c conditionalCase) bool { return c.N > 60 }) // too many rows to repeat
	whole := make([]any, len(cases))
	rows := make([][][]float64, len(cases))
	for i, c := range cases {
		rows[i] = tableRows(t, filepath.Join("conditional", c.File), c.Columns)
		outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows[i], 1, func(int) int { return 0 })...)
		require.NoError(t, err)
		whole[i] = outcome.Result
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), 100, 100).Draw(t, "deal")
		rows := rapid.Permutation(rows[i]).Draw(t, "rows")
		set := setOf(t, cases[i].Formula, cases[i].Columns, rows)
		frames := split(t, cases[i].Columns, rows, sites, func(r int) int { return deal[int(set(r))%100] })
		outcome, err := analysis.Local(cases[i].method(t), frames...)
		require.NoError(t, err)
		require.Equal(t, whole[i], outcome.Result)
	})
}

// TestSetsOfOneNumberAtTwoSitesAreTwo: the column has no meaning beyond a site.
func TestSetsOfOneNumberAtTwoSitesAreTwo(t *testing.T) {
	t.Parallel()
	rows := [][]float64{{1, 1, 3, 0}, {1, 0, 1, 0}, {2, 1, 2, 0}, {2, 0, 5, 0}, {3, 1, 4, 0}, {3, 0, 0, 0}}
	f, err := formula.Parse("case ~ x + strata(set)")
	require.NoError(t, err)
	m, err := analysis.ConditionalLogistic{Formula: f, Declared: matched()}.New()
	require.NoError(t, err)
	apart, err := analysis.Local(m, split(t, matched(), rows, 3, func(r int) int { return r / 2 })...)
	require.NoError(t, err)
	for i := range rows {
		rows[i] = append([]float64{1}, rows[i][1:]...)
	}
	same, err := analysis.Local(m, split(t, matched(), rows, 3, func(r int) int { return r / 2 })...)
	require.NoError(t, err)
	require.Equal(t, apart.Result, same.Result)
}

// matched declares the columns of made-up rows.
func matched() []analysis.Column {
	return []analysis.Column{
		{Name: "set", Kind: analysis.Numeric, Low: 0, High: 1e6},
		{Name: "case", Kind: analysis.Logical},
		{Name: "x", Kind: analysis.Numeric, Low: 0, High: 10},
		{Name: "events", Kind: analysis.Numeric, Low: 0, High: 10},
	}
}

func TestConditionalLikelihoodsSayWhyThereIsNoResult(t *testing.T) {
	t.Parallel()
	var many [][]float64
	for set := range 10 {
		many = append(many, []float64{float64(set), 1, float64(set/9) * 3, 0}, []float64{float64(set), 0, 0, 0})
	}
	large := make([][]float64, analysis.MaxExactSet+1)
	for i := range large {
		large[i] = []float64{1, float64(i % 2), 1, 0}
	}
	pairs := [][]float64{{1, 1, 3, 0}, {1, 0, 1, 0}, {2, 1, 2, 0}, {2, 0, 2, 0}}
	for want, of := range map[string]struct {
		least int
		rows  [][]float64
	}{
		"nobody":                               {0, nil},
		"no set has both":                      {0, [][]float64{{1, 1, 3, 0}, {1, 1, 1, 0}, {2, 0, 1, 0}}},
		"more than 1000 rows":                  {0, large},
		"fewer than 10 sets":                   {3, pairs},
		"fewer than 12 sets":                   {12, pairs},
		"x varies in fewer than 2 sets: leave": {2, many},
	} {
		f, err := formula.Parse("case ~ x + strata(set)")
		require.NoError(t, err)
		m, err := analysis.ConditionalLogistic{Formula: f, MinSets: of.least, Declared: matched()}.New()
		require.NoError(t, err)
		outcome, err := analysis.Local(m, split(t, matched(), of.rows, 2, func(int) int { return 0 })...)
		var none analysis.NoResult
		require.ErrorAs(t, err, &none, want)
		require.ErrorContains(t, err, want)
		require.Equal(t, 1, outcome.Rounds, "nothing is taken at coefficients of few sets")
	}
	f, err := formula.Parse("events ~ x + strata(set)")
	require.NoError(t, err)
	m, err := analysis.CaseSeries{Formula: f, Declared: matched()}.New()
	require.NoError(t, err)
	_, err = analysis.Local(m, split(t, matched(), [][]float64{{1, 0, 1, 0.5}, {1, 0, 2, 0}}, 1, func(int) int { return 0 })...)
	require.ErrorContains(t, err, "must be whole numbers")
}

// TestSetsInWhichACovariateVaries are those that say something of it, at one site.
func TestSetsInWhichACovariateVaries(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("case ~ x + strata(set)")
	require.NoError(t, err)
	m, err := analysis.ConditionalLogistic{Formula: f, Declared: matched()}.New()
	require.NoError(t, err)
	rows := [][]float64{
		{1, 1, 3, 0}, {1, 0, 1, 0}, // varies
		{2, 1, 2, 0}, {2, 0, 2, 0}, // does not
		{3, 0, 3, 0}, {3, 0, 1, 0}, // without a case
		{4, 1, 3, 0}, // of one
		{5, 1, 5, 0}, {5, 0, 5, 0}, {5, 0, 6, 0},
	}
	got, err := m.Varied(split(t, matched(), rows, 1, func(int) int { return 0 })[0])
	require.NoError(t, err)
	require.Equal(t, []analysis.Varied{{Covariate: "x", Sets: 2}}, got)

	steep, err := formula.Parse("case ~ x + offset(z) + strata(set)")
	require.NoError(t, err)
	columns := append(matched(), analysis.Column{Name: "z", Kind: analysis.Numeric, High: 100})
	m, err = analysis.ConditionalLogistic{Formula: steep, Declared: columns}.New()
	require.NoError(t, err)
	var decided [][]float64
	for set := range 40 { // the offset leaves one of two, but in three sets
		apart := 50.0
		if set < 3 {
			apart = 0
		}
		decided = append(decided, []float64{float64(set), 1, 3, 0, apart}, []float64{float64(set), 0, 1, 0, 0})
	}
	got, err = m.Varied(split(t, columns, decided, 1, func(int) int { return 0 })[0])
	require.NoError(t, err)
	require.Equal(t, []analysis.Varied{{Covariate: "x", Sets: 4}}, got, "three, and a little of the others")

	other, err := analysis.Describe{Values: matched()[:1]}.New()
	require.NoError(t, err)
	got, err = other.Varied(split(t, matched(), rows, 1, func(int) int { return 0 })[0])
	require.NoError(t, err)
	require.Empty(t, got, "a method without sets")
}

func TestConditionalLikelihoodsRefuseWhatTheyCannotFit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"case ~ x":                              "needs strata(…)",
		"case ~ x + strata(log(set))":           "needs strata(…)",
		"case ~ x + strata(set) + strata(x)":    "column x cannot be a term",
		"~ x + strata(set)":                     "a column before ~",
		"Surv(x, case) ~ events + strata(set)":  "a column before ~",
		"case ~ strata(set)":                    "no terms",
		"case ~ x + set + strata(set)":          "column set cannot be a term",
		"case ~ y + strata(set)":                "the column y is not declared",
		"case ~ x + offset(case) + strata(set)": "offset(case): the column is not numeric",
		"events ~ x + strata(set)":              "must be logical",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.ConditionalLogistic{Formula: f, Declared: matched()}.New()
		require.ErrorContains(t, err, want, text)
	}
	f, err := formula.Parse("case ~ x + strata(set)")
	require.NoError(t, err)
	_, err = analysis.ConditionalLogistic{Formula: f, Ties: "discrete", Declared: matched()}.New()
	require.ErrorContains(t, err, "ties are exact, efron or breslow")
	_, err = analysis.ConditionalLogistic{Formula: f, MinSets: -1, Declared: matched()}.New()
	require.ErrorContains(t, err, "minSets")
	_, err = analysis.CaseSeries{Formula: f, Declared: matched()}.New()
	require.ErrorContains(t, err, "case series: the column case must be numeric")
	m, err := analysis.ConditionalLogistic{Formula: f, Declared: matched()}.New()
	require.NoError(t, err)
	require.Equal(t, 1, m.Parameters())
	require.Len(t, m.Columns(), 3)
}

// TestFurtherStatesOfNoRoundAreRefused, at a site and in pooling.
func TestFurtherStatesOfNoRoundAreRefused(t *testing.T) {
	t.Parallel()
	parsed := func(text string) formula.Formula {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		return f
	}
	conditional, err := analysis.ConditionalLogistic{Formula: parsed("case ~ x + strata(set)"), Declared: matched()}.New()
	require.NoError(t, err)
	mixed, err := analysis.Mixed{Formula: parsed("y ~ x"), Declared: counts()}.New()
	require.NoError(t, err)
	negative, err := analysis.NegativeBinomial{Formula: parsed("y ~ x"), Declared: counts()}.New()
	require.NoError(t, err)
	for _, of := range []struct {
		analysis.Iteration
		columns []analysis.Column
		states  []string
	}{
		{conditional, matched(), []string{
			`{"iterations":0,"scale":[1,1],"coefficients":[0]}`, `{"iterations":0,"scale":[1],"coefficients":[]}`,
			`{"iterations":1,"scale":[1],"coefficients":[0],"before":[0,0]}`,
		}},
		{mixed, counts(), []string{
			`{"mean":{"fits":0,"center":[0],"scale":[0,1],"coefficients":[0,0]},"ratio":1}`,
			`{"mean":{"fits":0,"center":[0,0],"scale":[0,1],"coefficients":[0,0]},"ratio":-1}`,
		}},
		{negative, counts(), []string{
			`{"mean":{"fits":0,"center":[0,0],"scale":[0],"coefficients":[0,0]},"poisson":true}`,
			`{"mean":{"fits":0,"center":[0,0],"scale":[0,1],"coefficients":[0,0]},"poisson":true,"theta":-1}`,
			`{"mean":{"fits":0,"center":[0,0],"scale":[0,1],"coefficients":[0,0]},"poisson":true,"theta":1,"beforeTheta":1}`,
		}},
	} {
		for _, state := range of.states {
			n, err := of.Words(analysis.State(state))
			require.NoError(t, err)
			_, err = of.Site(analysis.State(state), split(t, of.columns, nil, 1, nil)[0])
			require.ErrorContains(t, err, "the state is of another model", state)
			_, err = of.Next(analysis.State(state), make([]uint64, n), 1)
			require.ErrorContains(t, err, "the state is of another model", state)
		}
	}
}

// TestSumsOfNoSetsAreRefused: counts that are not whole, or of more than there are rows.
func TestSumsOfNoSetsAreRefused(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("case ~ x + strata(set)")
	require.NoError(t, err)
	m, err := analysis.ConditionalLogistic{Formula: f, Declared: matched()}.New()
	require.NoError(t, err)
	state, err := m.Start()
	require.NoError(t, err)
	whole := func(i int) int { return 2 + 3*i + 1 } // word of 2^-16
	for name, set := range map[string]map[int]uint64{
		"rows not counted":        {0: 4, whole(0): 3 << 16},
		"sets of a part":          {0: 4, whole(0): 4 << 16, whole(2): 1},
		"more sets than rows":     {0: 4, whole(0): 4 << 16, whole(2): 5 << 16, whole(3): 5 << 16},
		"more sets vary than are": {0: 4, whole(0): 4 << 16, whole(1): 2 << 16, whole(2): 2 << 16, whole(3): 2 << 16, whole(4): 4 << 16, whole(8): 3 << 16},
	} {
		n, err := m.Words(state)
		require.NoError(t, err)
		words := make([]uint64, n)
		for i, w := range set {
			words[i] = w
		}
		_, err = m.Next(state, words, 2)
		require.ErrorIs(t, err, analysis.ErrInconsistent, name)
	}
}
