package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

func TestFiguresAreProvedOverOneDataSet(t *testing.T) {
	t.Parallel()
	event := query.Column{Name: "event", From: query.FromDataset, Dataset: "outcomes", Domain: "Person", Kind: query.LogicalValues}
	asked := query.Request{
		Trial: "t-1", Dataset: "outcomes", Proof: query.ProofResult, Purpose: "test",
		Analysis: query.Analysis{Kind: query.Prevalence, Columns: []query.Column{event}, Specs: query.Specs{Prevalence: &query.PrevalenceSpec{Property: "event"}}},
	}
	require.NoError(t, asked.Validate())
	require.GreaterOrEqual(t, asked.Needs(), version.Results)
	plain := asked
	plain.Proof = ""
	with, err := asked.Question()
	require.NoError(t, err)
	without, err := plain.Question()
	require.NoError(t, err)
	require.NotEqual(t, with, without, "an answer that was given without proof is none to the question for one")
	for want, change := range map[string]func(r *query.Request){
		`proof: "result"`: func(r *query.Request) { r.Proof = "access" },
		"proof: figures are proved over": func(r *query.Request) {
			r.Dataset, r.Cohort = "", []byte(`{"PrimaryCriteria":{"CriteriaList":[{"Death":{}}]}}`)
		},
		"proof: figures of a count": func(r *query.Request) { r.Analysis.Kind = query.Histogram },
		"analysis.by":               func(r *query.Request) { r.Analysis.By = []query.Stratifier{query.BySex} },
		"analysis.columns: proved":  func(r *query.Request) { r.Analysis.Columns[0].Dataset = "registry" },
		"analysis.describe.pairwise": func(r *query.Request) {
			r.Analysis.Kind, r.Analysis.Describe = query.Describe, &query.DescribeSpec{Pairwise: true}
		},
	} {
		r := asked
		r.Analysis.Columns = []query.Column{event}
		change(&r)
		require.ErrorContains(t, r.Validate(), want)
	}
}
