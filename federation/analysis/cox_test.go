package analysis_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestHazardsAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range survivalCases(t, "cox") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.equal(t, c.whole(t))
		})
	}
}

func (c survivalCase) equal(t require.TestingT, result any) {
	if c.Kind == "km" {
		c.equalCurves(t, result)
		return
	}
	want, got := c.Hazards, result.(*query.Hazards)
	require.Equal(t, want.Ties, got.Ties)
	require.Equal(t, []int64{want.N, *want.Omitted, want.Events}, []int64{got.N, *got.Omitted, got.Events})
	require.Equal(t, want.Times, got.Times)
	same := want.Iterations == got.Iterations && want.Converged == got.Converged
	runaway := len(want.Warnings) > 0 && len(got.Warnings) > 0
	if !runaway || same { // else R's steps along what runs away are of rounding errors, and it may take more
		require.Equal(t, want.Iterations, got.Iterations)
		require.Equal(t, want.Converged, got.Converged)
		require.ElementsMatch(t, want.Warnings, got.Warnings)
	}
	near(t, &want.NullLogLikelihood, &got.NullLogLikelihood, 0, "log likelihood without terms")
	if runaway && !want.Converged { // R ends with a log likelihood that its coefficients do not have
		nearTest(t, want.Score, got.Score, "score test")
		return
	}
	near(t, &want.LogLikelihood, &got.LogLikelihood, 0, "log likelihood")
	nearTest(t, want.LikelihoodRatio, got.LikelihoodRatio, "likelihood ratio")
	nearTest(t, want.Score, got.Score, "score test")
	if !runaway {
		nearTest(t, want.Wald, got.Wald, "Wald test")
	}
	require.Len(t, got.Coefficients, len(want.Coefficients))
	for i, w := range want.Coefficients {
		g := got.Coefficients[i]
		require.Equal(t, w.Name, g.Name)
		if runaway && (infinite(want.Warnings, i+1) || infinite(got.Warnings, i+1)) {
			if same {
				near(t, w.Estimate, g.Estimate, *w.SE, w.Name)
				require.InEpsilon(t, *w.SE, *g.SE, 1e-3)
			}
			continue
		}
		scale := 0.0
		if w.SE != nil {
			scale = *w.SE
		}
		near(t, w.Estimate, g.Estimate, scale, w.Name)
		near(t, w.SE, g.SE, 0, "se of "+w.Name)
		near(t, w.Statistic, g.Statistic, 1e-3, "statistic of "+w.Name)
		near(t, w.P, g.P, 1e-9, "p of "+w.Name)
	}
}

// TestNobodyIsMoreThanLikely: one person has level c and an event, and the next step puts them at
// exp(66). R says -98.21883989 of a model in which the level is offset(20 * (g == "c")).
func TestNobodyIsMoreThanLikely(t *testing.T) {
	t.Parallel()
	columns := []analysis.Column{
		{Name: "x", Kind: analysis.Numeric, Low: -6, High: 6},
		{Name: "g", Kind: analysis.Factor, Levels: []string{"a", "b", "c"}},
		{Name: "start", Kind: analysis.Numeric, High: 100},
		{Name: "stop", Kind: analysis.Numeric, High: 100},
		{Name: "event", Kind: analysis.Logical},
	}
	f, err := formula.Parse("Surv(start, stop, event) ~ x*g")
	require.NoError(t, err)
	m, err := analysis.Cox{Formula: f, Ties: query.Breslow, Grid: days(100), Declared: columns}.New()
	require.NoError(t, err)
	outcome, err := analysis.Local(m, split(t, columns, tableRows(t, "survival/beyond.csv", columns), 3, func(r int) int { return r % 3 })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.Hazards)
	require.InDelta(t, -98.21883989, got.LogLikelihood, 1e-6)
	require.Equal(t, []string{"Loglik converged before variable 3; beta may be infinite."}, got.Warnings)
	require.Nil(t, got.Coefficients[2].SE)
}

// infinite reports whether R warns that the coefficient of a number may be infinite.
func infinite(warnings []string, number int) bool {
	return slices.Contains(runaways(warnings), strconv.Itoa(number))
}

