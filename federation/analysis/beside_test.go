package analysis_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// What answers tell beside each other that no rule compares: node/release/DESIGN.md says why they stand. Each
// test ends with how many few persons are, so that it fails where one of them is mended.

const (
	fewPersons = 3
	leastCell  = 11
)

// answerOf is a method's answer over three sites, of which one has the rows. Some columns are asked for, all
// if none is named.
func answerOf(t *testing.T, a query.Analysis, rows [][]float64, some ...int) any {
	t.Helper()
	if len(some) > 0 {
		columns := a.Columns
		a.Columns = nil
		for _, c := range some {
			a.Columns = append(a.Columns, columns[c])
		}
	}
	method, err := analysis.InRounds(a, leastCell)
	require.NoError(t, err)
	var frames []*analysis.Frame
	for range 3 {
		f, err := analysis.NewFrame(analysis.ColumnsOf(a.Columns))
		require.NoError(t, err)
		frames = append(frames, f)
	}
	for _, row := range rows {
		if len(some) > 0 {
			all := row
			row = nil
			for _, c := range some {
				row = append(row, all[c])
			}
		}
		require.NoError(t, frames[0].Append(row))
	}
	answer, err := analysis.Local(method, frames...)
	require.NoError(t, err)
	return answer.Result
}

// TestCurvesOfAllAndOfArms: three of a hundred men have the event in the first hundred days, and the men's
// first step waits for more. The women's does not, nor does that of all; nor do the times of a Cox model with strata,
// and of one without.
func TestCurvesOfAllAndOfArms(t *testing.T) {
	t.Parallel()
	const women, men = 300.0, 100.0
	var rows [][]float64
	for i := range int(women + men) {
		row := []float64{300, 0, 0, float64(20 + i*7%50)}
		early := i%10 < 2 // of the women
		if i >= women {
			row[2] = 1
			early = i < women+fewPersons
		}
		switch {
		case early:
			row[0], row[1] = 100, 1
		case i%10 < 5:
			row[0], row[1] = 200, 1
		}
		rows = append(rows, row)
	}
	window := &query.Window{To: 300}
	columns := []query.Column{
		{Name: "days", From: query.FromFollowUp, Domain: "Death", Window: window},
		{Name: "died", From: query.FromOutcome, Domain: "Death", Window: window},
		{Name: "male", From: query.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{1}},
		{Name: "age", From: query.FromAge},
	}
	grid := query.Grid{Width: 100, Horizon: 300}
	curve := func(formula string, some ...int) []query.SurvivalArm {
		a := query.Analysis{Kind: query.KaplanMeier, Columns: columns, Specs: query.Specs{KaplanMeier: &query.KaplanMeierSpec{Formula: formula, Grid: grid}}}
		return answerOf(t, a, rows, some...).(*query.Survival).Arms
	}
	all, arms := curve("Surv(days, died) ~ 1", 0, 1)[0], curve("Surv(days, died) ~ male", 0, 1, 2)
	require.Len(t, arms[1].Curve, 1, "the men's steps are joined")
	require.EqualValues(t, fewPersons, all.Curve[0].Events-arms[0].Curve[0].Events)

	likelihood := func(formula string, some ...int) float64 {
		a := query.Analysis{Kind: query.Cox, Columns: columns, Specs: query.Specs{Cox: &query.CoxSpec{Formula: formula, Ties: query.Breslow, Grid: grid}}}
		return answerOf(t, a, rows, some...).(*query.Hazards).NullLogLikelihood
	}
	// early is how many have the event at the first of two times, given the likelihood without terms.
	early := func(likelihood, n, events float64) float64 {
		best, at := math.Inf(1), 0.0
		for first := range int(events) {
			off := math.Abs(likelihood + float64(first)*math.Log(n) + (events-float64(first))*math.Log(n-float64(first)))
			if off < best {
				best, at = off, float64(first)
			}
		}
		return at
	}
	womenDied, menDied := float64(arms[0].Events), float64(arms[1].Events)
	ofAll := early(likelihood("Surv(days, died) ~ age", 0, 1, 3), women+men, womenDied+menDied)
	ofWomen := early(likelihood("Surv(days, died) ~ age + strata(male)", 0, 1, 2, 3)+menDied*math.Log(men), women, womenDied)
	require.EqualValues(t, fewPersons, ofAll-ofWomen)
}

// TestClustersBesideAHistogram: three persons lie between the border of two clusters and a break.
func TestClustersBesideAHistogram(t *testing.T) {
	t.Parallel()
	columns := []query.Column{{Name: "value", From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mg/dL", Take: query.TakeLast, High: 200}}
	var rows [][]float64
	for i := range 400 {
		v := float64(20 + i%40 + i%2*100)
		if i < fewPersons {
			v = 91
		}
		rows = append(rows, []float64{v})
	}
	clusters := answerOf(t, query.Analysis{Kind: query.KMeans, Columns: columns, Specs: query.Specs{KMeans: &query.KMeansSpec{Values: []string{"value"}, Clusters: 2, Steps: 1}}},
		rows).(*query.Clusters)
	border := 0.0 // of the first step: the mean
	for _, c := range clusters.Clusters {
		border += float64(c.N) * (clusters.Columns[0].Center + c.Center[0]**clusters.Columns[0].Scale) / float64(clusters.N)
	}
	require.Less(t, border, 91.0)
	bins := answerOf(t, query.Analysis{Kind: query.Histogram, Columns: columns, Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: []float64{0, 92, 200}}}},
		rows).(*query.FrequencyTable)
	require.EqualValues(t, fewPersons, bins.Bins[0].Count-clusters.Clusters[0].N)
}

// TestQuantilesBesideAHistogram: quantiles of each rank say how many are up to a cut of the search, and the
// histogram how many up to a break beside it.
func TestQuantilesBesideAHistogram(t *testing.T) {
	t.Parallel()
	const n = 400
	columns := []query.Column{{Name: "value", From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mg/dL", Take: query.TakeLast, High: 160}}
	var rows [][]float64
	for i := range n {
		v := 70.0
		switch {
		case i < fewPersons:
			v = 90.5
		case i%2 == 0:
			v = 92.5 + float64(i%60)
		}
		rows = append(rows, []float64{v})
	}
	var ranks []float64
	for rank := 170; rank < 220; rank++ {
		ranks = append(ranks, float64(rank)/(n-1))
	}
	const cut = 90 // nine sixteenths of the range
	quantiles := answerOf(t, query.Analysis{Kind: query.Quantiles, Columns: columns, Specs: query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"value"}, Probabilities: ranks}}},
		rows).(*query.QuantileTable).Columns[0].All
	below := 170 + slices.IndexFunc(quantiles, func(q query.Quantile) bool { return q.Value == nil && *q.Low >= cut })
	bins := answerOf(t, query.Analysis{Kind: query.Histogram, Columns: columns, Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: []float64{0, cut + 1, 160}}}},
		rows).(*query.FrequencyTable)
	require.EqualValues(t, fewPersons, bins.Bins[0].Count-int64(below))
}
