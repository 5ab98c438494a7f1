package analysis_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// oneShotHazardsCase is of tables with times in whole days.
type oneShotHazardsCase struct {
	Name   string    `json:"name"`
	Merge  int       `json:"merge"`
	Pooled []float64 `json:"pooled"` // coxph of all rows
	query.OneShotHazards
}

var lungTimesBySite = []analysis.Column{
	{Name: "time", Kind: analysis.Numeric, Low: 0, High: 1100},
	{Name: "died", Kind: analysis.Logical},
	{Name: "age", Kind: analysis.Numeric, Low: 30, High: 100},
	{Name: "sex", Kind: analysis.Numeric, Low: 1, High: 2},
	{Name: "site", Kind: analysis.Factor, Levels: []string{"a", "b", "c", "d"}},
}

var lungDays = analysis.Grid{Width: 1, Horizon: 1100}

func (c oneShotHazardsCase) question(t require.TestingT) analysis.OneShotCox {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	return analysis.OneShotCox{Formula: f, Ties: c.Ties, Grid: lungDays, BySite: c.BySite, MinAtRisk: c.Merge, Declared: lungTimesBySite[:4]}
}

func (c oneShotHazardsCase) method(t require.TestingT) analysis.Iteration {
	m, err := c.question(t).New()
	require.NoError(t, err)
	return m
}

func (c oneShotHazardsCase) declared() []analysis.Column { return lungTimesBySite }

func (c oneShotHazardsCase) equal(t require.TestingT, result any) {
	got := result.(*query.OneShotHazards)
	require.Equal(t, []int64{c.N, c.Events, int64(c.Times), c.Sites}, []int64{got.N, got.Events, int64(got.Times), got.Sites})
	require.Equal(t, c.Ties, got.Ties)
	require.Equal(t, c.BySite, got.BySite)
	nearEstimates(t, c.Initial, got.Initial)
	nearEstimates(t, c.Coefficients, got.Coefficients)
	for j, h := range c.Heterogeneity {
		near(t, &h.Q, &got.Heterogeneity[j].Q, 1, "Q")
		near(t, &h.P, &got.Heterogeneity[j].P, 1, "p of Q")
	}
}

// lungTimes are the rows of lung at the three sites of oneshot.
func lungTimes(t testing.TB) [][]float64 {
	t.Helper()
	var rows [][]float64
	sites := tableRows(t, "oneshot/lung.csv", lungBySite)
	for i, r := range tableRows(t, "survival/lung.csv", []analysis.Column{
		{Name: "time", Kind: analysis.Numeric, High: 1100}, {Name: "status", Kind: analysis.Logical}, lungBySite[1], lungBySite[2],
	}) {
		rows = append(rows, append(r, sites[i][3]))
	}
	return rows
}

// TestOneShotHazardsAreTheFormula: what R makes of ODAC's formula, and how near that is to the
// fit to all rows: within 0.0005 standard errors.
func TestOneShotHazardsAreTheFormula(t *testing.T) {
	t.Parallel()
	rows := lungTimes(t)
	for _, c := range casesIn[oneShotHazardsCase](t, "odac") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			m := c.method(t)
			frames := split(t, lungTimesBySite, rows, 5, func(r int) int { return int(rows[r][4]) }) // two sites are empty
			outcome, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			require.Equal(t, 4, outcome.Rounds)
			c.equal(t, outcome.Result)
			got := outcome.Result.(*query.OneShotHazards)
			whole := c.Pooled
			if c.Merge > 0 { // R's own does not merge
				q := c.question(t)
				m, err := analysis.Cox{Formula: q.Formula, Ties: q.Ties, Grid: q.Grid, MinAtRisk: q.MinAtRisk, Declared: q.Declared}.New()
				require.NoError(t, err)
				fit, err := analysis.Local(m, frames...)
				require.NoError(t, err)
				whole = nil
				for _, k := range fit.Result.(*query.Hazards).Coefficients {
					whole = append(whole, *k.Estimate)
				}
			}
			for j, k := range got.Coefficients {
				require.InDelta(t, whole[j], *k.Estimate, 5e-4**k.SE, "the fit to all rows")
			}
			slices.Reverse(frames)
			turned, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			require.Equal(t, outcome.Result, turned.Result, "the order of sites moves no bit")
		})
	}
}

// TestOneShotHazardsOfAnySplit: whatever the split over 2 to 20 sites, of which some have a single
// row, the answer stays near the fit to all rows.
func TestOneShotHazardsOfAnySplit(t *testing.T) {
	t.Parallel()
	rows := lungTimes(t)
	for _, c := range casesIn[oneShotHazardsCase](t, "odac")[:3] {
		question := c.question(t)
		question.MinRows, question.MinEvents = 30, 20
		m, err := question.New()
		require.NoError(t, err)
		for seed := range 4 {
			sites := rapid.IntRange(2, 20).Example(seed)
			large := rapid.IntRange(1, min(sites, 4)).Example(seed)
			deal := rapid.SliceOfN(rapid.IntRange(0, large-1), len(rows), len(rows)).Example(seed)
			frames := split(t, lungTimesBySite, rows, sites, func(r int) int {
				if r < sites {
					return r
				}
				return deal[r]
			})
			outcome, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			got := outcome.Result.(*query.OneShotHazards)
			require.EqualValues(t, len(rows), got.N)
			require.LessOrEqual(t, got.Sites, int64(large))
			if !c.BySite { // which is another model for another split
				for j, pooled := range c.Pooled {
					require.InDelta(t, pooled, *got.Coefficients[j].Estimate, *got.Coefficients[j].SE)
				}
			}
			slices.Reverse(frames)
			turned, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			require.Equal(t, outcome.Result, turned.Result, "the order of sites moves no bit")
		}
	}
}