// spells declares the columns of made-up rows.
func spells() []analysis.Column {
	return []analysis.Column{
		{Name: "from", Kind: analysis.Numeric, Low: 0, High: 100},
		{Name: "time", Kind: analysis.Numeric, Low: 0, High: 100},
		{Name: "event", Kind: analysis.Logical},
		{Name: "x", Kind: analysis.Numeric, Low: 0, High: 10},
		{Name: "s", Kind: analysis.Factor, Levels: []string{"a", "b", "c"}},
	}
}

func days(horizon float64) analysis.Grid { return analysis.Grid{Width: 1, Horizon: horizon} }

func TestCoxRefusesWhatItCannotFit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x ~ s":                                "Surv",
		"~ x":                                  "Surv",
		"Surv(time, x) ~ s":                    "must be logical",
		"Surv(s, event) ~ x":                   "must be numeric",
		"Surv(time, event) ~ 1":                "no terms",
		"Surv(time, event) ~ x + strata(from)": "as a factor",
		"Surv(time, event) ~ x + offset(s)":    "not numeric",
		"Surv(time, event) ~ y":                "not declared",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.Cox{Formula: f, Grid: days(10), Declared: spells()}.New()
		require.ErrorContains(t, err, want, text)
	}
	f, err := formula.Parse("Surv(time, event) ~ x")
	require.NoError(t, err)
	for want, m := range map[string]analysis.Cox{
		"width above 0":    {Grid: analysis.Grid{Horizon: 10}},
		"horizon":          {Grid: analysis.Grid{Width: 2, Horizon: 1}},
		"points":           {Grid: days(1e9)},
		"efron or breslow": {Grid: days(10), Ties: "exact"},
		"minAtRisk":        {Grid: days(10), MinAtRisk: -1},
	} {
		m.Formula, m.Declared = f, spells()
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
}

// TestCoxSaysWhyThereIsNoResult: each time in public words.
func TestCoxSaysWhyThereIsNoResult(t *testing.T) {
	t.Parallel()
	const none, event = 0, 1
	for name, of := range map[string]struct {
		formula string
		least   int
		rows    [][]float64 // from, time, event, x, s
		want    string
	}{
		"nobody":     {"Surv(time, event) ~ x", 0, nil, "there is nobody"},
		"no events":  {"Surv(time, event) ~ x", 0, [][]float64{{0, 5, none, 1, 0}}, "there are no events"},
		"late event": {"Surv(time, event) ~ x", 0, [][]float64{{0, 51, event, 1, 0}}, "there are no events"},
		"backwards":  {"Surv(from, time, event) ~ x", 0, [][]float64{{5, 5, event, 1, 0}}, "there is nobody"},
		"few events": {"Surv(time, event) ~ x", 2, [][]float64{{0, 5, event, 1, 0}, {0, 6, none, 2, 0}, {0, 6, none, 2, 0}}, "fewer than 2 events"},
		"few events of a stratum": {"Surv(time, event) ~ x + strata(s)", 2, [][]float64{
			{0, 5, event, 1, 0}, {0, 6, event, 2, 0}, {0, 6, event, 2, 1}, {0, 6, none, 2, 1}, {0, 6, none, 2, 1},
		}, "the stratum s=b has fewer than 2 events"},
		"few censored": {"Surv(time, event) ~ x", 2, [][]float64{{0, 5, event, 1, 0}, {0, 6, event, 2, 0}, {0, 7, none, 2, 0}}, "fewer than 2 persons without an event"},
		"few in idle strata": {"Surv(time, event) ~ x + strata(s)", 2, [][]float64{
			{0, 5, event, 1, 0}, {0, 6, event, 2, 0}, {0, 7, none, 2, 0}, {0, 7, none, 2, 2},
		}, "strata without events have fewer than 2"},
	} {
		f, err := formula.Parse(of.formula)
		require.NoError(t, err)
		m, err := analysis.Cox{Formula: f, Grid: days(50), MinAtRisk: of.least, Declared: spells()}.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, split(t, spells(), of.rows, 2, func(r int) int { return r % 2 })...)
		var none analysis.NoResult
		require.ErrorAs(t, err, &none, name)
		require.ErrorContains(t, err, of.want, name)
	}
}

