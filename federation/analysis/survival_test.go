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

// survivalCase is a question with what R says of it; see testdata/survival/survival.R.
type survivalCase struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	File    string            `json:"file"`
	Formula string            `json:"formula"`
	Grid    analysis.Grid     `json:"grid"`
	Merge   int               `json:"merge"`
	Columns []analysis.Column `json:"columns"`

	Survival *query.Survival `json:"survival"`
	Hazards  *query.Hazards  `json:"hazards"`
}

func survivalCases(t testing.TB, kind string) []survivalCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "survival", "cases.json"))
	require.NoError(t, err)
	var cases []survivalCase
	require.NoError(t, json.Unmarshal(raw, &cases))
	return slices.DeleteFunc(cases, func(c survivalCase) bool { return c.Kind != kind })
}

// survivalCaseOf returns the case of that name.
func survivalCaseOf(t testing.TB, kind, name string) survivalCase {
	t.Helper()
	cases := survivalCases(t, kind)
	i := slices.IndexFunc(cases, func(c survivalCase) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0)
	return cases[i]
}

func (c survivalCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	var m analysis.Iteration
	if c.Kind == "km" {
		m, err = analysis.KaplanMeier{Formula: f, Grid: c.Grid, Restriction: c.Survival.Restriction, Declared: c.Columns}.New()
	} else {
		m, err = analysis.Cox{Formula: f, Ties: c.Hazards.Ties, Grid: c.Grid, MinAtRisk: c.Merge, Declared: c.Columns}.New()
	}
	require.NoError(t, err)
	return m
}

func (c survivalCase) rows(t testing.TB) [][]float64 {
	return tableRows(t, filepath.Join("survival", c.File), c.Columns)
}

// whole runs a case over one site.
func (c survivalCase) whole(t testing.TB) any {
	t.Helper()
	outcome, err := analysis.Local(c.method(t), split(t, c.Columns, c.rows(t), 1, func(int) int { return 0 })...)
	require.NoError(t, err)
	return outcome.Result
}

func nearTest(t require.TestingT, want, got query.Test, of string) {
	require.Equal(t, want.DF, got.DF, of)
	near(t, &want.Statistic, &got.Statistic, 1e-3, of)
	near(t, &want.P, &got.P, 1e-9, of+"'s p")
}

func TestSurvivalIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range survivalCases(t, "km") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.equal(t, c.whole(t))
		})
	}
}

func (c survivalCase) equalCurves(t require.TestingT, result any) {
	want, got := c.Survival, result.(*query.Survival)
	require.Equal(t, c.Formula, got.Formula)
	require.Equal(t, want.N, got.N)
	require.Equal(t, want.Omitted, got.Omitted)
	require.Len(t, got.Arms, len(want.Arms))
	for i, a := range want.Arms {
		b := got.Arms[i]
		require.Equal(t, []any{a.Name, a.N, a.Events}, []any{b.Name, b.N, b.Events})
		near(t, a.Median, b.Median, 0, "median")
		near(t, a.MedianLow, b.MedianLow, 0, "lower limit")
		near(t, a.MedianHigh, b.MedianHigh, 0, "upper limit")
		near(t, a.Mean, b.Mean, 0, "restricted mean")
		near(t, a.MeanSE, b.MeanSE, 0, "its standard error")
		for _, p := range a.Curve {
			k := slices.IndexFunc(b.Curve, func(q query.SurvivalPoint) bool { return q.Time > p.Time-c.Grid.Width/2 })
			require.GreaterOrEqual(t, k, 0)
			q := b.Curve[k]
			require.Equal(t, []int64{p.AtRisk, p.Events, p.Censored}, []int64{q.AtRisk, q.Events, q.Censored})
			near(t, &p.Time, &q.Time, 0, "time")
			near(t, &p.Survival, &q.Survival, 1e-6, "survival")
			near(t, p.SE, q.SE, 0, "standard error")
			near(t, p.Low, q.Low, 0, "lower limit")
			near(t, p.High, q.High, 0, "upper limit")
		}
	}
	if want.LogRank == nil {
		require.Nil(t, got.LogRank)
		return
	}
	nearTest(t, want.LogRank.Test, got.LogRank.Test, "log-rank")
	require.Equal(t, want.LogRank.Observed, got.LogRank.Observed)
	require.Len(t, got.LogRank.Expected, len(want.LogRank.Expected))
	for i := range want.LogRank.Expected {
		near(t, &want.LogRank.Expected[i], &got.LogRank.Expected[i], 0, "expected events")
	}
}

