package dispatch_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// days bounds the follow-up of the tests' survival analyses, watch the observed days of the case
// series before and after entry.
const (
	days  = 360
	watch = 400
)

// relapseColumns say where the values of relapses come from, by name.
var relapseColumns = map[string]query.Column{
	"age":      {Name: "age", From: query.FromAge},
	"group":    {Name: "group", From: query.FromAgeGroup},
	"sex":      {Name: "sex", From: query.FromSex},
	"pressure": {Name: "pressure", From: query.FromMeasurement, Concepts: []int64{peertest.Systolic}, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 250},
	"relapse":  {Name: "relapse", From: query.FromEvent, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}, Window: &query.Window{From: 1, To: days}},
	"early":    {Name: "early", From: query.FromEvent, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}, Window: &query.Window{From: 1, To: days / 2}},
	"relapses": {Name: "relapses", From: query.FromCount, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}, Window: &query.Window{From: 1, To: days}, High: 5},
	"time":     {Name: "time", From: query.FromFollowUp, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}, Window: &query.Window{From: 1, To: days}},
	"attacks":  {Name: "attacks", From: query.FromDays, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}},
	"checks":   {Name: "checks", From: query.FromDays, Domain: cohort.Measurement, Concepts: []int64{peertest.Systolic}},
	"outcome":  {Name: "outcome", From: query.FromOutcome, Domain: cohort.ConditionOccurrence, Concepts: []int64{peertest.Relapse}, Window: &query.Window{From: 1, To: days}},
}

// spread gives the relapses of relapses their days, and takes nobody's pressure away.
func spread(sites [][]peertest.Person) [][]peertest.Person {
	for s := range sites {
		for i := range sites[s] {
			p := &sites[s][i]
			p.After = 1 + (7*(80*s+i)+p.Born)%(days-1)
			if p.Value == 0 {
				p.Value = 120.25
			}
		}
	}
	return sites
}

// row returns a person's values of columns, as [relapseColumns] mean them.
func row(p peertest.Person, columns []query.Column) []float64 {
	relapsed, early, time := 0.0, 0.0, float64(days)
	if p.Relapsed {
		relapsed, time = 1, float64(p.After)
	}
	if p.Relapsed && p.After <= days/2 {
		early = 1
	}
	age := 2024 - p.Born
	values := map[string]float64{
		"age": float64(age), "group": 2, "sex": 0, "pressure": p.Value, "relapse": relapsed, "early": early, "relapses": relapsed, "outcome": relapsed, "time": time,
	}
	if age >= 65 {
		values["group"] = 3
	}
	if age < 40 {
		values["group"] = 1
	}
	if p.Sex == peertest.Male {
		values["sex"] = 1
	}
	out := make([]float64, len(columns))
	for i, c := range columns {
		out[i] = values[c.Name]
	}
	return out
}

// intervals are the rows of somebody's case series: before the check on the day of entry and that
// day, the half year after it, and what remains.
func intervals(p peertest.Person, place int) [][]float64 {
	if !p.Relapsed {
		return nil
	}
	rows := [][]float64{{0, watch + 1, float64(place), 0}, {0, days / 2, float64(place), 1}, {0, watch - days/2, float64(place), 0}}
	rows[1][0] = 1
	if p.After > days/2 {
		rows[1][0], rows[2][0] = 0, 1
	}
	return rows
}

