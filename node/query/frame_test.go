package query_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// TestFrameOfTheTables: each origin, window and choice, over persons in the order of their
// numbers; whoever is not of the cohort or forbids the use is not there.
func TestFrameOfTheTables(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := newClinic(t, db)
		for _, p := range []struct {
			name string
			sex  int64
			born int
		}{{"anna", female, 1950}, {"bert", male, 1980}, {"carl", 0, 2030}, {"dora", female, 1960}, {"emil", male, 1970}} {
			c.person(t, p.name, p.sex, white, p.born)
		}
		for _, name := range []string{"anna", "bert", "carl", "dora"} {
			c.condition(t, name, diabetes, "2022-03-10")
		}
		c.condition(t, "anna", diabetes, "2023-01-01")
		c.condition(t, "anna", hypertension, "2022-03-10")
		c.condition(t, "bert", hypertension, "2022-03-11")
		c.drug(t, "bert", metformin, "2023-03-10")
		c.drug(t, "carl", metformin, "2023-03-11")
		for _, m := range []struct {
			name, on string
			value    float64
		}{
			{"anna", "2022-01-01", 120},
			{"anna", "2022-03-10", 130},
			{"anna", "2022-03-11", 200},
			{"bert", "2022-02-01", 110},
			{"bert", "2022-03-01", 400},
			{"carl", "2023-01-01", 150},
		} {
			c.pressure(t, m.name, m.value, mmHg, m.on, false)
		}
		c.pressure(t, "carl", 20, kPa, "2022-03-01", false)
		c.pressure(t, "anna", 170, mmHg, "2022-03-09", true)

		before := &protocol.Window{From: -365}
		measured := func(name, take string, w *protocol.Window) protocol.Column {
			return protocol.Column{Name: name, From: protocol.FromMeasurement, Concepts: []int64{systolic}, Unit: "mm[Hg]", Take: take, Low: 50, High: 300, Window: w}
		}
		r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
			Kind:  protocol.GLM,
			Specs: protocol.Specs{GLM: &protocol.GLMSpec{Formula: "drug ~ age + sex + race + last + first + mean + ever + tension", Family: protocol.Binomial}},
			Columns: []protocol.Column{
				{Name: "drug", From: protocol.FromEvent, Domain: "DrugExposure", Concepts: []int64{metformin}, Window: &protocol.Window{To: 365}},
				{Name: "age", From: protocol.FromAge},
				{Name: "sex", From: protocol.FromSex},
				{Name: "race", From: protocol.FromRace},
				measured("last", protocol.TakeLast, before), measured("first", protocol.TakeFirst, before),
				measured("mean", protocol.TakeMean, before), measured("ever", protocol.TakeLast, nil),
				{Name: "tension", From: protocol.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{hypertension}, Window: before},
			},
		}}
		answer, err := c.engine.Evaluate(t.Context(), r, all{c.persons["dora"]: true})
		require.NoError(t, err)
		f := answer.Frame.Values
		na := math.NaN()
		for name, want := range map[string][]float64{ // anna, bert, carl
			"drug": {0, 1, 0}, "age": {72, 42, 0}, "sex": {0, 1, 2}, "race": {4, 4, 4},
			"last": {130, na, na}, "first": {120, 110, na}, "mean": {125, 255, na}, "ever": {200, na, 150},
			"tension": {1, 0, 0},
		} {
			require.Len(t, f.Values(name), len(want))
			for i, v := range f.Values(name) {
				require.True(t, v == want[i] || math.IsNaN(v) && math.IsNaN(want[i]), "%s of %d", name, i)
			}
		}
		require.Equal(t, 1, answer.Frame.Views[0].Len())
		require.Equal(t, analysis.ColumnsOf(r.Analysis.Columns), f.Columns())
		require.Equal(t, []omop.PersonID{c.persons["anna"], c.persons["bert"], c.persons["carl"]}, answer.Used)
		require.Len(t, answer.Sets["concept 3004249"], 4, "a cell for each column")
		require.Equal(t, []omop.PersonID{c.persons["anna"]}, answer.Sets["concept 3004249"][0])
		require.Equal(t, [][]omop.PersonID{{c.persons["anna"]}}, answer.Sets[answer.Measure])
		require.Equal(t, [][]omop.PersonID{{c.persons["anna"]}, {c.persons["bert"], c.persons["carl"]}}, answer.Sets["persons"],
			"a cell, and who is in none")
		require.Len(t, answer.Values["concept 3004249"], 4, "a cell for each column")
		require.Equal(t, []release.Value{{Person: c.persons["anna"], Number: 130}}, answer.Values["concept 3004249"][0])
	})
}

