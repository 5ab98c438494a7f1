package analysis

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// noisedColumns are a factor, a property, and two numbers of which the first is on a grid
// as fine as the sums'.
func noisedColumns() []query.Column {
	window := &query.Window{From: 1, To: 64}
	return []query.Column{
		{Name: "sex", From: query.FromSex},
		{Name: "died", From: query.FromOutcome, Domain: "Death", Window: window},
		{Name: "days", From: query.FromFollowUp, Domain: "Death", Window: window},
		{Name: "visits", From: query.FromCount, Domain: "VisitOccurrence", Concepts: []int64{1}, High: 16},
	}
}

// noisedAnalyses are one of each kind that noise can be added to, or more.
func noisedAnalyses() (list []query.Analysis) {
	add := func(kind query.AnalysisKind, specs query.Specs, columns ...string) {
		a := query.Analysis{Kind: kind, Specs: specs}
		for _, c := range noisedColumns() {
			if slices.Contains(columns, c.Name) {
				a.Columns = append(a.Columns, c)
			}
		}
		list = append(list, a)
	}
	add(query.CrossTab, query.Specs{CrossTab: &query.CrossTabSpec{Factors: []string{"sex", "died"}}}, "sex", "died")
	add(query.Histogram, query.Specs{Histogram: &query.HistogramSpec{Value: "days", Breaks: []float64{8, 16, 40}}}, "days")
	add(query.Prevalence, query.Specs{Prevalence: &query.PrevalenceSpec{Property: "died", By: "sex"}}, "died", "sex")
	add(query.Prevalence, query.Specs{Prevalence: &query.PrevalenceSpec{Property: "died"}}, "died")
	add(query.Incidence, query.Specs{Incidence: &query.IncidenceSpec{Events: "visits", Time: "days", By: "sex"}}, "visits", "days", "sex")
	add(query.Incidence, query.Specs{Incidence: &query.IncidenceSpec{Events: "died", Time: "days"}}, "died", "days")
	both := []string{"days", "visits"}
	add(query.Describe, query.Specs{Describe: &query.DescribeSpec{Values: both, By: "sex"}}, "days", "visits", "sex")
	add(query.Describe, query.Specs{Describe: &query.DescribeSpec{Values: both, By: "died", Pairwise: true}}, "days", "visits", "died")
	add(query.Describe, query.Specs{Describe: &query.DescribeSpec{Values: both[:1]}}, "days")
	add(query.Characterize, query.Specs{Characterize: &query.CharacterizeSpec{Variables: []string{"sex", "days", "visits"}, Arm: "died"}},
		"sex", "days", "visits", "died")
	add(query.Characterize, query.Specs{Characterize: &query.CharacterizeSpec{Variables: []string{"sex", "days"}}}, "sex", "days")
	return list
}

// rowOf draws a row of values, some of them missing.
func rowOf(t *rapid.T, columns []Column, missing bool) []float64 {
	row := make([]float64, len(columns))
	for i, c := range columns {
		switch c.Kind {
		case Numeric:
			row[i] = float64(rapid.IntRange(int(c.Low), int(c.High)).Draw(t, c.Name))
		default:
			row[i] = float64(rapid.IntRange(0, len(c.levels())-1).Draw(t, c.Name))
		}
		if missing && rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
			row[i] = math.NaN()
		}
	}
	return row
}

// TestOnePersonMovesFewNumbersByOne is what the noise is measured by: with a person more,
// whoever that is, Moves numbers at most change, each by 1 at most.
func TestOnePersonMovesFewNumbersByOne(t *testing.T) {
	t.Parallel()
	for _, a := range noisedAnalyses() {
		m, err := WithNoise(a, 0)
		require.NoError(t, err)
		rapid.Check(t, func(t *rapid.T) {
			columns := ColumnsOf(a.Columns)
			f, err := NewFrame(columns)
			require.NoError(t, err)
			for range rapid.IntRange(0, 5).Draw(t, "rows") {
				require.NoError(t, f.Append(rowOf(t, columns, true)))
			}
			before, err := m.Site(nil, f)
			require.NoError(t, err)
			require.NoError(t, f.Append(rowOf(t, columns, true)))
			after, err := m.Site(nil, f)
			require.NoError(t, err)
			moved := 0
			for i := rowWords; i < len(before); i += numberWords {
				change := numberOf(after[i:i+numberWords]).float() - numberOf(before[i:i+numberWords]).float()
				require.LessOrEqual(t, math.Abs(change), 1.0)
				require.Equal(t, math.Trunc(change*gridUnit), change*gridUnit, "it lies on the grid of the noise")
				if change != 0 {
					moved++
				}
			}
			require.Positive(t, moved, "somebody who misses a value counts, too")
			require.LessOrEqual(t, moved, m.Moves())
			require.Equal(t, []uint64{0, 0}, after[:rowWords], "no number of rows leaves without noise")
		})
	}
}

