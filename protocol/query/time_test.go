package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestTheWordsOfAGridHaveItsUnit: who approves a question reads how long persons are followed.
func TestTheWordsOfAGridHaveItsUnit(t *testing.T) {
	t.Parallel()
	grid := query.Grid{Width: 1, Horizon: 365}
	of := func(unit string) query.Column {
		return query.Column{Name: "time", From: query.FromDataset, Dataset: "lung", Kind: query.NumericValues, High: 2000, Unit: unit, Domain: "ConditionOccurrence"}
	}
	curves := query.Specs{KaplanMeier: &query.KaplanMeierSpec{Formula: "Surv(time, died) ~ 1", Grid: grid}}
	for _, c := range []struct {
		time  query.Column
		kind  query.AnalysisKind
		specs query.Specs
		want  string
		unit  query.TimeUnit
	}{
		{of("mo"), query.KaplanMeier, curves, "Survival curves of Surv(time, died) ~ 1, in steps of 1 up to 365 months, over the cohort", "mo"},
		{of("wk"), query.Cox, query.Specs{Cox: &query.CoxSpec{Formula: "Surv(begin, time, died) ~ sex", Grid: grid}}, "up to 365 in the unit of begin, which the question does not name", ""},
		{of("min"), query.Cox, query.Specs{Cox: &query.CoxSpec{Formula: "Surv(time, died) ~ sex", Grid: grid}}, "in steps of 1 up to 365 min,", "min"},
		{of("a"), query.Compare, query.Specs{Comparison: &query.ComparisonSpec{
			Treatment: "drug ~ sex", Outcome: "Surv(time, died) ~ drug", Adjustment: query.Weighting, Grid: grid,
		}}, "Comparison of two treatments by Surv(time, died) ~ drug, adjusted by weighting with the propensity score of drug ~ sex, in steps of 1 up to 365 years,", "a"},
		{of(""), query.KaplanMeier, curves, "up to 365 in the unit of time, which the question does not name,", ""},
		{query.Column{Name: "time", From: query.FromFollowUp, Domain: "ConditionOccurrence", Concepts: []int64{1}}, query.KaplanMeier, curves, "up to 365 days,", "d"},
	} {
		a := query.Analysis{Kind: c.kind, Columns: []query.Column{c.time}, Specs: c.specs}
		require.Contains(t, a.Words(), c.want)
		require.Equal(t, c.unit, a.WatchedUnit())
	}
	restricted := query.Analysis{Kind: query.KaplanMeier, Columns: []query.Column{of("d")}, Specs: query.Specs{
		KaplanMeier: &query.KaplanMeierSpec{Formula: "Surv(time, died) ~ 1", Restriction: 180, Grid: grid},
	}}
	require.Contains(t, restricted.Words(), "with means restricted to 180, in steps of 1 up to 365 days")
	tied := query.Analysis{Kind: query.Cox, Columns: []query.Column{of("d")}, Specs: query.Specs{
		Cox: &query.CoxSpec{Formula: "Surv(time, died) ~ sex", Ties: query.Breslow, Grid: grid},
	}}
	require.Contains(t, tied.Words(), "~ sex, ties by the method breslow, in steps of")
	count := query.Analysis{Kind: query.Count}
	require.NotContains(t, count.Words(), "in steps")
}