// TestWeightOfNobodyIsMissing: who has the weight 0 is not among the model's persons.
func TestWeightOfNobodyIsMissing(t *testing.T) {
	t.Parallel()
	c := newClinic(t, sqltest.SQLite(t))
	for name, weight := range map[string]float64{"anna": 0, "bert": 2} {
		c.person(t, name, female, white, 1950)
		c.condition(t, name, diabetes, "2022-03-10")
		c.pressure(t, name, weight, mmHg, "2022-03-01", false)
	}
	r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
		Kind: protocol.GLM, Specs: protocol.Specs{GLM: &protocol.GLMSpec{Formula: "age ~ 1", Family: protocol.Gaussian, Weights: "w"}},
		Columns: []protocol.Column{
			{Name: "age", From: protocol.FromAge},
			{Name: "w", From: protocol.FromMeasurement, Concepts: []int64{systolic}, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 0, High: 10},
		},
	}}
	answer, err := c.engine.Evaluate(t.Context(), r, all{})
	require.NoError(t, err)
	require.Equal(t, [][]omop.PersonID{{c.persons["bert"]}}, answer.Sets[answer.Measure])
	require.Equal(t, 1, answer.Frame.Views[0].Len())

	for kind, specs := range map[protocol.AnalysisKind]protocol.Specs{
		protocol.NegBin: {NegBin: &protocol.NegBinSpec{Formula: "age ~ 1", Weights: "w"}},
		protocol.Meta:   {Meta: &protocol.MetaSpec{Model: r.Analysis.GLM, Term: "(Intercept)"}},
	} {
		other := r
		other.Analysis.Kind, other.Analysis.Specs = kind, specs
		answer, err := c.engine.Evaluate(t.Context(), other, all{})
		require.NoError(t, err, kind)
		require.Equal(t, 1, answer.Frame.Views[0].Len(), kind)
	}

	renamed := r
	renamed.Analysis.GLM = &protocol.GLMSpec{Formula: "old ~ 1", Family: protocol.Gaussian, Weights: "v"}
	renamed.Analysis.Columns = []protocol.Column{r.Analysis.Columns[1], r.Analysis.Columns[0]}
	renamed.Analysis.Columns[0].Name, renamed.Analysis.Columns[1].Name = "v", "old"
	other, err := c.engine.Evaluate(t.Context(), renamed, all{})
	require.NoError(t, err)
	require.Equal(t, answer.Measure, other.Measure, "columns of other names, in another order")
}

// TestWatchEndsAtTheHorizon: before the gate sees who had the event.
func TestWatchEndsAtTheHorizon(t *testing.T) {
	t.Parallel()
	window := &protocol.Window{To: 100}
	a := protocol.Analysis{
		Kind:  protocol.KaplanMeier,
		Specs: protocol.Specs{KaplanMeier: &protocol.KaplanMeierSpec{Formula: "Surv(days, ended) ~ 1", Grid: protocol.Grid{Width: 7, Horizon: 50}}},
		Columns: []protocol.Column{
			{Name: "days", From: protocol.FromFollowUp, Domain: "Death", Window: window},
			{Name: "ended", From: protocol.FromOutcome, Domain: "Death", Window: window},
		},
	}
	method, err := analysis.InRounds(a, 11)
	require.NoError(t, err)
	persons := make([]omop.PersonID, 4)
	for i := range persons {
		require.NoError(t, persons[i].Scan(int64(i+1)))
	}
	answer, err := query.FrameAnswer(a, method, persons, [][]float64{{10, 56, 57, math.NaN()}, {0, 1, 1, 1}})
	require.NoError(t, err)
	require.Equal(t, []float64{10, 56, 56}, answer.Frame.Values.Values("days")[:3], "the first point that is not before the horizon is 56")
	require.Equal(t, []float64{0, 1, 0, 1}, answer.Frame.Values.Values("ended"))
}

// TestMeansMayAddUp: a question says whether it takes means of a measurement.
func TestMeansMayAddUp(t *testing.T) {
	t.Parallel()
	of := func(concept int64, take string) protocol.Column {
		return protocol.Column{
			Name: fmt.Sprint(take, concept), From: protocol.FromMeasurement, Concepts: []int64{concept}, Unit: "mg/dL", Take: take, High: 500,
		}
	}
	a := protocol.Analysis{
		Kind: protocol.Describe, Columns: []protocol.Column{of(1, protocol.TakeMean), of(1, protocol.TakeLast), of(2, protocol.TakeFirst)},
		Specs: protocol.Specs{Describe: &protocol.DescribeSpec{Values: []string{"mean1", "last1", "first2"}}},
	}
	method, err := analysis.InRounds(a, 11)
	require.NoError(t, err)
	answer, err := query.FrameAnswer(a, method, nil, make([][]float64, len(a.Columns)))
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"concept 1": true, "concept 2": false}, answer.Averaged)
}

