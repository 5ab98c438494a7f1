package analysis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestFollows(t *testing.T) {
	t.Parallel()
	const computed = `{"fits":3,"coefficients":[1.5,-2e-9,4000000],"aliased":[false],"final":{"converged":true}}`
	for came, want := range map[string]bool{
		computed: true,
		`{"coefficients":[1.5000000000001,0,4000000.001],"aliased":[false],"final":{"converged":true},"fits":3}`: true,
		`{"fits":4,"coefficients":[1.5,-2e-9,4000000],"aliased":[false],"final":{"converged":true}}`:             false,
		`{"fits":3,"coefficients":[1.50001,-2e-9,4000000],"aliased":[false],"final":{"converged":true}}`:         false,
		`{"fits":3,"coefficients":[1.5,-2e-9],"aliased":[false],"final":{"converged":true}}`:                     false,
		`{"fits":3,"coefficients":[1.5,-2e-9,4000000],"aliased":[true],"final":{"converged":true}}`:              false,
		`{"fits":3,"coefficients":[1.5,-2e-9,4000000],"aliased":[false],"final":null}`:                           false,
		`{"fits":3,"coefficients":[1.5,-2e-9,4000000],"aliased":[false],"other":{"converged":true}}`:             false,
		`{"fits":3,`: false,
		`3`:          false,
	} {
		require.Equal(t, want, analysis.Follows(analysis.State(came), analysis.State(computed)), came)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	ask := func(formula string, family query.Family, link query.Link) query.Analysis {
		return query.Analysis{
			Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: formula, Family: family, Link: link}},
			Columns: []query.Column{{Name: "age", From: query.FromAge}, {Name: "sex", From: query.FromSex}},
		}
	}
	require.NoError(t, analysis.Check(query.Analysis{Kind: query.Count}))
	require.NoError(t, analysis.Check(ask("sex ~ age", query.Binomial, "")))
	require.NoError(t, analysis.Check(ask("age ~ sex - 1", query.Poisson, query.LinkLog)))
	for want, a := range map[string]query.Analysis{
		`family "gamma" with link ""`:                   ask("age ~ sex", "gamma", ""),
		`family "poisson" with link "logit"`:            ask("age ~ sex", query.Poisson, query.LinkLogit),
		"the response of family gaussian":               ask("sex ~ age", query.Gaussian, ""),
		"must be logical, a factor, or a number from 0": ask("age ~ sex", query.Binomial, ""),
		"the formula needs a column":                    ask("~ age + sex", query.Gaussian, ""),
		"has no strata":                                 ask("age ~ 1 + strata(sex)", query.Gaussian, ""),
		"log(age) is not finite":                        ask("sex ~ log(age)", query.Binomial, ""),
		"offset(sex): the column is not numeric":        ask("age ~ offset(sex)", query.Gaussian, ""),
	} {
		require.ErrorContains(t, analysis.Check(a), want)
	}
	empty := ask("age ~ 0", query.Gaussian, "")
	empty.Columns = empty.Columns[:1]
	require.ErrorContains(t, analysis.Check(empty), "neither terms nor an intercept")
	weighted := ask("age ~ 1", query.Gaussian, "")
	weighted.GLM.Weights = "sex"
	require.ErrorContains(t, analysis.Check(weighted), "weights: the column sex must be numeric")
	_, err := analysis.InRounds(query.Analysis{Kind: query.Count}, 0)
	require.Error(t, err)
	_, err = analysis.For(query.Request{Analysis: ask("sex ~ age", query.Binomial, "")})
	require.Error(t, err)
}
