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

// TestCheckNamesTheFieldThatIsMissing: a method reads its columns by name, and "" is none.
func TestCheckNamesTheFieldThatIsMissing(t *testing.T) {
	t.Parallel()
	age, sex := query.Column{Name: "age", From: query.FromAge}, query.Column{Name: "sex", From: query.FromSex}
	for want, c := range map[string]struct {
		kind    query.AnalysisKind
		columns []query.Column
		specs   query.Specs
	}{
		"analysis.incidence.events: is missing":                                        {query.Incidence, []query.Column{age}, query.Specs{Incidence: &query.IncidenceSpec{Time: "age"}}},
		"analysis.prevalence.property: is missing":                                     {query.Prevalence, []query.Column{sex}, query.Specs{Prevalence: &query.PrevalenceSpec{By: "sex"}}},
		"analysis.histogram.value: is missing":                                         {query.Histogram, []query.Column{age}, query.Specs{Histogram: &query.HistogramSpec{Breaks: []float64{0, 1}}}},
		"analysis.quantiles.probabilities: is missing":                                 {query.Quantiles, []query.Column{age}, query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"age"}}}},
		"analysis.glm.family: is missing":                                              {query.GLM, []query.Column{age}, query.Specs{GLM: &query.GLMSpec{Formula: "age ~ 1"}}},
		`there is no "", which analysis.pca names`:                                     {query.PCA, []query.Column{age}, query.Specs{PCA: &query.PCASpec{Values: []string{"age", ""}}}},
		"meta-analysis: a model, or value and by":                                      {query.Meta, []query.Column{age}, query.Specs{Meta: &query.MetaSpec{Value: "age"}}},
		`there is no "aeg", which analysis.pca names (did you mean age?)`:              {query.PCA, []query.Column{age}, query.Specs{PCA: &query.PCASpec{Values: []string{"age", "aeg"}}}},
		`analysis.columns[0]: analysis.pca does not name it (did you mean pressure?)`:  {query.PCA, []query.Column{{Name: "presure", From: query.FromAge}}, query.Specs{PCA: &query.PCASpec{Values: []string{"pressure"}}}},
		`analysis.columns[0].from: unknown (did you mean age-group?); known are age, `: {query.PCA, []query.Column{{Name: "age", From: "agegroup"}}, query.Specs{PCA: &query.PCASpec{Values: []string{"age"}}}},
		"analysis.kind: unknown (did you mean kaplan-meier?); known are count, ":       {"kaplanmeier", nil, query.Specs{}},
	} {
		require.ErrorContains(t, analysis.Check(query.Analysis{Kind: c.kind, Columns: c.columns, Specs: c.specs}), want)
	}
}