// TestChoicesAreComparedWhereTheyCutTheSame: curves and models read times from one kind of
// grid, and borders between clusters follow from the values.
func TestChoicesAreComparedWhereTheyCutTheSame(t *testing.T) {
	t.Parallel()
	window := &protocol.Window{To: 100}
	columns := []protocol.Column{
		{Name: "days", From: protocol.FromFollowUp, Domain: "Death", Window: window},
		{Name: "ended", From: protocol.FromOutcome, Domain: "Death", Window: window},
		{Name: "age", From: protocol.FromAge},
	}
	chosen := func(kind protocol.AnalysisKind, specs protocol.Specs, columns ...protocol.Column) map[string]release.Choice {
		a := protocol.Analysis{Kind: kind, Specs: specs, Columns: columns}
		method, err := analysis.InRounds(a, 11)
		require.NoError(t, err)
		answer, err := query.FrameAnswer(a, method, nil, make([][]float64, len(columns)))
		require.NoError(t, err)
		return answer.Choices
	}
	curve := func(width float64) map[string]release.Choice {
		return chosen(protocol.KaplanMeier, protocol.Specs{KaplanMeier: &protocol.KaplanMeierSpec{
			Formula: "Surv(days, ended) ~ 1", Grid: protocol.Grid{Width: width, Horizon: 100},
		}}, columns[:2]...)
	}
	hazards := func(width float64) map[string]release.Choice {
		return chosen(protocol.Cox, protocol.Specs{Cox: &protocol.CoxSpec{
			Formula: "Surv(days, ended) ~ age", Grid: protocol.Grid{Width: width, Horizon: 100},
		}}, columns...)
	}
	const grid = "grid of times"
	require.Equal(t, curve(7)[grid], hazards(7)[grid])
	require.NotEqual(t, curve(7)[grid], hazards(8)[grid])
	require.Len(t, curve(7), 2, "and its restriction")

	clusters := func(n int) map[string]release.Choice {
		return chosen(protocol.KMeans, protocol.Specs{KMeans: &protocol.KMeansSpec{Values: []string{"age"}, Clusters: n}}, columns[2])
	}
	require.Len(t, clusters(2), 1)
	require.NotEqual(t, clusters(2), clusters(3))
	for _, c := range clusters(2) {
		require.True(t, c.Follows)
	}
	require.Empty(t, chosen(protocol.GLM, protocol.Specs{GLM: &protocol.GLMSpec{Formula: "ended ~ age", Family: protocol.Binomial}}, columns[1:]...))

	const rangeOf = "range of concept 1"
	pressure := func(high float64) protocol.Column {
		return protocol.Column{Name: "pressure", From: protocol.FromMeasurement, Concepts: []int64{1}, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 50, High: high}
	}
	quantiles := func(high float64) map[string]release.Choice {
		return chosen(protocol.Quantiles, protocol.Specs{Quantiles: &protocol.QuantilesSpec{Values: []string{"pressure"}, Probabilities: []float64{0.5}}}, pressure(high))
	}
	described := func(high float64) map[string]release.Choice {
		return chosen(protocol.Describe, protocol.Specs{Describe: &protocol.DescribeSpec{Values: []string{"pressure"}}}, pressure(high))
	}
	regressed := chosen(protocol.GLM, protocol.Specs{GLM: &protocol.GLMSpec{Formula: "ended ~ pressure", Family: protocol.Binomial}}, columns[1], pressure(200))
	require.NotEmpty(t, described(200)[rangeOf].Way)
	require.Equal(t, quantiles(200)[rangeOf], described(200)[rangeOf])
	require.Equal(t, described(200)[rangeOf], regressed[rangeOf])
	require.NotEqual(t, described(200)[rangeOf], described(186.5)[rangeOf])
}

// TestOneRangeOfAColumn in one question as well.
func TestOneRangeOfAColumn(t *testing.T) {
	t.Parallel()
	column := func(name, take string, high float64) protocol.Column {
		return protocol.Column{Name: name, From: protocol.FromMeasurement, Concepts: []int64{1}, Unit: "mm[Hg]", Take: take, Low: 50, High: high}
	}
	for high, want := range map[float64]error{200: nil, 186.5: release.ErrChoice} {
		a := protocol.Analysis{
			Kind: protocol.Describe, Specs: protocol.Specs{Describe: &protocol.DescribeSpec{Values: []string{"first", "last"}}},
			Columns: []protocol.Column{column("first", protocol.TakeFirst, 200), column("last", protocol.TakeLast, high)},
		}
		method, err := analysis.InRounds(a, 11)
		require.NoError(t, err)
		_, err = query.FrameAnswer(a, method, nil, make([][]float64, 2))
		require.ErrorIs(t, err, want)
	}
}