// methodsOfRelapses are questions of every method in rounds, with the columns each names.
func methodsOfRelapses() map[query.AnalysisKind]query.Analysis {
	grid := query.Grid{Width: 1, Horizon: days}
	all := map[query.AnalysisKind]struct {
		specs   query.Specs
		columns []string
	}{
		query.GLM:          {query.Specs{GLM: &query.GLMSpec{Formula: "relapses ~ age + sex", Family: query.Poisson}}, []string{"relapses", "age", "sex"}},
		query.Cox:          {query.Specs{Cox: &query.CoxSpec{Formula: "Surv(time, outcome) ~ age + sex", Grid: grid}}, []string{"time", "outcome", "age", "sex"}},
		query.KaplanMeier:  {query.Specs{KaplanMeier: &query.KaplanMeierSpec{Formula: "Surv(time, outcome) ~ sex", Grid: grid}}, []string{"time", "outcome", "sex"}},
		query.CrossTab:     {query.Specs{CrossTab: &query.CrossTabSpec{Factors: []string{"sex", "relapse"}}}, []string{"sex", "relapse"}},
		query.Describe:     {query.Specs{Describe: &query.DescribeSpec{Values: []string{"age", "pressure"}, By: "sex"}}, []string{"age", "pressure", "sex"}},
		query.Quantiles:    {query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"pressure"}, Probabilities: []float64{0.25, 0.5}}}, []string{"pressure"}},
		query.Histogram:    {query.Specs{Histogram: &query.HistogramSpec{Value: "age", Breaks: []float64{0, 40, 60, 80, 130}}}, []string{"age"}},
		query.Characterize: {query.Specs{Characterize: &query.CharacterizeSpec{Variables: []string{"age", "pressure", "relapse"}, Arm: "sex"}}, []string{"age", "pressure", "relapse", "sex"}},
		query.Incidence:    {query.Specs{Incidence: &query.IncidenceSpec{Events: "outcome", Time: "time", By: "sex"}}, []string{"outcome", "time", "sex"}},
		query.NegBin:       {query.Specs{NegBin: &query.NegBinSpec{Formula: "age ~ sex"}}, []string{"age", "sex"}},
		query.MixedModel:   {query.Specs{MixedModel: &query.MixedModelSpec{Formula: "pressure ~ age + sex"}}, []string{"pressure", "age", "sex"}},
		query.Meta:         {query.Specs{Meta: &query.MetaSpec{Value: "pressure", By: "relapse", Between: "REML", Adjust: true}}, []string{"pressure", "relapse"}},
		query.PCA:          {query.Specs{PCA: &query.PCASpec{Values: []string{"age", "pressure"}, Scale: true}}, []string{"age", "pressure"}},
		query.KMeans:       {query.Specs{KMeans: &query.KMeansSpec{Values: []string{"age", "pressure"}, Clusters: 3, Steps: 4}}, []string{"age", "pressure"}},
		query.Propensity: {query.Specs{Propensity: &query.PropensitySpec{
			Treatment: "relapse ~ age + pressure", Outcome: "pressure ~ relapse", Family: query.Gaussian, Adjustment: query.Weighting, Estimand: query.ATE,
		}}, []string{"relapse", "age", "pressure"}},
		query.Compare: {query.Specs{Comparison: &query.ComparisonSpec{
			Treatment: "early ~ age + pressure", Outcome: "Surv(time, outcome) ~ early", Grid: grid, Adjustment: query.Weighting, Estimand: query.ATT,
		}}, []string{"early", "age", "pressure", "time", "outcome"}},
		query.ConditionalLogistic: {
			query.Specs{ConditionalLogistic: &query.ConditionalLogisticSpec{Formula: "relapse ~ pressure + strata(age)"}},
			[]string{"relapse", "pressure", "age"},
		},
		query.CaseSeries: {query.Specs{CaseSeries: &query.CaseSeriesSpec{
			Events: "attacks", Exposures: "checks", Window: &query.Window{From: -watch, To: watch},
			Risks: []query.RiskPeriod{{Name: "half a year", Window: query.Window{From: 1, To: days / 2}}},
		}}, []string{"attacks", "checks"}},
		query.ODAL:       {query.Specs{ODAL: &query.ODALSpec{Formula: "relapse ~ pressure"}}, []string{"relapse", "pressure"}},
		query.ODAC:       {query.Specs{ODAC: &query.ODACSpec{Formula: "Surv(time, outcome) ~ age", Grid: grid}}, []string{"time", "outcome", "age"}},
		query.Predict:    {query.Specs{Predict: &query.PredictSpec{Formula: "relapse ~ age + pressure", Share: 0.5, Groups: 4}}, []string{"relapse", "age", "pressure"}},
		query.Prevalence: {query.Specs{Prevalence: &query.PrevalenceSpec{Property: "relapse", By: "sex"}}, []string{"relapse", "sex"}},
	}
	out := make(map[query.AnalysisKind]query.Analysis)
	for kind, m := range all {
		a := query.Analysis{Kind: kind, Specs: m.specs}
		for _, name := range m.columns {
			a.Columns = append(a.Columns, relapseColumns[name])
		}
		out[kind] = a
	}
	return out
}

