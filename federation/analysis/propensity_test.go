package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// propensityCase is a question with what R says of it; the names of R's coefficients are of
// columns of 0 and 1, ours of logical ones.
type propensityCase struct {
	Treatment     string       `json:"treatment"`
	Model         string       `json:"model"`
	Family        query.Family `json:"family"`
	Stabilized    bool         `json:"stabilized"`
	Truncate      float64      `json:"truncate"`
	StrataWanted  int          `json:"strataWanted"`
	CaliperWanted float64      `json:"caliperWanted"`
	Sites         int          `json:"sites"`
	Cuts          []float64    `json:"cuts"`

	query.PropensityEffect
}

var birthwt = []analysis.Column{
	{Name: "low", Kind: analysis.Logical},
	{Name: "age", Kind: analysis.Numeric, Low: 10, High: 60},
	{Name: "lwt", Kind: analysis.Numeric, Low: 50, High: 400},
	{Name: "race", Kind: analysis.Factor, Levels: []string{"1", "2", "3"}},
	{Name: "smoke", Kind: analysis.Logical},
	{Name: "ht", Kind: analysis.Logical},
	{Name: "ui", Kind: analysis.Logical},
	{Name: "bwt", Kind: analysis.Numeric, Low: 500, High: 6000},
}

func (c propensityCase) question(t require.TestingT) analysis.Propensity {
	treatment, err := formula.Parse(c.Treatment)
	require.NoError(t, err)
	outcome, err := formula.Parse(c.Model)
	require.NoError(t, err)
	return analysis.Propensity{
		Treatment: treatment, Outcome: outcome, Family: c.Family, Adjustment: c.Adjustment, Estimand: c.Estimand,
		Stabilized: c.Stabilized, Truncate: c.Truncate, Strata: c.StrataWanted, Caliper: c.CaliperWanted, Declared: birthwt,
	}
}

func (c propensityCase) method(t require.TestingT) analysis.Iteration {
	m, err := c.question(t).New()
	require.NoError(t, err)
	return m
}

func TestPropensityIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[propensityCase](t, "propensity") {
		m := c.method(t)
		rows := tableRows(t, "propensity/birthwt.csv", m.Columns())
		outcome, err := analysis.Local(m, split(t, m.Columns(), rows, c.Sites, func(r int) int { return r % c.Sites })...)
		require.NoError(t, err)
		require.LessOrEqual(t, outcome.Rounds, 35)
		c.equal(t, outcome.Result)
	}
}

func (c propensityCase) equal(t require.TestingT, result any) {
	got := result.(*query.PropensityEffect)
	require.Equal(t, c.Untreated.N+c.Treated.N, got.N)
	nearEstimates(t, c.Score.Coefficients, got.Score.Coefficients)
	nearEstimates(t, c.Outcome.Coefficients, got.Outcome.Coefficients)
	for _, arms := range [][2]query.PropensityArm{{c.Treated, got.Treated}, {c.Untreated, got.Untreated}} {
		require.Equal(t, []int64{arms[0].N, arms[0].Used}, []int64{arms[1].N, arms[1].Used})
		near(t, &arms[0].Effective, &arms[1].Effective, 0, "effective number")
	}
	require.Len(t, got.Balance, len(c.Balance))
	for i, w := range c.Balance {
		g := got.Balance[i]
		require.Equal(t, w.Name, strings.TrimSuffix(g.Name, "TRUE"))
		near(t, w.Before, g.Before, 1e-2, "difference before of "+w.Name)
		near(t, w.After, g.After, 1e-2, "difference after of "+w.Name)
	}
	if c.Truncate > 0 {
		near(t, &c.Cuts[0], got.Truncated, 0, "greatest weight")
	}
	near(t, c.Caliper, got.Caliper, 0, "caliper")
	require.Len(t, got.Strata, len(c.Strata))
	for i, w := range c.Strata {
		require.Equal(t, []int64{w.Untreated, w.Treated}, []int64{got.Strata[i].Untreated, got.Strata[i].Treated})
		if i > 0 {
			near(t, &c.Cuts[i-1], &got.Strata[i].Low, 0, "lower end of a stratum")
		}
	}
}

func nearEstimates(t require.TestingT, want, got []query.Coefficient) {
	require.Len(t, got, len(want))
	for i, w := range want {
		require.Equal(t, w.Name, strings.TrimSuffix(got[i].Name, "TRUE"))
		near(t, w.Estimate, got[i].Estimate, *w.SE, w.Name)
		near(t, w.SE, got[i].SE, 0, "se of "+w.Name)
	}
}

