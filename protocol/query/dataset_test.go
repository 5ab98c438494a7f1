package query_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// biobank asks over a data set alone.
func biobank() query.Request {
	return query.Request{Trial: "glucose-1", Dataset: "biobank", Purpose: "safety", Analysis: query.Analysis{
		Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "died ~ crp + grade + sex", Family: query.Binomial}},
		Columns: []query.Column{
			{Name: "died", From: query.FromDataset, Dataset: "biobank", Domain: "Death", Kind: query.LogicalValues},
			{Name: "crp", From: query.FromDataset, Dataset: "biobank", Domain: "Measurement", Kind: query.NumericValues, High: 500, Unit: "mg/L"},
			{Name: "grade", From: query.FromDataset, Dataset: "tumors", Column: "WHO grade", Domain: "ConditionOccurrence", Kind: query.FactorValues, Levels: []string{"low", "high"}},
			{Name: "sex", From: query.FromSex},
		},
	}}
}

func TestAQuestionOverADatasetNeedsTheScopesOfItsDomains(t *testing.T) {
	t.Parallel()
	r := biobank()
	require.NoError(t, r.Validate())
	require.Equal(t, []string{"biobank", "tumors"}, r.Datasets())
	scopes, err := r.Scopes()
	require.NoError(t, err)
	require.Equal(t, consent.MaskOf(consent.Statistics, consent.Demographics, consent.Measurements, consent.Conditions), scopes)
	r.Analysis = query.Analysis{Kind: query.Count}
	require.NoError(t, r.Validate())
	scopes, err = r.Scopes()
	require.NoError(t, err)
	require.Equal(t, consent.MaskOf(consent.Statistics, consent.Demographics), scopes, "who has a row is demographics")
}

func TestAQuestionOverADatasetRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*query.Request){
		"a cohort or a data set, not both": func(r *query.Request) { r.Cohort = request().Cohort },
		"dataset: the name of a data set":  func(r *query.Request) { r.Dataset = "Bio bank" },
		"cohort":                           func(r *query.Request) { r.Dataset = "" },
		"columns[3].from: age needs":       func(r *query.Request) { r.Analysis.Columns[3].From = query.FromAge },
		"columns[3].from: age-group needs": func(r *query.Request) { r.Analysis.Columns[3].From = query.FromAgeGroup },
		"columns[3].window: is relative":   func(r *query.Request) { r.Analysis.Columns[3].Window = &query.Window{To: 1} },
		"columns[3].dataset: only":         func(r *query.Request) { r.Analysis.Columns[3].Kind = query.LogicalValues },
		"analysis.by: age groups": func(r *query.Request) {
			r.Analysis = query.Analysis{Kind: query.Count, By: []query.Stratifier{query.ByAgeGroup}}
		},
		"columns[1].dataset":                      func(r *query.Request) { r.Analysis.Columns[1].Dataset = "" },
		"columns[1].column":                       func(r *query.Request) { r.Analysis.Columns[1].Column = "a\nb" },
		"columns[1].kind":                         func(r *query.Request) { r.Analysis.Columns[1].Kind = "text" },
		"columns[1].low: must lie":                func(r *query.Request) { r.Analysis.Columns[1].High = 0 },
		"columns[1].levels: only a factor":        func(r *query.Request) { r.Analysis.Columns[1].Levels = []string{"a", "b"} },
		"columns[1].unit":                         func(r *query.Request) { r.Analysis.Columns[1].Unit = " mg" },
		"columns[1].domain":                       func(r *query.Request) { r.Analysis.Columns[1].Domain = "Genome" },
		"columns[1].from: a column of a data set": func(r *query.Request) { r.Analysis.Columns[1].Take = query.TakeLast },
		"columns[2].levels: 2 to":                 func(r *query.Request) { r.Analysis.Columns[2].Levels = []string{"a"} },
		"columns[2].levels[1]":                    func(r *query.Request) { r.Analysis.Columns[2].Levels = []string{"a", "a"} },
		"columns[0].low: only a numeric":          func(r *query.Request) { r.Analysis.Columns[0].High = 1 },
	} {
		r := biobank()
		change(&r)
		require.ErrorContains(t, r.Validate(), want)
	}
}

func TestTheQuestionOfADataset(t *testing.T) {
	t.Parallel()
	r := biobank()
	first, err := r.Question()
	require.NoError(t, err)
	r.Analysis.Columns[1].Column = "crp"
	named, err := r.Question()
	require.NoError(t, err)
	require.Equal(t, first, named, "the name that is the default")
	r.Dataset = "tumors"
	other, err := r.Question()
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	require.Contains(t, r.Analysis.Words(), `crp is column "crp" of the data set biobank, numeric between 0 and 500 mg/L (Measurement)`)
	require.Contains(t, r.Analysis.Words(), `grade is column "WHO grade" of the data set tumors, one of low, high`)

	raw, err := json.Marshal(request())
	require.NoError(t, err)
	require.NotContains(t, string(raw), "dataset", "questions over a cohort are written as ever")
}
