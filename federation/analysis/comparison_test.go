package analysis_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// comparisonCase is a question with what R says of it.
type comparisonCase struct {
	Question query.ComparisonSpec `json:"question"`
	Sites    int                  `json:"sites"`
	Least    int                  `json:"least"`
	Times    int                  `json:"times"`
	Crude    *query.ComparedArms  `json:"crude"`
	Adjusted query.ComparedArms   `json:"adjusted"`
}

var rotterdam = []analysis.Column{
	{Name: "days", Kind: analysis.Numeric, High: 10_000},
	{Name: "died", Kind: analysis.Logical},
	{Name: "hormon", Kind: analysis.Logical},
	{Name: "age", Kind: analysis.Numeric, High: 130},
	{Name: "meno", Kind: analysis.Logical},
	{Name: "size", Kind: analysis.Factor, Levels: []string{"1", "2", "3"}},
	{Name: "nodes", Kind: analysis.Numeric, High: 50},
}

func parsed(t require.TestingT, text string) formula.Formula {
	f, err := formula.Parse(text)
	require.NoError(t, err)
	return f
}

func (c comparisonCase) question(t require.TestingT) analysis.Comparison {
	s := c.Question
	m := analysis.Comparison{
		Ties: s.Ties, Grid: analysis.Grid(s.Grid), Adjustment: s.Adjustment, Estimand: s.Estimand, Stabilized: s.Stabilized,
		Truncate: s.Truncate, Strata: s.Strata, Caliper: s.Caliper, ByPair: s.ByPair, MinCell: int64(c.Least), Declared: rotterdam,
	}
	m.Treatment, m.Outcome = parsed(t, s.Treatment), parsed(t, s.Outcome)
	return m
}

func (c comparisonCase) method(t require.TestingT) analysis.Iteration {
	m, err := c.question(t).New()
	require.NoError(t, err)
	return m
}

func TestComparisonIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[comparisonCase](t, "comparison") {
		m := c.method(t)
		rows := tableRows(t, "comparison/rotterdam.csv", m.Columns())
		outcome, err := analysis.Local(m, split(t, m.Columns(), rows, c.Sites, func(r int) int { return r % c.Sites })...)
		require.NoError(t, err, c.Question)
		require.LessOrEqual(t, outcome.Rounds, 25)
		c.equal(t, outcome.Result)
	}
}

func (c comparisonCase) equal(t require.TestingT, result any) {
	got := result.(*query.Comparison)
	if c.Crude != nil {
		require.Equal(t, c.Crude.Untreated.Rate.N+c.Crude.Treated.Rate.N, got.N)
	}
	require.Equal(t, c.Times, got.Adjusted.Hazard.Times)
	sameArms(t, c.Adjusted, got.Adjusted)
	if c.Crude != nil {
		sameArms(t, *c.Crude, *got.Crude)
	}
}

func sameArms(t require.TestingT, want, got query.ComparedArms) {
	w, g := want.Hazard, got.Hazard
	near(t, w.Log, g.Log, *w.SE, "logarithm of the hazard ratio")
	for of, v := range map[string][2]*float64{
		"standard error": {w.SE, g.SE}, "robust error": {w.Robust, g.Robust}, "ratio": {w.Ratio, g.Ratio}, "lower limit": {w.Low, g.Low},
		"upper limit": {w.High, g.High}, "p": {w.P, g.P}, "detectable risk": {want.Detectable, got.Detectable},
	} {
		near(t, v[0], v[1], 0, of)
	}
	require.Empty(t, g.Warnings)
	require.Equal(t, want.Treated == nil, got.Treated == nil)
	if want.Treated == nil {
		return
	}
	for _, arms := range [][2]*query.ComparedArm{{want.Untreated, got.Untreated}, {want.Treated, got.Treated}} {
		w, g := arms[0], arms[1]
		require.Equal(t, []int64{w.Rate.N, w.Rate.Events}, []int64{g.Rate.N, g.Rate.Events})
		near(t, w.Rate.Time, g.Rate.Time, 0, "time at risk")
		near(t, w.Rate.Estimate, g.Rate.Estimate, 0, "rate")
		near(t, &w.Rate.Exact.Lower, &g.Rate.Exact.Lower, 0, "lower limit of the rate")
		near(t, &w.Rate.Exact.Upper, &g.Rate.Exact.Upper, 0, "upper limit of the rate")
		near(t, w.Survival.Median, g.Survival.Median, 0, "median")
		near(t, w.Survival.Mean, g.Survival.Mean, 0, "restricted mean")
		require.Len(t, g.Survival.Curve, len(w.Survival.Curve))
		for i, p := range w.Survival.Curve {
			require.InDelta(t, p.Time, g.Survival.Curve[i].Time, 0)
			near(t, &p.Survival, &g.Survival.Curve[i].Survival, 0, "survival")
		}
	}
}

