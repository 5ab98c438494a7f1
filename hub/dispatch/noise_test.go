package dispatch_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestAnswersWithNoise: under hub's and sites' noise every kind that has a form for it is
// answered, near to what is so and with how near; the same question has the same answer;
// other kinds are refused, and tell whose policy it is and what to do.
func TestAnswersWithNoise(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		policy := disclosure.Default()
		policy.Noise, policy.NoiseScale, policy.TrialEpsilon = disclosure.Gaussian, 2, 1000
		sites := spread(relapses())
		w := newWorldUnder(t, policy, sites...)
		w.run(t)
		ask := func(a query.Analysis) query.Result {
			r := w.trial.CountBySex()
			r.Analysis = a
			return w.result(t, w.put(t, r, time.Minute))
		}
		persons, relapsed, ages := 0.0, 0.0, 0.0
		for _, site := range sites {
			for _, p := range site {
				persons, ages = persons+1, ages+float64(2024-p.Born)
				if p.Relapsed {
					relapsed++
				}
			}
		}
		all := methodsOfRelapses()
		sd := policy.NoiseSD(len(sites))
		near := func(want, got, deviation float64) { require.InDelta(t, want, got, 6*deviation) }

		r := ask(all[query.Prevalence])
		require.Equal(t, query.Complete, r.State, r.Reason)
		require.InDelta(t, sd, r.MaxNoiseSD, 1e-12)
		near(relapsed/persons, *r.Rates.All.Estimate, *r.Rates.All.NoiseSD)
		require.Nil(t, r.Rates.All.Exact)
		require.Less(t, r.Rates.All.Noised.Lower, *r.Rates.All.Estimate)
		again := ask(all[query.Prevalence])
		require.Equal(t, r.Rates, again.Rates)

		r = ask(all[query.Describe])
		require.Equal(t, query.Complete, r.State, r.Reason)
		require.Equal(t, 1, r.Rounds)
		age := r.Description.Columns[0].All
		near(ages/persons, *age.Mean, *age.NoiseSD)
		near(persons, float64(age.N), sd*math.Sqrt2)
		require.Nil(t, age.Skewness.Type1)

		for _, kind := range []query.AnalysisKind{query.CrossTab, query.Characterize, query.Incidence, query.Histogram} {
			r := ask(all[kind])
			require.Equal(t, query.Complete, r.State, "%s: %s %v", kind, r.Reason, r.Refused)
		}
		r = ask(query.Analysis{Kind: query.Moments, Variable: &query.Variable{Concept: peertest.Systolic, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 250}})
		require.Equal(t, query.Complete, r.State, "%s %v", r.Reason, r.Refused)
		require.Positive(t, *r.Total.MeanNoiseSD)

		r = ask(all[query.GLM])
		require.Equal(t, query.Withheld, r.State)
		require.Len(t, r.Refused, len(sites))
		require.Equal(t, "release.noise", r.Refused[0].Problem.Rule)
		require.Contains(t, r.Refused[0].Problem.Detail, "disclosure.noise")
		require.Contains(t, r.Refused[0].Problem.Detail, "of the hub")
	})
}
