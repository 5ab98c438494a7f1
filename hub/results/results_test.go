package results_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/hub/results"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func result(sites int) *query.Result {
	return &query.Result{Answered: make([]query.Answered, sites), Policy: disclosure.Default()}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	by := query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex}}
	r := result(4)
	sum := []uint64{80, 1, 45, 2, 0, 0}
	require.NoError(t, results.Fill(r, query.Request{Analysis: by}, sum))
	require.Equal(t, []query.Cell{
		{Levels: []string{"female"}, N: 80, SitesWithheld: 1},
		{Levels: []string{"male"}, Withheld: true, SitesWithheld: 2},
		{Levels: []string{"other or unknown"}},
	}, r.Cells, "two sites' number is nobody's business")
	require.EqualValues(t, 80, r.Total.N)
	require.Equal(t, 1, r.WithheldCells)
	require.InDelta(t, 10, r.MaxRoundingError, 0)
	require.Equal(t, []uint64{80, 1, 45, 2, 0, 0}, sum, "the sum is the caller's")

	r = result(3)
	require.NoError(t, results.Fill(r, query.Request{Analysis: query.Analysis{Kind: query.Count}}, []uint64{35, 0}))
	require.Equal(t, []query.Cell{{Levels: []string{}, N: 35}}, r.Cells)
	require.Zero(t, r.MaxNoiseSD)

	r = result(4)
	r.Policy.Noise, r.Policy.NoiseScale, r.Policy.TrialEpsilon = disclosure.Gaussian, 10, 8
	require.NoError(t, results.Fill(r, query.Request{Analysis: query.Analysis{Kind: query.Count}}, []uint64{35, 0}))
	require.InDelta(t, 20, r.MaxNoiseSD, 0)
}

// TestAttritions have no total, and their steps the rules' names.
func TestAttritions(t *testing.T) {
	t.Parallel()
	request := query.Request{Analysis: query.Analysis{Kind: query.Count, Attrition: true}, Cohort: []byte(`{"PrimaryCriteria":{"CriteriaList":[{"Death":{}}],
		"ObservationWindow":{"PriorDays":0,"PostDays":0}},"InclusionRules":[{"name":"adults","expression":{}},{"expression":{}}]}`)}
	r := result(4)
	require.NoError(t, results.Fill(r, request, []uint64{300, 0, 180, 1, 40, 2}))
	require.Equal(t, []query.Cell{
		{Levels: []string{"0. primary criteria"}, N: 300},
		{Levels: []string{"1. adults"}, N: 180, SitesWithheld: 1},
		{Levels: []string{"2. rule without a name"}, Withheld: true, SitesWithheld: 2},
	}, r.Cells)
	require.Nil(t, r.Total)
	require.Equal(t, 1, r.WithheldCells)
	require.InDelta(t, 10, r.MaxRoundingError, 0)
}

func TestMomentsAreRounded(t *testing.T) {
	t.Parallel()
	a := query.Analysis{Kind: query.Moments, Variable: &query.Variable{Concept: 1, Unit: "kg", Take: query.TakeLast, Low: 0, High: 200}}
	method, err := analysis.For(query.Request{Analysis: a})
	require.NoError(t, err)
	sum := make([]uint64, method.Words())
	for site := range 3 {
		table, err := method.Tabulate(func(yield func(analysis.Row, error) bool) {
			for i := range 21 + site {
				if !yield(analysis.Row{Strata: []int{}, Value: 70 + float64(i%2), HasValue: true}, nil) {
					return
				}
			}
		})
		require.NoError(t, err)
		words, err := analysis.Encode(table)
		require.NoError(t, err)
		for i, w := range words {
			sum[i] += w
		}
	}
	r := result(3)
	require.NoError(t, results.Fill(r, query.Request{Analysis: a}, sum))
	require.EqualValues(t, 65, r.Cells[0].N, "66 persons")
	require.InDelta(t, 70+32.0/66, *r.Cells[0].Mean, 1e-9)
	require.EqualValues(t, 65, r.Total.N)
	require.InDelta(t, 2.5, r.MaxRoundingError, 0, "only the sum is rounded")
}

func TestSumsThatCannotBe(t *testing.T) {
	t.Parallel()
	a := query.Analysis{Kind: query.Count}
	for name, sum := range map[string][]uint64{
		"more sites withheld than there are": {0, 4},
		"a negative count":                   {^uint64(4), 0},
	} {
		require.ErrorIs(t, results.Fill(result(3), query.Request{Analysis: a}, sum), analysis.ErrInconsistent, name)
	}
	require.Error(t, results.Fill(result(3), query.Request{Analysis: a}, []uint64{1}))
	require.Error(t, results.Fill(result(3), query.Request{Analysis: query.Analysis{Kind: "other"}}, []uint64{1, 0}))
}
