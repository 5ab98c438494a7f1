package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestForQuestion(t *testing.T) {
	t.Parallel()
	count, err := analysis.For(query.Request{Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex, query.ByAgeGroup}}})
	require.NoError(t, err)
	require.Equal(t, 3*4*2, count.Words())

	pressure := &query.Variable{Concept: 3004249, Unit: "mm[Hg]", Take: query.TakeLast, Low: 40, High: 300}
	moments, err := analysis.For(query.Request{Analysis: query.Analysis{Kind: query.Moments, By: []query.Stratifier{query.BySex}, Variable: pressure}})
	require.NoError(t, err)
	require.Equal(t, 3*8, moments.Words())
	require.Equal(t, 300.0, moments.(analysis.Moments).High)

	_, err = analysis.For(query.Request{Analysis: query.Analysis{Kind: "mean"}})
	require.Error(t, err)
}