// TestSplitMovesNoBitOfPropensity: weights and strata do not know of sites. Pairs do, and
// depend on how the rows are split, but not on the order of the sites.
func TestSplitMovesNoBitOfPropensity(t *testing.T) {
	t.Parallel()
	all := casesIn[propensityCase](t, "propensity")
	cases := []propensityCase{all[3], all[5], all[6]}
	whole, rows := make([]any, len(cases)), make([][][]float64, len(cases))
	for i, c := range cases {
		m := c.method(t)
		for k, row := range tableRows(t, "propensity/birthwt.csv", m.Columns()) {
			if k%2 == 0 { // low birth weights stand last
				rows[i] = append(rows[i], row)
			}
		}
		rows[i][3][1] = math.NaN()
		var err error
		whole[i], err = alone(t, m, rows[i])
		require.NoError(t, err)
	}
	for seed := range 6 {
		i := seed % len(cases)
		m := cases[i].method(t)
		frames := someSplit(t, seed, m.Columns(), rows[i])
		outcome, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		if cases[i].Adjustment != query.Matching {
			require.Equal(t, whole[i], outcome.Result)
			continue
		}
		got := outcome.Result.(*query.PropensityEffect)
		require.Equal(t, got.Treated.Used, got.Untreated.Used, "each pair has two")
		require.Equal(t, whole[i].(*query.PropensityEffect).Score, got.Score)
		slices.Reverse(frames)
		turned, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		require.Equal(t, got, turned.Result)
	}
}

// someSplit deals rows to 2 to 20 sites, some of them empty: for methods of so many rounds
// that a hundred splits take too long.
func someSplit(t testing.TB, seed int, columns []analysis.Column, rows [][]float64) []*analysis.Frame {
	sites := rapid.IntRange(2, 20).Example(seed)
	deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows), len(rows)).Example(seed)
	return split(t, columns, rows, sites, func(r int) int { return deal[r] })
}

// TestPropensityHasNoResult: of arms, strata and pairs that are empty or smaller than may be
// told.
func TestPropensityHasNoResult(t *testing.T) {
	t.Parallel()
	all := casesIn[propensityCase](t, "propensity")
	for want, c := range map[string]struct {
		of     int
		change func(*analysis.Propensity)
		rows   func([]float64) bool // that are kept
	}{
		"nobody without a missing value":         {of: 0, rows: func([]float64) bool { return false }},
		"the model of the treatment did not con": {of: 0, rows: func(r []float64) bool { return r[3] == 0 }},
		"80 or more persons are needed of the t": {of: 0, change: func(m *analysis.Propensity) { m.MinCell = 80 }},
		"stratum 1 of 4 has fewer than 17 of":    {of: 4, change: func(m *analysis.Propensity) { m.MinCell = 17 }},
		"70 or more of the untreated must be co": {of: 6, change: func(m *analysis.Propensity) { m.MinCell = 70 }},
	} {
		question := all[c.of].question(t)
		if c.change != nil {
			c.change(&question)
		}
		m, err := question.New()
		require.NoError(t, err)
		var rows [][]float64
		for _, r := range tableRows(t, "propensity/birthwt.csv", m.Columns()) {
			if c.rows == nil || c.rows(r) {
				rows = append(rows, r)
			}
		}
		_, err = alone(t, m, rows)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, want)
		require.ErrorContains(t, err, want)
	}
}

// TestPropensityOfWhoStandsForTooMany: somebody who is treated against all odds would stand
// for more than a million.
func TestPropensityOfWhoStandsForTooMany(t *testing.T) {
	t.Parallel()
	question := casesIn[propensityCase](t, "propensity")[0].question(t)
	var err error
	question.Treatment, err = formula.Parse("smoke ~ lwt")
	require.NoError(t, err)
	m, err := question.New()
	require.NoError(t, err)
	rows := [][]float64{{150, 1, 3000}}
	for lwt := range 100 {
		for k := range 20 {
			treated := 0.0
			if float64(k)+0.5 < 20/(1+math.Exp(50-float64(lwt))) {
				treated = 1
			}
			rows = append(rows, []float64{200 + float64(lwt), treated, 3000})
		}
	}
	rows[0][0] = 225
	_, err = alone(t, m, rows)
	require.ErrorContains(t, err, "somebody's weight is above 1e+06")
}

func TestPropensityRefuses(t *testing.T) {
	t.Parallel()
	all := casesIn[propensityCase](t, "propensity")
	for want, change := range map[string]func(m *analysis.Propensity){
		"adjustment: must be":                 func(m *analysis.Propensity) { m.Adjustment = "" },
		"estimand: must be":                   func(m *analysis.Propensity) { m.Estimand = "ATU" },
		"estimand: pairs are found for":       func(m *analysis.Propensity) { m.Adjustment = query.Matching },
		"stabilized: is of weighting":         func(m *analysis.Propensity) { m.Stabilized, m.Estimand = true, query.ATT },
		"truncate: is of weighting":           func(m *analysis.Propensity) { m.Truncate = 0.3 },
		"strata: 2 to 20":                     func(m *analysis.Propensity) { m.Adjustment = query.Stratified },
		"caliper: is of matching":             func(m *analysis.Propensity) { m.Caliper = 1 },
		"minCell: must not be":                func(m *analysis.Propensity) { m.MinCell = -1 },
		"treatment: the response must be log": func(m *analysis.Propensity) { m.Declared[4].Kind, m.Declared[4].High = analysis.Numeric, 1 },
		"treatment: the formula names the co": func(m *analysis.Propensity) { m.Declared = m.Declared[3:] },
		"outcome: family":                     func(m *analysis.Propensity) { m.Family = "x" },
	} {
		question := all[0].question(t)
		question.Declared = slices.Clone(question.Declared)
		change(&question)
		_, err := question.New()
		require.ErrorContains(t, err, want)
	}
}
