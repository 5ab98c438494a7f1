package analysis_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type metaCase struct {
	Name    string                        `json:"name"`
	Trials  []analysis.Trial              `json:"trials"`
	Effects []analysis.Effect             `json:"effects"`
	Answers map[string]query.MetaAnalysis `json:"answers"`
}

func TestMetaAnalysisIsTheOneOfMetafor(t *testing.T) {
	t.Parallel()
	for _, c := range known[metaCase](t, "meta.json") {
		random := func(between analysis.Between, adjust bool) func() (query.MetaAnalysis, error) {
			return func() (query.MetaAnalysis, error) { return analysis.RandomEffects(c.Effects, between, adjust) }
		}
		methods := map[string]func() (query.MetaAnalysis, error){
			"fixed": func() (query.MetaAnalysis, error) { return analysis.FixedEffect(c.Effects) },
			"DL":    random(analysis.DerSimonianLaird, false), "DL adjusted": random(analysis.DerSimonianLaird, true),
			"REML": random(analysis.REML, false), "REML adjusted": random(analysis.REML, true),
			"PM":       random(analysis.PauleMandel, false),
			"MH ratio": func() (query.MetaAnalysis, error) { return analysis.MantelHaenszelRatio(c.Trials) },
			"MH odds":  func() (query.MetaAnalysis, error) { return analysis.MantelHaenszelOdds(c.Trials) },
			"Peto":     func() (query.MetaAnalysis, error) { return analysis.Peto(c.Trials) },
		}
		require.Len(t, c.Answers, len(methods))
		for name, method := range methods {
			want := c.Answers[name]
			got, err := method()
			require.NoError(t, err)
			name = c.Name + ", " + name
			require.Equal(t, want.Sites, got.Sites, name)
			near(t, &want.Estimate, &got.Estimate, 0, name+": estimate")
			near(t, &want.SE, &got.SE, 0, name+": se")
			near(t, &want.Lower, &got.Lower, 1e-3, name+": lower limit")
			near(t, &want.Upper, &got.Upper, 1e-3, name+": upper limit")
			near(t, &want.Statistic, &got.Statistic, 0, name+": statistic")
			near(t, &want.P, &got.P, 0, name+": p")
			if want.Heterogeneity == nil {
				require.Nil(t, got.Heterogeneity)
				continue
			}
			near(t, &want.Heterogeneity.Tau2, &got.Heterogeneity.Tau2, 1e-3, name+": τ²")
			near(t, &want.Heterogeneity.I2, &got.Heterogeneity.I2, 1e-1, name+": I²")
			near(t, &want.Heterogeneity.Q, &got.Heterogeneity.Q, 0, name+": Q")
			near(t, &want.Heterogeneity.P, &got.Heterogeneity.P, 0, name+": p of Q")
		}
	}
}

// TestMetaAnalysisKnown: BCG against tuberculosis, with metafor as it comes.
func TestMetaAnalysisKnown(t *testing.T) {
	t.Parallel()
	bcg := known[metaCase](t, "meta.json")[0]
	r, err := analysis.RandomEffects(bcg.Effects, analysis.REML, false)
	require.NoError(t, err)
	require.InEpsilon(t, -0.7145323484, r.Estimate, 1e-9)
	require.InEpsilon(t, 0.1797815318, r.SE, 1e-9)
	require.InEpsilon(t, 0.313243326, r.Heterogeneity.Tau2, 1e-9)
	require.InEpsilon(t, 92.22138607, r.Heterogeneity.I2, 1e-9)
	r, err = analysis.RandomEffects(bcg.Effects, analysis.REML, true)
	require.NoError(t, err)
	require.InEpsilon(t, 0.1807917455, r.SE, 1e-9)
	r, err = analysis.MantelHaenszelRatio(bcg.Trials)
	require.NoError(t, err)
	require.InEpsilon(t, -0.4537096047, r.Estimate, 1e-9)
	r, err = analysis.Peto(bcg.Trials)
	require.NoError(t, err)
	require.InEpsilon(t, -0.4744463109, r.Estimate, 1e-9)
}

// TestRandomEffectsOfEqualSites: without differences every estimator gives the fixed
// effect.
func TestRandomEffectsOfEqualSites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		effect := analysis.Effect{Estimate: rapid.Float64Range(-5, 5).Draw(t, "estimate"), SE: rapid.Float64Range(0.01, 5).Draw(t, "se")}
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		var effects []analysis.Effect
		for range sites {
			effects = append(effects, effect)
		}
		for _, between := range []analysis.Between{analysis.DerSimonianLaird, analysis.REML, analysis.PauleMandel} {
			r, err := analysis.RandomEffects(effects, between, false)
			require.NoError(t, err)
			require.Zero(t, r.Heterogeneity.Tau2)
			require.InDelta(t, effect.Estimate, r.Estimate, 1e-12)
			require.InEpsilon(t, effect.SE/math.Sqrt(float64(sites)), r.SE, 1e-12)
		}
	})
}

func TestMetaAnalysisRefuses(t *testing.T) {
	t.Parallel()
	good := analysis.Effect{Estimate: 1, SE: 1}
	for _, bad := range []analysis.Effect{{1, 0}, {1, -1}, {math.NaN(), 1}, {math.Inf(1), 1}, {1, math.NaN()}, {1, 1e-200}} {
		_, err := analysis.FixedEffect([]analysis.Effect{good, bad})
		require.ErrorContains(t, err, "site 1")
	}
	_, err := analysis.FixedEffect(nil)
	require.ErrorContains(t, err, "no site")
	_, err = analysis.RandomEffects([]analysis.Effect{good}, analysis.REML, false)
	require.ErrorContains(t, err, "two sites")
	_, err = analysis.RandomEffects([]analysis.Effect{good, good}, "EB", false)
	require.ErrorContains(t, err, "DL, REML or PM")
	_, err = analysis.Peto([]analysis.Trial{{Events: 3, Persons: 2, ControlPersons: 1}})
	require.ErrorContains(t, err, "site 0")
	_, err = analysis.Peto([]analysis.Trial{{Events: 1, Persons: 2}})
	require.ErrorContains(t, err, "both sides")
	var no analysis.NoResult
	_, err = analysis.MantelHaenszelRatio([]analysis.Trial{{Events: 1, Persons: 2, ControlPersons: 2}})
	require.ErrorAs(t, err, &no)
}