// TestTooManyEventTimesAreRefused before sums are taken of them.
func TestTooManyEventTimesAreRefused(t *testing.T) {
	t.Parallel()
	c := survivalCaseOf(t, "cox", "lung institutions")
	f, err := formula.Parse("Surv(time, status) ~ inst * age * sex")
	require.NoError(t, err)
	m, err := analysis.Cox{Formula: f, Grid: c.Grid, Declared: c.Columns}.New()
	require.NoError(t, err)
	outcome, err := analysis.Local(m, split(t, c.Columns, c.rows(t), 1, func(int) int { return 0 })...)
	var none analysis.NoResult
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "138 event times are too many for 71 covariates")
	require.Equal(t, 1, outcome.Rounds)
}

// TestCoxRefusesSumsOfNoSites: counts that are not whole, or more than there are rows.
func TestCoxRefusesSumsOfNoSites(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("Surv(time, event) ~ x")
	require.NoError(t, err)
	m, err := analysis.Cox{Formula: f, Grid: days(1), Declared: spells()}.New()
	require.NoError(t, err)
	state, err := m.Start()
	require.NoError(t, err)
	honest := make([]uint64, 2+3*(2+2+2+1)) // two points; rows, offset, moments, stratum
	honest[0] = 3
	whole := func(i int) int { return 2 + 3*i + 1 } // word of 2^-16
	for name, set := range map[string]map[int]uint64{
		"events of a part":     {whole(0): 1, whole(2): 3 << 16, whole(6): 3 << 16},
		"more events":          {whole(0): 4 << 16, whole(2): 3 << 16, whole(6): 3 << 16},
		"more rows":            {whole(2): 4 << 16, whole(6): 4 << 16},
		"strata do not add up": {whole(0): 1 << 16, whole(2): 3 << 16, whole(6): 2 << 16},
	} {
		words := append([]uint64(nil), honest...)
		for i, w := range set {
			words[i] = w
		}
		_, err := m.Next(state, words, 2)
		require.ErrorIs(t, err, analysis.ErrInconsistent, name)
	}
}

// TestStatesOfNoRoundAreRefused, whoever sends them.
func TestStatesOfNoRoundAreRefused(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("Surv(time, event) ~ x + strata(s)")
	require.NoError(t, err)
	cox, err := analysis.Cox{Formula: f, Grid: days(5), Declared: spells()}.New()
	require.NoError(t, err)
	f, err = formula.Parse("Surv(time, event) ~ s")
	require.NoError(t, err)
	curves, err := analysis.KaplanMeier{Formula: f, Grid: days(5), Declared: spells()}.New()
	require.NoError(t, err)
	const sum = `"sum":{"logLikelihood":0,"gradient":[0],"information":[0],"square":[0]},"iterations":0`
	const scaled = `"tally":{"taken":0},"center":[0],"scale":[1],`
	for _, of := range []struct {
		analysis.Iteration
		states []string
	}{
		{curves, []string{
			`{"taken":-1}`, `{"taken":37}`, `{"taken":2,"places":[0]}`,
			`{"taken":2,"places":[2],"counts":[1]}`, `{"taken":2,"places":[1,0],"counts":[1,1]}`,
		}},
		{cox, []string{
			`{"tally":{"taken":-1},"left":0,` + sum + `}`,
			`{"tally":{"taken":1},"left":0,` + sum + `}`,
			`{"tally":{"taken":0},"times":[{"group":0,"first":1,"last":1,"events":1}],"left":1,` + sum + `}`,
			`{` + scaled + `"times":[{"group":3,"first":1,"last":1,"events":1}],"left":1,` + sum + `}`,
			`{` + scaled + `"times":[{"group":0,"first":1,"last":1,"events":-1}],"left":1,` + sum + `}`,
			`{` + scaled + `"times":[{"group":0,"first":1,"last":1,"events":1}],"coefficients":[0],"carry":[0,0,0],"left":2,` + sum + `}`,
			`{` + scaled + `"times":[{"group":0,"first":1,"last":1,"events":1}],"coefficients":[0,0],"carry":[0,0,0],"left":1,` + sum + `}`,
			`{` + scaled + `"times":[{"group":0,"first":1,"last":1,"events":1}],"coefficients":[0],"carry":[0],"left":1,` + sum + `}`,
		}},
	} {
		for _, state := range of.states {
			n, err := of.Words(analysis.State(state))
			require.NoError(t, err, state)
			_, err = of.Site(analysis.State(state), split(t, spells(), nil, 1, nil)[0])
			require.ErrorContains(t, err, "another model", state)
			_, err = of.Next(analysis.State(state), make([]uint64, n), 2)
			require.ErrorContains(t, err, "another model", state)
		}
	}
}
