package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func model() query.Request {
	r := request()
	r.Analysis = query.Analysis{
		Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "relapse ~ age + pressure", Family: query.Binomial}},
		Columns: []query.Column{
			{Name: "relapse", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{2, 1}, Window: &query.Window{From: 1, To: 365}},
			{Name: "age", From: query.FromAge},
			{Name: "pressure", From: query.FromMeasurement, Concepts: []int64{3004249}, Unit: "mm[Hg]", Take: query.TakeMean, Low: 50, High: 250},
		},
	}
	return r
}

func TestModelScopes(t *testing.T) {
	t.Parallel()
	require.NoError(t, model().Validate())
	scopes, err := model().Scopes()
	require.NoError(t, err)
	require.Equal(t, consent.MaskOf(consent.Conditions, consent.Statistics, consent.Demographics, consent.Measurements, consent.Medications), scopes)
}

func TestModelRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(a *query.Analysis){
		"formula, byte 11":              func(a *query.Analysis) { a.GLM.Formula = "relapse ~ +" },
		`there is no "weight"`:          func(a *query.Analysis) { a.GLM.Weights = "weight" },
		"analysis.glm does not name it": func(a *query.Analysis) { a.GLM.Formula = "relapse ~ age" },
		"columns[1].name: stands twice": func(a *query.Analysis) { a.Columns[1].Name = "relapse" },
		"columns[1].name: letters":      func(a *query.Analysis) { a.Columns[1].Name = "a b" },
		"columns: 1 to 20":              func(a *query.Analysis) { a.Columns = nil },
		"columns[1].from: unknown":      func(a *query.Analysis) { a.Columns[1].From = "vector" },
		"nothing else to set":           func(a *query.Analysis) { a.Columns[1].Low = 1 },
		"columns[0].domain":             func(a *query.Analysis) { a.Columns[0].Domain = "Death" },
		"columns[0].concepts":           func(a *query.Analysis) { a.Columns[0].Concepts = nil },
		"columns[0].from: an event":     func(a *query.Analysis) { a.Columns[0].Take = query.TakeLast },
		"columns[0].window":             func(a *query.Analysis) { a.Columns[0].Window.From = 366 },
		"columns[2].concepts":           func(a *query.Analysis) { a.Columns[2].Concepts = []int64{1, 2} },
		"columns[2].unit":               func(a *query.Analysis) { a.Columns[2].Unit = "" },
		"columns[2].take":               func(a *query.Analysis) { a.Columns[2].Take = "any" },
		"columns[2].low":                func(a *query.Analysis) { a.Columns[2].Low = 300 },
		"columns[2].domain":             func(a *query.Analysis) { a.Columns[2].Domain = "Measurement" },
	} {
		r := model()
		change(&r.Analysis)
		require.ErrorContains(t, r.Validate(), want)
	}
	r := model()
	r.Analysis.Kind = query.Count
	require.ErrorContains(t, r.Validate(), "what belongs to another method than count stands there")
	r = model()
	r.Analysis.By = []query.Stratifier{query.BySex}
	require.ErrorContains(t, r.Validate(), "neither variable nor by")
	r.Analysis = query.Analysis{Kind: query.GLM}
	require.ErrorContains(t, r.Validate(), "analysis.glm: is missing")
}

// TestOneModelIsOneQuestion: in whatever order its concepts and with whatever spaces.
func TestOneModelIsOneQuestion(t *testing.T) {
	t.Parallel()
	first, err := model().Question()
	require.NoError(t, err)
	other := model()
	other.Analysis.GLM.Formula = "relapse~age+pressure + age"
	other.Analysis.Columns[0].Concepts = []int64{1, 2}
	second, err := other.Question()
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, []int64{2, 1}, model().Analysis.Columns[0].Concepts)
	other.Analysis.Columns[0].Window.To = 364
	third, err := other.Question()
	require.NoError(t, err)
	require.NotEqual(t, first, third)
}

func TestStepsOfRounds(t *testing.T) {
	t.Parallel()
	require.Equal(t, query.StepMask, query.StepMask.In(1))
	require.Equal(t, query.Step("mask/12"), query.StepMask.In(12))
	for step, want := range map[query.Step]struct {
		plain query.Step
		round int
	}{
		"mask": {"mask", 1}, "mask/12": {"mask", 12}, "mask/1": {"mask/1", 1}, "mask/02": {"mask/02", 1}, "mask/-3": {"mask/-3", 1}, "mask/": {"mask/", 1},
	} {
		plain, round := step.Split()
		require.Equal(t, want.plain, plain, step)
		require.Equal(t, want.round, round, step)
	}
}