// TestWithoutNoiseNothingIsOff: the forms that take noise give what the methods give, if no
// noise is added.
func TestWithoutNoiseNothingIsOff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(noisedAnalyses()).Draw(t, "analysis")
		plain, err := InRounds(a, 0)
		require.NoError(t, err)
		m, err := WithNoise(a, 0)
		require.NoError(t, err)
		var sites []*Frame
		for range 3 {
			f, err := NewFrame(ColumnsOf(a.Columns))
			require.NoError(t, err)
			for range 15 {
				require.NoError(t, f.Append(rowOf(t, f.columns, true)))
			}
			sites = append(sites, f)
		}
		want, err := Local(plain, sites...)
		require.NoError(t, err)
		got, err := Local(m, sites...)
		require.NoError(t, err)
		require.Equal(t, 1, got.Rounds)
		alikeOutcomes(t, want.Result, got.Result)
	})
}

// alikeOutcomes compares what results of both forms have in common. Sums of the form with
// noise are rounded to 2^-20 of the range, row by row.
func alikeOutcomes(t *rapid.T, want, got any) {
	const tolerance = 1e-3
	near := func(want, got *float64, what string) {
		require.NotNil(t, got, what)
		require.InDelta(t, *want, *got, tolerance, what)
	}
	moment := func(want, got query.Moment) {
		require.Equal(t, want.N, got.N)
		if want.N > 1 && *want.Variance > 0.01 {
			near(want.Mean, got.Mean, "mean")
			near(want.Variance, got.Variance, "variance")
			require.Zero(t, *got.NoiseSD)
		}
	}
	switch want := want.(type) {
	case *query.ContingencyTable:
		got := got.(*query.ContingencyTable)
		got.Warnings = want.Warnings
		require.Equal(t, want, got)
	case *query.FrequencyTable:
		require.Equal(t, want, got)
	case *query.Rates:
		got := got.(*query.Rates)
		require.Equal(t, []any{want.N, want.Omitted, want.All.N, want.All.Events}, []any{got.N, got.Omitted, got.All.N, got.All.Events})
		near(want.All.Estimate, got.All.Estimate, "rate")
		require.Len(t, got.Groups, len(want.Groups))
		for i, g := range want.Groups {
			require.Equal(t, []any{g.Level, g.N, g.Events}, []any{got.Groups[i].Level, got.Groups[i].N, got.Groups[i].Events})
		}
	case *query.Description:
		got := got.(*query.Description)
		if *want.Omitted > 0 {
			require.Equal(t, want.N, got.N)
		}
		for i, c := range want.Columns {
			moment(c.All, got.Columns[i].All)
			for g := range c.Groups {
				moment(c.Groups[g].Moment, got.Columns[i].Groups[g].Moment)
			}
			if c.Welch != nil && len(c.Groups) == 2 {
				require.InDelta(t, c.Welch.Estimate, got.Columns[i].Welch.Estimate, tolerance)
				require.InDelta(t, c.Welch.P, got.Columns[i].Welch.P, tolerance)
			}
		}
		for i, p := range want.Pairs {
			require.Equal(t, p.N, got.Pairs[i].N)
			near(p.Covariance, got.Pairs[i].Covariance, "covariance")
			near(p.Correlation, got.Pairs[i].Correlation, "correlation")
		}
	case *query.Characterization:
		got := got.(*query.Characterization)
		require.Equal(t, []any{want.N, want.Omitted, want.Arms}, []any{got.N, got.Omitted, got.Arms})
		for i, v := range want.Variables {
			for g, of := range append([]query.VariateGroup{*v.All}, v.Arms...) {
				its := append([]query.VariateGroup{*got.Variables[i].All}, got.Variables[i].Arms...)[g]
				require.Equal(t, []any{of.N, of.Missing, of.Counts}, []any{its.N, its.Missing, its.Counts})
				if of.Mean != nil {
					near(of.Mean, its.Mean, "mean")
				}
			}
		}
	default:
		require.Fail(t, "no such result")
	}
}

