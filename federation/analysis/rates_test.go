package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type ratesCase struct {
	File  string          `json:"file"`
	Event string          `json:"event"`
	At    string          `json:"at"` // column of the time at risk, "" for a prevalence
	By    analysis.Column `json:"by"`
	query.Rates
}

func (c ratesCase) method(t require.TestingT) analysis.Iteration {
	if c.At == "" {
		m, err := analysis.Prevalence{Property: analysis.Column{Name: c.Event, Kind: analysis.Logical}, By: &c.By}.New()
		require.NoError(t, err)
		return m
	}
	m, err := analysis.Incidence{
		Events: analysis.Column{Name: c.Event, Kind: analysis.Numeric, High: 100},
		Time:   analysis.Column{Name: c.At, Kind: analysis.Numeric, High: 1000}, By: &c.By,
	}.New()
	require.NoError(t, err)
	return m
}

func TestRatesAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[ratesCase](t, "rates.json") {
		m := c.method(t)
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		c.equal(t, result)
	}
}

func (c ratesCase) equal(t require.TestingT, result any) {
	got := result.(*query.Rates)
	require.Equal(t, []int64{c.N, *c.Omitted}, []int64{got.N, *got.Omitted})
	nearRate(t, c.All, got.All)
	require.Len(t, got.Groups, len(c.Groups))
	for i, w := range c.Groups {
		require.Equal(t, w.Level, got.Groups[i].Level)
		nearRate(t, w.Rate, got.Groups[i].Rate)
	}
}

func nearRate(t require.TestingT, want, got query.Rate) {
	require.Equal(t, []int64{want.N, want.Events}, []int64{got.N, got.Events})
	near(t, want.Time, got.Time, 0, "time")
	near(t, want.Estimate, got.Estimate, 0, "estimate")
	near(t, &want.Exact.Lower, &got.Exact.Lower, 0, "exact lower limit")
	near(t, &want.Exact.Upper, &got.Exact.Upper, 0, "exact upper limit")
	if want.Wilson == nil {
		require.Nil(t, got.Wilson)
		return
	}
	near(t, &want.Wilson.Lower, &got.Wilson.Lower, 1e-3, "Wilson's lower limit")
	near(t, &want.Wilson.Upper, &got.Wilson.Upper, 0, "Wilson's upper limit")
}

func TestSplitMovesNoBitOfRates(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(known[ratesCase](t, "rates.json"), func(c ratesCase) bool { return strings.HasSuffix(c.File, ".gz") })
	var rows [][][]float64
	var whole []any
	for _, c := range cases {
		table := tableRows(t, c.File, c.method(t).Columns())
		result, err := alone(t, c.method(t), table)
		require.NoError(t, err)
		rows, whole = append(rows, table), append(whole, result)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		require.Equal(t, whole[i], dealt(t, cases[i].method(t), rows[i]))
	})
}

// TestRatesAtTheEnds: nobody, no event, and all with one.
func TestRatesAtTheEnds(t *testing.T) {
	t.Parallel()
	m, err := analysis.Prevalence{Property: analysis.Column{Name: "p", Kind: analysis.Logical}}.New()
	require.NoError(t, err)
	for _, c := range []struct {
		rows         [][]float64
		lower, upper float64 // 0.025 = limit^3
	}{
		{[][]float64{{0}, {0}, {0}}, 0, 1 - math.Cbrt(0.025)},
		{[][]float64{{1}, {1}, {1}}, math.Cbrt(0.025), 1},
	} {
		result, err := alone(t, m, c.rows)
		require.NoError(t, err)
		exact := result.(*query.Rates).All.Exact
		require.InDelta(t, c.lower, exact.Lower, 1e-14)
		require.InDelta(t, c.upper, exact.Upper, 1e-14)
	}
	result, err := alone(t, m, nil)
	require.NoError(t, err)
	require.Equal(t, query.Rate{}, result.(*query.Rates).All)
	m, err = analysis.Incidence{Events: analysis.Column{Name: "e", Kind: analysis.Logical}, Time: analysis.Column{Name: "t", Kind: analysis.Numeric, High: 9}}.New()
	require.NoError(t, err)
	result, err = alone(t, m, [][]float64{{0, 2}, {0, 1}})
	require.NoError(t, err)
	require.Zero(t, result.(*query.Rates).All.Exact.Lower)
	require.InEpsilon(t, 3.6888794541139363/3, result.(*query.Rates).All.Exact.Upper, 1e-12, "R's poisson.test")
}

func TestRatesShowNoSmallCell(t *testing.T) {
	t.Parallel()
	rows := func(with, without int) [][]float64 {
		var out [][]float64
		for i := range with + without {
			v := 0.0
			if i < with {
				v = 1
			}
			out = append(out, []float64{v})
		}
		return out
	}
	m, err := analysis.Prevalence{Property: analysis.Column{Name: "p", Kind: analysis.Logical}, MinCell: 11}.New()
	require.NoError(t, err)
	for _, few := range [][][]float64{rows(10, 90), rows(90, 10)} {
		_, err = alone(t, m, few)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no)
	}
	_, err = alone(t, m, rows(11, 11))
	require.NoError(t, err)
}

func TestRatesRefuse(t *testing.T) {
	t.Parallel()
	event, time := analysis.Column{Name: "e", Kind: analysis.Logical}, analysis.Column{Name: "t", Kind: analysis.Numeric, High: 9}
	for want, m := range map[string]analysis.Incidence{
		"must be numeric":         {Events: event, Time: event},
		"must not be below 0":     {Events: event, Time: analysis.Column{Name: "t", Kind: analysis.Numeric, Low: -1, High: 9}},
		"logical, or a number":    {Events: analysis.Column{Name: "e", Kind: analysis.Factor, Levels: []string{"a"}}, Time: time},
		"least cell must not be ": {Events: event, Time: time, MinCell: -1},
		"must be a factor":        {Events: event, Time: time, By: &time},
		"column t stands twice":   {Events: analysis.Column{Name: "t", Kind: analysis.Logical}, Time: time},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
	_, err := analysis.Prevalence{Property: time}.New()
	require.ErrorContains(t, err, "logical")
	m, err := analysis.Incidence{Events: analysis.Column{Name: "e", Kind: analysis.Numeric, High: 2}, Time: time}.New()
	require.NoError(t, err)
	_, err = alone(t, m, [][]float64{{0.5, 1}})
	require.ErrorContains(t, err, "whole number")
}