// TestOneShotHazardsCountSitesWithoutEvents: BySite a site without events adds its rows and
// nothing else.
func TestOneShotHazardsCountSitesWithoutEvents(t *testing.T) {
	t.Parallel()
	c := casesIn[oneShotHazardsCase](t, "odac")[2]
	rows := lungTimes(t)
	for _, r := range rows[86:169] {
		r[1] = 0
	}
	outcome, err := analysis.Local(c.method(t), split(t, lungTimesBySite, rows, 3, func(r int) int { return int(rows[r][4]) })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.OneShotHazards)
	require.Equal(t, []int64{228, 2}, []int64{got.N, got.Sites})

	f, err := formula.Parse(c.Formula + " + strata(site)")
	require.NoError(t, err)
	m, err := analysis.Cox{Formula: f, Grid: lungDays, Declared: lungTimesBySite}.New()
	require.NoError(t, err)
	whole, err := analysis.Local(m, split(t, lungTimesBySite, rows, 1, func(int) int { return 0 })...)
	require.NoError(t, err)
	for j, k := range whole.Result.(*query.Hazards).Coefficients {
		require.InDelta(t, *k.Estimate, *got.Coefficients[j].Estimate, 0.001**k.SE)
	}
}

// TestOneShotHazardsTellNoTimesOfSites: what is public before the last round has counts of
// pooled times only, and BySite no times.
func TestOneShotHazardsTellNoTimesOfSites(t *testing.T) {
	t.Parallel()
	rows := lungTimes(t)
	for _, c := range casesIn[oneShotHazardsCase](t, "odac") {
		if c.Merge == 0 && !c.BySite {
			continue
		}
		m := c.method(t)
		frames := split(t, lungTimesBySite, rows, 3, func(r int) int { return int(rows[r][4]) })
		state, err := m.Start()
		require.NoError(t, err)
		for state != nil {
			var public struct {
				Cox struct {
					Tally struct{ Counts []int }
					Times []struct{ Events int }
				}
			}
			require.NoError(t, json.Unmarshal(state, &public))
			require.Empty(t, public.Cox.Tally.Counts)
			for _, time := range public.Cox.Times {
				require.True(t, time.Events == 0 || time.Events >= c.Merge, "times of few events are merged")
			}
			require.True(t, !c.BySite || len(public.Cox.Times) == 0)
			var sites [][]uint64
			for _, f := range frames {
				words, err := m.Site(state, f)
				require.NoError(t, err)
				sites = append(sites, words)
			}
			step, err := m.Next(state, added(sites), len(sites))
			require.NoError(t, err)
			state = step.State
		}
	}
}

func TestOneShotHazardsHaveNoResult(t *testing.T) {
	t.Parallel()
	rows := lungTimes(t)
	three := func(r int) int { return r % 3 }
	for want, change := range map[string]struct {
		rows   [][]float64
		deal   func(r int) int
		bySite bool
		of     func(*analysis.OneShotCox)
	}{
		"no site has an estimate of its own":                           {rows: rows[:3], deal: func(int) int { return 0 }},
		"2 of 3 sites have an estimate of their own, and 3 are needed": {rows: rows, deal: func(r int) int { return r % 2 }, of: func(m *analysis.OneShotCox) { m.MinSites = 3 }},
		"round 1: no site has an estimate of its own":                  {rows: rows, deal: three, of: func(m *analysis.OneShotCox) { m.MinEvents = 80 }},
		"fewer than 200 events":                                        {rows: rows, deal: three, bySite: true, of: func(m *analysis.OneShotCox) { m.MinAtRisk = 200 }},
		"fewer than 70 persons without an event:":                      {rows: rows, deal: three, bySite: true, of: func(m *analysis.OneShotCox) { m.MinAtRisk = 70 }},
		"there are fewer than 200 events":                              {rows: rows, deal: three, of: func(m *analysis.OneShotCox) { m.MinAtRisk = 200 }},
	} {
		question := casesIn[oneShotHazardsCase](t, "odac")[0].question(t)
		question.BySite = change.bySite
		if change.of != nil {
			change.of(&question)
		}
		m, err := question.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, split(t, lungTimesBySite, change.rows, 3, change.deal)...)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, want)
		require.ErrorContains(t, err, want)
	}
}

func TestOneShotHazardsRefuse(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(m *analysis.OneShotCox){
		"one-shot: the column sex is not":   func(m *analysis.OneShotCox) { m.Declared = m.Declared[:3] },
		"one-shot: ties are":                func(m *analysis.OneShotCox) { m.Ties = "exact" },
		"one-shot: minRows and minEvents: ": func(m *analysis.OneShotCox) { m.MinEvents = -1 },
		"one-shot: minSites: 0 to":          func(m *analysis.OneShotCox) { m.MinSites = -1 },
	} {
		question := casesIn[oneShotHazardsCase](t, "odac")[0].question(t)
		change(&question)
		_, err := question.New()
		require.ErrorContains(t, err, want)
	}
}