// TestSplitMovesNoBitOfSurvival: as TestSplitMovesNoBit, of curves and hazards.
func TestSplitMovesNoBitOfSurvival(t *testing.T) {
	t.Parallel()
	cases := append(survivalCases(t, "km"), survivalCases(t, "cox")...)
	cases = slices.DeleteFunc(cases, func(c survivalCase) bool {
		return !slices.Contains([]string{ // those with few rows to repeat, one of each kind
			"aml", "small", "veteran merged within treatment",
			"heart merged", "collinear", "same within strata", "stratum without events",
		}, c.Name)
	})
	whole, tables := make([]any, len(cases)), make([][][]float64, len(cases))
	for i, c := range cases {
		whole[i], tables[i] = c.whole(t), c.rows(t)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		rows := tables[i]
		deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows), len(rows)).Draw(t, "deal")
		outcome, err := analysis.Local(cases[i].method(t), split(t, cases[i].Columns, rows, sites, func(r int) int { return deal[r] })...)
		require.NoError(t, err)
		require.Equal(t, whole[i], outcome.Result)
	})
}

// TestMergedStepsAreOfMany, of events and of censored, also what is left after the last, and
// have the same estimates where they show one.
func TestMergedStepsAreOfMany(t *testing.T) {
	t.Parallel()
	for _, least := range []int{0, 1, 2, 5, 11} {
		c := survivalCaseOf(t, "km", "lung by sex")
		f, err := formula.Parse(c.Formula)
		require.NoError(t, err)
		m, err := analysis.KaplanMeier{Formula: f, Grid: c.Grid, Restriction: 365, MinAtRisk: least, Declared: c.Columns}.New()
		require.NoError(t, err)
		outcome, err := analysis.Local(m, split(t, c.Columns, c.rows(t), 3, func(r int) int { return r % 3 })...)
		require.NoError(t, err)
		whole := c.whole(t).(*query.Survival)
		for i, arm := range outcome.Result.(*query.Survival).Arms {
			exact := whole.Arms[i]
			require.NotEmpty(t, arm.Curve)
			require.Equal(t, exact.Median, arm.Median)
			require.Equal(t, len(exact.Curve)-len(arm.Curve), arm.Merged)
			if least <= 1 {
				require.Equal(t, exact.Curve, arm.Curve)
				continue
			}
			many := func(n int64) { require.True(t, n == 0 || n >= int64(least), "%d of at least %d", n, least) }
			events, censored := arm.Events, arm.N-arm.Events
			for _, p := range arm.Curve {
				require.NotZero(t, p.Events)
				many(p.Events)
				many(p.Censored)
				require.Equal(t, events+censored, p.AtRisk, "when the step begins, as all the others say too")
				events, censored = events-p.Events, censored-p.Censored
				k := slices.IndexFunc(exact.Curve, func(q query.SurvivalPoint) bool { return q.Time == p.Time })
				require.Equal(t, []any{exact.Curve[k].Survival, exact.Curve[k].SE}, []any{p.Survival, p.SE})
				require.GreaterOrEqual(t, exact.Curve[k].AtRisk, int64(least))
			}
			many(events)
			many(censored)
			t.Logf("least %d, %s: %d of %d points", least, arm.Name, len(arm.Curve), len(exact.Curve))
		}
	}
}

func TestKaplanMeierRefusesWhatHasNoCurve(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x ~ s":                                "Surv",
		"Surv(from, time, event) ~ s":          "without a start",
		"Surv(time, event) ~ x":                "as a factor",
		"Surv(time, event) ~ s + event":        "one factor",
		"Surv(time, event) ~ s + offset(x)":    "one factor",
		"Surv(time, event) ~ s + strata(from)": "as a factor",
		"Surv(time, s) ~ 1":                    "must be logical",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.KaplanMeier{Formula: f, Grid: days(10), Declared: spells()}.New()
		require.ErrorContains(t, err, want, text)
	}
	f, err := formula.Parse("Surv(time, event) ~ s")
	require.NoError(t, err)
	for want, m := range map[string]analysis.KaplanMeier{
		"within the horizon": {Grid: days(10), Restriction: 11},
		"minAtRisk":          {Grid: days(10), MinAtRisk: -1},
	} {
		m.Formula, m.Declared = f, spells()
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
	m, err := analysis.KaplanMeier{Formula: f, Grid: days(10), Declared: spells()}.New()
	require.NoError(t, err)
	_, err = analysis.Local(m, split(t, spells(), nil, 2, nil)...)
	require.ErrorContains(t, err, "there is nobody")
}
