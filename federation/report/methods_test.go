package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestMethodsReadLikeR shows results of made-up persons by the methods whose tables are R's.
func TestMethodsReadLikeR(t *testing.T) {
	t.Parallel()
	columns := []query.Column{
		{Name: "age", From: query.FromAge},
		{Name: "falls", From: query.FromCount, High: 50, Domain: "ConditionOccurrence", Concepts: []int64{1}},
		{Name: "treated", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{1}},
		{Name: "days", From: query.FromFollowUp, Domain: "ConditionOccurrence", Concepts: []int64{1}, Window: &query.Window{From: 1, To: 60}},
		{Name: "fell", From: query.FromOutcome, Domain: "ConditionOccurrence", Concepts: []int64{1}, Window: &query.Window{From: 1, To: 60}},
	}
	for kind, c := range map[query.AnalysisKind]struct {
		specs query.Specs
		used  []int
		want  []string
	}{
		query.NegBin: {query.Specs{NegBin: &query.NegBinSpec{Formula: "falls ~ age"}}, []int{0, 1}, []string{"negative.binomial", "Pr(>|z|)", "(Dispersion parameter for Negative Binomial(", ") family taken to be 1)", "Theta: "}},
		query.MixedModel: {
			query.Specs{MixedModel: &query.MixedModelSpec{Formula: "age ~ falls"}},
			[]int{0, 1},
			[]string{"Linear mixed model fit by REML: age ~ falls + (1 | site)", "Residual", "240 persons, of 3 sites", "t value"},
		},
		query.PCA: {
			query.Specs{PCA: &query.PCASpec{Values: []string{"age", "falls"}, Scale: true}},
			[]int{0, 1},
			[]string{"Proportion of Variance", "PC2", "Rotation:"},
		},
		query.KMeans: {
			query.Specs{KMeans: &query.KMeansSpec{Values: []string{"age", "falls"}, Clusters: 2}},
			[]int{0, 1},
			[]string{"K-means of age, falls with 2 clusters", "within SS", "between SS / total SS"},
		},
		query.Propensity: {
			query.Specs{Propensity: &query.PropensitySpec{
				Treatment: "treated ~ age", Outcome: "falls ~ treated", Family: query.Poisson, Adjustment: query.Stratified, Estimand: query.ATE, Strata: 3,
			}},
			[]int{0, 1, 2},
			[]string{"by propensity score: strata", "untreated", "Standardized differences:", "score from", "Outcome, with robust standard errors:"},
		},
		query.Compare: {
			query.Specs{Comparison: &query.ComparisonSpec{
				Treatment: "treated ~ age", Outcome: "Surv(days, fell) ~ treated", Grid: query.Grid{Width: 1, Horizon: 60}, Adjustment: query.Matching, Estimand: query.ATT, Caliper: 0.2,
			}},
			[]int{0, 2, 3, 4},
			[]string{"Comparison of new users (ATT)", "Hazard ratio of the treated:", "crude", "adjusted", "untreated, in pairs", "Least alike after adjustment: age", "The propensity score:"},
		},
		query.Predict: {
			query.Specs{Predict: &query.PredictSpec{Formula: "treated ~ age + falls", Share: 0.5, Groups: 3}},
			[]int{0, 1, 2},
			[]string{"Area under the curve: ", "Brier score: ", "Calibration slope: ", "expected"},
		},
	} {
		a := query.Analysis{Kind: kind, Specs: c.specs}
		for _, i := range c.used {
			a.Columns = append(a.Columns, columns[i])
		}
		method, err := analysis.InRounds(a, 0)
		require.NoError(t, err, kind)
		var sites []*analysis.Frame
		for site := range 3 {
			f, err := analysis.NewFrame(analysis.ColumnsOf(a.Columns))
			require.NoError(t, err)
			for i := range 80 {
				all := []float64{float64(30 + 5*site + i*7%41), float64(i * i % 23 % (1 + i%7)), float64(i * 3 % 5 % 2), float64(1 + i*11%59), float64(i % 3 % 2)}
				row := make([]float64, len(c.used))
				for k, from := range c.used {
					row[k] = all[from]
				}
				require.NoError(t, f.Append(row))
			}
			sites = append(sites, f)
		}
		out, err := analysis.Local(method, sites...)
		require.NoError(t, err, kind)
		outcome, err := query.OutcomeOf(out.Result)
		require.NoError(t, err)
		var text, csv bytes.Buffer
		require.NoError(t, report.Render(&text, outcome.Value(), report.Table))
		for _, want := range c.want {
			require.Contains(t, text.String(), want, kind)
		}
		require.NoError(t, report.Render(&csv, outcome.Value(), report.CSV))
		require.NotContains(t, csv.String(), "0x", kind) // no pointer
		if kind == query.MixedModel {                    // as lmer, which gives no p values
			require.NotContains(t, text.String(), "Pr(")
			require.NotContains(t, text.String(), "NA")
			var drawn bytes.Buffer
			require.NoError(t, report.Render(&drawn, outcome.Value(), report.SVG))
			require.Contains(t, drawn.String(), "falls")
			require.Contains(t, drawn.String(), "Coefficients with 95 % confidence intervals: age ~ falls + (1 | site)")
			require.NotContains(t, drawn.String(), "NA")
		}
		if testing.Verbose() {
			t.Log("\n" + text.String())
		}
	}
}