// TestSplitMovesNoBitOfComparison: weights and strata do not know of sites; pairs do, but not
// of their order.
func TestSplitMovesNoBitOfComparison(t *testing.T) {
	t.Parallel()
	all := casesIn[comparisonCase](t, "comparison")
	for i, c := range []comparisonCase{all[0], all[4], all[6], all[7]} {
		m := c.method(t)
		var rows [][]float64
		for k, row := range tableRows(t, "comparison/rotterdam.csv", m.Columns()) {
			if k%3 == 0 {
				rows = append(rows, row)
			}
		}
		rows[5][0] = math.NaN()
		whole, err := alone(t, m, rows)
		require.NoError(t, err)
		for seed := range 3 {
			frames := someSplit(t, 10*i+seed, m.Columns(), rows)
			outcome, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			if c.Question.Adjustment == query.Matching {
				require.Equal(t, whole.(*query.Comparison).Crude, outcome.Result.(*query.Comparison).Crude)
				whole = outcome.Result
				slices.Reverse(frames)
				outcome, err = analysis.Local(m, frames...)
				require.NoError(t, err)
			}
			require.Equal(t, whole, outcome.Result)
		}
	}
}

func TestComparisonRefuses(t *testing.T) {
	t.Parallel()
	all := casesIn[comparisonCase](t, "comparison")
	for want, change := range map[string]func(*analysis.Comparison){
		"adjustment: must be":             func(m *analysis.Comparison) { m.Adjustment = "" },
		"ties are efron or breslow":       func(m *analysis.Comparison) { m.Ties = query.Exact },
		"byPair: is of matching":          func(m *analysis.Comparison) { m.ByPair = true },
		"without a start":                 func(m *analysis.Comparison) { m.Outcome = parsed(t, "Surv(age, days, died) ~ hormon") },
		"the treatment alone":             func(m *analysis.Comparison) { m.Outcome = parsed(t, "Surv(days, died) ~ hormon + age") },
		"outcome: the right side must be": func(m *analysis.Comparison) { m.Outcome = parsed(t, "Surv(days, died) ~ meno") },
		"needs Surv(time, event)":         func(m *analysis.Comparison) { m.Outcome = parsed(t, "died ~ hormon") },
		"times strata times 4 must be":    func(m *analysis.Comparison) { m.Adjustment, m.Strata, m.Grid.Width = query.Stratified, 20, 1 },
		"the response must be logical":    func(m *analysis.Comparison) { m.Treatment = parsed(t, "size ~ age") },
	} {
		question := all[0].question(t)
		change(&question)
		_, err := question.New()
		require.ErrorContains(t, err, want)
	}
}

// TestComparisonHasNoResult: of arms, strata and times with fewer than may be told of.
func TestComparisonHasNoResult(t *testing.T) {
	t.Parallel()
	all := casesIn[comparisonCase](t, "comparison")
	for want, x := range map[string]struct{ of, least int }{
		"200 or more persons are needed of the treated":  {0, 200},
		"fewer than 70 of the treated had the event":     {0, 70},
		"fewer than 70 of the treated":                   {6, 70},
		"treated had the event while the other of the p": {7, 47},
	} {
		c := all[x.of]
		c.Least = x.least
		m := c.method(t)
		rows := tableRows(t, "comparison/rotterdam.csv", m.Columns())
		_, err := analysis.Local(m, split(t, m.Columns(), rows, c.Sites, func(r int) int { return r % c.Sites })...)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, want)
		require.ErrorContains(t, err, want)
	}
}

// TestComparisonWithoutEventsInAnArm has the warning of R's coxph, as its estimate runs away.
func TestComparisonWithoutEventsInAnArm(t *testing.T) {
	t.Parallel()
	c := casesIn[comparisonCase](t, "comparison")[0]
	m := c.method(t)
	rows := tableRows(t, "comparison/rotterdam.csv", m.Columns())
	for i := range rows {
		if rows[i][2] == 1 {
			rows[i][1] = 0
		}
	}
	result, err := alone(t, m, rows)
	require.NoError(t, err)
	got := result.(*query.Comparison)
	require.NotEmpty(t, got.Crude.Hazard.Warnings)
	require.NotEmpty(t, got.Adjusted.Hazard.Warnings)
	require.Zero(t, got.Crude.Treated.Rate.Events)
}
