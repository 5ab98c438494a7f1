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

type oneShotCase struct {
	Lead   string    `json:"lead"`
	Pooled []float64 `json:"pooled"` // glm of all rows
	query.OneShot
}

var lungBySite = []analysis.Column{
	{Name: "died", Kind: analysis.Logical},
	{Name: "age", Kind: analysis.Numeric, Low: 30, High: 100},
	{Name: "sex", Kind: analysis.Numeric, Low: 1, High: 2},
	{Name: "site", Kind: analysis.Factor, Levels: []string{"a", "b", "c", "d"}},
}

func (c oneShotCase) question(t require.TestingT) analysis.OneShot {
	f, err := formula.Parse(c.OneShot.Formula)
	require.NoError(t, err)
	return analysis.OneShot{Formula: f, Sites: lungBySite[3], Lead: c.Lead, Declared: lungBySite[:3]}
}

func (c oneShotCase) method(t require.TestingT) analysis.Iteration {
	m, err := c.question(t).New()
	require.NoError(t, err)
	return m
}

func (c oneShotCase) declared() []analysis.Column { return lungBySite }

func (c oneShotCase) equal(t require.TestingT, result any) {
	got := result.(*query.OneShot)
	require.Equal(t, []int64{c.N, c.OneShot.Sites}, []int64{got.N, got.Sites})
	nearEstimates(t, c.Initial, got.Initial)
	nearEstimates(t, c.Coefficients, got.Coefficients)
}

// TestOneShotIsTheFormula: what R makes of ODAL's formula, and how near that is to the fit to
// all rows.
func TestOneShotIsTheFormula(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[oneShotCase](t, "oneshot") {
		m := c.method(t)
		rows := tableRows(t, "oneshot/lung.csv", lungBySite)
		frames := split(t, lungBySite, rows, 5, func(r int) int { return int(rows[r][3]) }) // two sites are empty
		outcome, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		require.Equal(t, 4, outcome.Rounds)
		c.equal(t, outcome.Result)
		got := outcome.Result.(*query.OneShot)
		for j, pooled := range c.Pooled {
			k := got.Coefficients[j]
			require.InDelta(t, pooled, *k.Estimate, 0.02**k.SE, "the fit to all rows")
		}
		slices.Reverse(frames)
		turned, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		require.Equal(t, outcome.Result, turned.Result, "the order of sites moves no bit")
	}
}

// TestOneShotOfAnySplit: rows are dealt to the sites that do not lead, one of them with a
// single person, and the answer stays near the fit to all.
func TestOneShotOfAnySplit(t *testing.T) {
	t.Parallel()
	c := casesIn[oneShotCase](t, "oneshot")[0]
	question := c.question(t)
	m, err := question.New()
	require.NoError(t, err)
	rows := tableRows(t, "oneshot/lung.csv", lungBySite)
	for seed := range 5 {
		frames := split(t, lungBySite, rows[:86], 2, func(r int) int { return 0 }) // the lead's
		require.NoError(t, frames[1].Append(rows[86]))
		frames = append(frames, someSplit(t, seed, lungBySite, rows[87:])...)
		outcome, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		got := outcome.Result.(*query.OneShot)
		require.EqualValues(t, 228, got.N)
		for j, pooled := range c.Pooled {
			require.InDelta(t, pooled, *got.Coefficients[j].Estimate, *got.Coefficients[j].SE)
		}
	}
}

func TestOneShotHasNoResult(t *testing.T) {
	t.Parallel()
	c := casesIn[oneShotCase](t, "oneshot")[0]
	rows := tableRows(t, "oneshot/lung.csv", lungBySite)
	for want, change := range map[string]struct {
		rows [][]float64
		deal func(r int) int
		of   func(*analysis.OneShot)
	}{
		"0 sites can lead": {rows: rows[86:], deal: func(int) int { return 0 }},
		"2 sites can lead": {rows: rows, deal: func(r int) int { return min(r/40, 2) }},
		"0 sites can lead, and there must be one, with rows enough": {rows: rows, deal: func(int) int { return 0 }},
		"0 sites can lead, and there must be one": {
			rows: rows[:86], deal: func(int) int { return 0 },
			of: func(m *analysis.OneShot) { m.MinRows = 87 },
		},
		"no site has an estimate of its own": {rows: rows[:3], deal: func(int) int { return 0 }},
	} {
		question := c.question(t)
		if change.of != nil {
			change.of(&question)
		}
		m, err := question.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, split(t, lungBySite, change.rows, 3, change.deal)...)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, want)
		require.ErrorContains(t, err, want)
	}
}

// TestOneShotOfALeadThatIsNotEnough: a lead that has one sex only still has a maximum, as the
// others' second derivatives stand in.
func TestOneShotOfALeadThatIsNotEnough(t *testing.T) {
	t.Parallel()
	c := casesIn[oneShotCase](t, "oneshot")[0]
	m, err := c.question(t).New()
	require.NoError(t, err)
	rows := slices.DeleteFunc(tableRows(t, "oneshot/lung.csv", lungBySite), func(r []float64) bool { return r[3] == 0 && r[2] == 1 })
	outcome, err := analysis.Local(m, split(t, lungBySite, rows, 3, func(r int) int { return int(rows[r][3]) })...)
	require.NoError(t, err)
	got := outcome.Result.(*query.OneShot)
	require.EqualValues(t, 2, got.Sites)
	for _, k := range got.Coefficients {
		require.False(t, math.IsNaN(*k.Estimate) || math.IsNaN(*k.SE))
	}
}

func TestOneShotRefuses(t *testing.T) {
	t.Parallel()
	c := casesIn[oneShotCase](t, "oneshot")[0]
	for want, change := range map[string]func(m *analysis.OneShot){
		"formula: the formula names":    func(m *analysis.OneShot) { m.Declared = m.Declared[:2] },
		"sites: column sex: it must be": func(m *analysis.OneShot) { m.Sites = lungBySite[2] },
		"lead: the column site has no":  func(m *analysis.OneShot) { m.Lead = "e" },
		"minRows: 0 to":                 func(m *analysis.OneShot) { m.MinRows = -1 },
	} {
		question := c.question(t)
		change(&question)
		_, err := question.New()
		require.ErrorContains(t, err, want)
	}
}