// TestEveryMethodGivesThePooledAnswer: what comes out of hub and three nodes is what the
// method gives for the rows of all three together, under the limits of the hub.
func TestEveryMethodGivesThePooledAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		sites := spread(relapses())
		methods := methodsOfRelapses()
		asked := make(map[query.AnalysisKind]bool)
		var w *world
		for i, kind := range slices.Sorted(maps.Keys(methods)) {
			if i%((len(methods)+1)/2) == 0 { // for more parameters there are not enough persons
				w = newWorld(t, sites...)
				w.run(t)
			}
			a := methods[kind]
			method, err := analysis.InRounds(a, w.policy.MinCell)
			require.NoError(t, err, kind)
			pooled, err := analysis.NewFrame(analysis.FrameColumns(a))
			require.NoError(t, err)
			frames := []*analysis.Frame{pooled}
			for _, people := range sites {
				switch kind {
				case query.Meta, query.MixedModel, query.ConditionalLogistic, query.CaseSeries, query.ODAL, query.ODAC: // about sites, or sets within them
					pooled, err = analysis.NewFrame(pooled.Columns())
					require.NoError(t, err)
					frames = append(frames, pooled)
				}
				for i, p := range people {
					rows := [][]float64{row(p, a.Columns)}
					if kind == query.CaseSeries {
						rows = intervals(p, i)
					}
					for _, r := range rows {
						require.NoError(t, pooled.Append(r))
					}
				}
			}
			if len(frames) > 1 {
				frames = frames[1:]
			}
			want, err := analysis.Local(method, frames...)
			require.NoError(t, err, kind)
			outcome, err := query.OutcomeOf(want.Result)
			require.NoError(t, err)

			r := w.trial.CountBySex()
			r.Analysis = a
			got := w.result(t, w.put(t, r, time.Minute))
			require.Equal(t, query.Complete, got.State, "%s: %s %+v", kind, got.Reason, got.Refused)
			require.Equal(t, outcome, got.Outcome, kind)
			require.Equal(t, want.Rounds, got.Rounds, kind)
			require.True(t, a.AnsweredBy(got.Outcome))
			asked[kind] = true
		}
		for _, kind := range query.Kinds() {
			require.Equal(t, kind.InRounds(), asked[kind], "each method in rounds: %s", kind)
		}
	})
}

// TestACaseSeriesIsJudgedByPeriod: as a whole there are enough relapses, but few of them are soon;
// and of two periods that end a few days apart, few relapse in between.
func TestACaseSeriesIsJudgedByPeriod(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		until := func(w *world, day int) query.Result {
			r := w.trial.CountBySex()
			r.Analysis = methodsOfRelapses()[query.CaseSeries]
			r.Analysis.CaseSeries.Risks[0].To = day
			return w.result(t, w.put(t, r, time.Minute))
		}
		w := newWorld(t, spread(relapses())...)
		w.run(t)
		requireComplete(t, until(w, days/2))
		between := until(w, days/2+20)
		require.Equal(t, query.Withheld, between.State)
		require.Equal(t, "release.differencing", between.Refused[0].Problem.Rule)

		other := newWorld(t, spread(relapses())...)
		other.run(t)
		few := until(other, 20)
		require.Equal(t, query.Withheld, few.State)
		require.Equal(t, "release.levels", few.Refused[0].Problem.Rule)
	})
}
