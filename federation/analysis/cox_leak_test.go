package analysis_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// leaving reads the words of the first step, at coefficients of 0, as somebody who wants to
// see rows would: for each event time, from the last, how many persons leave the risk set
// after it, and the sums of their covariates in their own units. apart says that the dead
// of a time are summed up apart.
func leaving(t testing.TB, state analysis.State, words []uint64, apart bool) (persons []float64, sums [][]float64) {
	t.Helper()
	var s struct {
		Center, Scale []float64
		Times         []struct{ Events int }
	}
	require.NoError(t, json.Unmarshal(state, &s))
	number := func(i int) float64 {
		w := words[2+3*i:]
		return math.Ldexp(float64(w[0]), -64) + math.Ldexp(float64(w[1]), -16) + math.Ldexp(float64(int64(w[2])), 32)
	}
	p := len(s.Center)
	triple, place := (p+1)*(p+2)/2, 0
	for i := len(s.Times) - 1; i >= 0; i-- {
		n, sum := number(place), make([]float64, p)
		for j := range sum {
			sum[j] = s.Center[j]*n + s.Scale[j]*number(place+1+j)
		}
		persons, sums = append(persons, n), append(sums, sum)
		place += triple
		if apart && s.Times[i].Events > 1 {
			place += triple
		}
	}
	return persons, sums
}

// firstStep takes the rounds of counts and then one of the first step; it returns each
// site's words and the state.
func firstStep(t testing.TB, m analysis.Iteration, frames []*analysis.Frame) ([][]uint64, analysis.State) {
	t.Helper()
	state, err := m.Start()
	require.NoError(t, err)
	for {
		var sites [][]uint64
		for _, f := range frames {
			words, err := m.Site(state, f)
			require.NoError(t, err)
			sites = append(sites, words)
		}
		var s struct{ Coefficients []float64 }
		require.NoError(t, json.Unmarshal(state, &s))
		if s.Coefficients != nil {
			return sites, state
		}
		step, err := m.Next(state, added(sites), len(sites))
		require.NoError(t, err)
		state = step.State
	}
}

// added is what a hub sees of the sites' words: under masks that cancel, their sum only.
func added(sites [][]uint64) []uint64 {
	sum := make([]uint64, len(sites[0]))
	for _, words := range sites {
		for i, w := range words {
			sum[i] += w
		}
	}
	return sum
}

// recovered counts the times after which one person leaves whose covariates are, to six
// digits, those of somebody of the rows.
func recovered(persons []float64, sums, rows [][]float64) int {
	n := 0
	for i, count := range persons {
		if math.Abs(count-1) < 1e-9 && slices.ContainsFunc(rows, func(r []float64) bool {
			return math.Abs(r[0]-sums[i][0]) < 1e-6*r[0] && math.Abs(r[1]-sums[i][1]) < 1e-6*r[1]
		}) {
			n++
		}
	}
	return n
}

// TestRiskSetsGiveRowsAway: the words of each of three sites show the covariates of most
// of its persons; their sum, which is all that a hub sees, still shows a third of them on
// a grid of days. Once times are merged, all of its sums are about as many as asked for.
func TestRiskSetsGiveRowsAway(t *testing.T) {
	t.Parallel()
	c := survivalCaseOf(t, "cox", "lung")
	rows := c.rows(t)
	frames := split(t, c.Columns, rows, 3, func(r int) int { return r % 3 })
	column := func(name string) int {
		return slices.IndexFunc(c.Columns, func(c analysis.Column) bool { return c.Name == name })
	}
	own, all := make([][][]float64, 3), [][]float64{}
	for i, r := range rows {
		person := []float64{r[column("age")], r[column("sex")]}
		own[i%3], all = append(own[i%3], person), append(all, person)
	}

	sites, state := firstStep(t, c.method(t), frames)
	fromSites := 0
	for i, words := range sites {
		persons, sums := leaving(t, state, words, true)
		fromSites += recovered(persons, sums, own[i])
	}
	require.Equal(t, 150, fromSites, "of 228")
	persons, sums := leaving(t, state, added(sites), true)
	require.Equal(t, 77, recovered(persons, sums, all), "of 228")

	c.Merge = 11
	sites, state = firstStep(t, c.method(t), frames)
	persons, _ = leaving(t, state, added(sites), false)
	require.Len(t, persons, 14)
	total := 0.0
	for _, n := range persons {
		require.GreaterOrEqual(t, n, 11.0)
		total += n
	}
	require.InDelta(t, 228, total, 1e-9, "nobody is left for the difference to the sums of all")
}

// TestMergedTimesMoveLittle: what the guard costs on R's lung data, in standard errors.
func TestMergedTimesMoveLittle(t *testing.T) {
	t.Parallel()
	c := survivalCaseOf(t, "cox", "lung")
	exact := c.whole(t).(*query.Hazards)
	for _, of := range []struct {
		least, times int
		age, sex     float64
	}{{5, 32, 0.07, 0.04}, {11, 14, 0.09, 0.12}, {20, 8, 0.35, 0.04}} {
		c.Merge = of.least
		merged := c.whole(t).(*query.Hazards)
		require.Equal(t, of.times, merged.Times)
		require.Equal(t, exact.Events, merged.Events)
		for i, most := range []float64{of.age, of.sex} {
			e := exact.Coefficients[i]
			moved := math.Abs(*merged.Coefficients[i].Estimate-*e.Estimate) / *e.SE
			require.Less(t, moved, most, "%s, %d", e.Name, of.least)
			require.Greater(t, moved, most-0.02, "%s, %d", e.Name, of.least)
		}
	}
}

// TestTwoGridsShowWhoIsBetween: times merged on one grid and on another begin some days apart, so
// that two risk sets differ by the few who leave in between. A node answers on one width only.
func TestTwoGridsShowWhoIsBetween(t *testing.T) {
	t.Parallel()
	c := survivalCaseOf(t, "cox", "lung")
	c.Merge = 11
	rows := c.rows(t)
	var grids [2][]float64
	for i, width := range []float64{1, 7} {
		c.Grid.Width, c.Grid.Horizon = width, 1099
		sites, state := firstStep(t, c.method(t), split(t, c.Columns, rows, 3, func(r int) int { return r % 3 }))
		persons, _ := leaving(t, state, added(sites), false)
		total := 0.0
		for _, n := range persons {
			total += n
			grids[i] = append(grids[i], math.Round(total))
		}
	}
	few := 0
	for _, a := range grids[0] {
		for _, b := range grids[1] {
			if apart := math.Abs(a - b); 0 < apart && apart < 11 {
				few++
			}
		}
	}
	require.Equal(t, 14, few, "of 196 pairs")
}
