package approval

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestCellsOfACaseSeries count persons, not their intervals.
func TestCellsOfACaseSeries(t *testing.T) {
	t.Parallel()
	a := query.Analysis{
		Kind: query.CaseSeries,
		Specs: query.Specs{CaseSeries: &query.CaseSeriesSpec{
			Events: "attacks", Exposures: "doses", Risks: []query.RiskPeriod{{Name: "after", Window: query.Window{To: 30}}},
		}},
		Columns: []query.Column{
			{Name: "attacks", From: query.FromDays, Domain: "ConditionOccurrence", Concepts: []int64{1}},
			{Name: "doses", From: query.FromDays, Domain: "DrugExposure", Concepts: []int64{2}},
		},
	}
	frame, err := analysis.NewFrame(analysis.FrameColumns(a))
	require.NoError(t, err)
	for person := range 12 {
		require.NoError(t, frame.Append([]float64{0, 300, float64(person), 0}))
		require.NoError(t, frame.Append([]float64{1, 31, float64(person), 1}))
	}
	cells, err := Cells(query.Request{Analysis: a}, frame.Bits(), false, false)
	require.NoError(t, err)
	require.Equal(t, []Cell{{Together: []string{"events", "risk", "days", "person"}, N: 12}}, cells)
}

// TestCellsOfSums say which columns go together, and over whom.
func TestCellsOfSums(t *testing.T) {
	t.Parallel()
	a := asked(t, `{"concept": {"CONCEPT_ID": 1}}`).Analysis
	a.Describe.Pairwise = true
	a.Columns[0].From, a.Columns[0].High = query.FromCount, 10
	frame, err := analysis.NewFrame(analysis.ColumnsOf(a.Columns))
	require.NoError(t, err)
	for i := range 20 {
		age := 40.0
		if i < 5 {
			age = math.NaN()
		}
		require.NoError(t, frame.Append([]float64{float64(i % 2), age}))
	}
	cells, err := Cells(query.Request{Analysis: a}, frame.Bits(), false, false)
	require.NoError(t, err)
	require.Equal(t, []Cell{
		{Together: []string{"fever"}, N: 20}, {Together: []string{"fever", "age"}, N: 15, Omitted: 5}, {Together: []string{"age"}, N: 15, Omitted: 5},
	}, cells)
	cells, err = Cells(query.Request{Analysis: a}, frame.Bits(), true, false)
	require.NoError(t, err)
	require.Equal(t, []Cell{{Together: []string{"fever"}, Size: Under101}, {Together: []string{"fever", "age"}, Size: Under101}, {Together: []string{"age"}, Size: Under101}}, cells)

	noised, err := analysis.WithNoise(a, 0)
	require.NoError(t, err)
	words, err := noised.Site(nil, frame)
	require.NoError(t, err)
	require.NoError(t, noised.Blur(words, func() (int64, error) { return 1 << analysis.GridPlaces, nil }))
	cells, err = Cells(query.Request{Analysis: a}, words, false, true)
	require.NoError(t, err)
	require.Equal(t, []Cell{{Together: []string{"fever", "age"}, N: 23}}, cells, "one more in each of three parts")
}