// TestNoiseIsInEveryNumber, each of the draws once.
func TestNoiseIsInEveryNumber(t *testing.T) {
	t.Parallel()
	for _, a := range noisedAnalyses() {
		m, err := WithNoise(a, 0)
		require.NoError(t, err)
		f, err := NewFrame(ColumnsOf(a.Columns))
		require.NoError(t, err)
		words, err := m.Site(nil, f)
		require.NoError(t, err)
		k := int64(0)
		draws := []int64{-3*gridUnit - 1, 0, 1, 5*gridUnit + 7, -1}
		require.NoError(t, m.Blur(words, func() (int64, error) {
			k++
			return draws[k%5], nil
		}))
		for i, at := int64(1), rowWords; at < len(words); i, at = i+1, at+numberWords {
			require.InDelta(t, float64(draws[i%5])/gridUnit, numberOf(words[at:at+numberWords]).float(), 0)
		}
		broken := errors.New("broken")
		require.ErrorIs(t, m.Blur(words, func() (int64, error) { return 0, broken }), broken)
		require.Error(t, m.Blur(words[1:], func() (int64, error) { return 0, nil }))
	}
}

// TestOnlySomeMethodsTakeNoise: the others say so by not having a form for it.
func TestOnlySomeMethodsTakeNoise(t *testing.T) {
	t.Parallel()
	a := query.Analysis{
		Kind: query.GLM, Columns: noisedColumns(), Specs: query.Specs{GLM: &query.GLMSpec{Formula: "days ~ visits + sex + died", Family: "gaussian"}},
	}
	_, err := WithNoise(a, 0)
	require.ErrorContains(t, err, "no noise")
	limits := disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 3}
	m, err := Public(a, limits)
	require.NoError(t, err)
	require.NotImplements(t, (*Noised)(nil), m)
	for _, a := range noisedAnalyses() {
		m, err := Public(a, limits)
		require.NoError(t, err)
		require.Implements(t, (*Noised)(nil), m)
		m, err = Public(a, disclosure.Policy{})
		require.NoError(t, err)
		require.NotImplements(t, (*Noised)(nil), m)
	}
}

// TestIntervalsAllowForNoise: the limits of a rate and the standard error of a difference
// of means are wider by the noise, as its variance says.
func TestIntervalsAllowForNoise(t *testing.T) {
	t.Parallel()
	m := rates{events: Column{Kind: Logical}}
	exact := m.blur(query.Rate{N: 400, Events: 100, Estimate: ptr(0.25)}, 0)
	require.InDelta(t, 0.25-normalLimit*math.Sqrt(0.25*0.75/400), exact.Noised.Lower, 1e-12)
	noised := m.blur(query.Rate{N: 400, Events: 100, Estimate: ptr(0.25)}, 12)
	require.InDelta(t, 12*math.Sqrt(0.75*0.75+0.25*0.25)/400, *noised.NoiseSD, 1e-12)
	require.InDelta(t, normalLimit*math.Sqrt(0.25*0.75/400+*noised.NoiseSD**noised.NoiseSD), noised.Noised.Upper-0.25, 1e-12)
	of := func(mean, noise float64) query.Moment {
		return query.Moment{N: 100, Mean: &mean, Variance: ptr(4.0), NoiseSD: &noise}
	}
	w := welch(of(3, 0.3), of(2, 0.4))
	require.InDelta(t, 1/math.Sqrt(4.0/100+4.0/100+0.09+0.16), *w.Statistic, 1e-12)
}
