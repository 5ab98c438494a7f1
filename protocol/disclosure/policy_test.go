package disclosure_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/study"
)

func policy(t *rapid.T, label string) disclosure.Policy {
	n := func(top int) int { return rapid.IntRange(0, top).Draw(t, label) }
	p := disclosure.Policy{
		MinCell: n(30), Rounding: n(20), MinSites: n(6), MaxShare: n(100), MinDifference: n(30), MaxQuestions: n(5),
		ResearcherPerDay: n(5), ResearcherPerWeek: n(5), TrialPerDay: n(5), TrialPerWeek: n(5),
		ResearcherEpsilon: rapid.SampledFrom([]float64{0, 0.5, 8}).Draw(t, label), TrialEpsilon: rapid.SampledFrom([]float64{0, 1, 2}).Draw(t, label),
		Delta: rapid.SampledFrom([]float64{0, 1e-9, 0.1}).Draw(t, label),
	}
	p.Noise = rapid.SampledFrom([]disclosure.Noise{"", disclosure.Gaussian, disclosure.Laplace}).Draw(t, label)
	if p.Noise != "" {
		p.NoiseScale = 1 + n(9)
		if p.ResearcherEpsilon == 0 && p.TrialEpsilon == 0 {
			p.TrialEpsilon = 4
		}
	}
	return p
}

// TestStrictestIsAMeet: the order and number of policies does not matter, none
// loosens another, and asking for nothing changes nothing.
func TestStrictestIsAMeet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := policy(t, "a"), policy(t, "b"), policy(t, "c")
		s := disclosure.Strictest
		require.Equal(t, s(a, b), s(b, a))
		require.Equal(t, s(a, s(b, c)), s(s(a, b), c))
		require.Equal(t, s(a, b, c), s(s(a, b), c))
		require.Equal(t, a, s(a, a))
		require.Equal(t, a, s(a))
		require.Equal(t, a, s(a, disclosure.Policy{}))
		require.Equal(t, s(a, b), s(s(a, b), a), "the result is as strict as each")
		both := s(a, b)
		require.GreaterOrEqual(t, both.MinCell, a.MinCell)
		require.GreaterOrEqual(t, both.Rounding, a.Rounding)
		require.GreaterOrEqual(t, both.MinSites, a.MinSites)
		require.GreaterOrEqual(t, both.MinDifference, a.MinDifference)
		for _, least := range [][2]int{
			{a.MaxShare, both.MaxShare},
			{a.MaxQuestions, both.MaxQuestions},
			{a.ResearcherPerDay, both.ResearcherPerDay},
			{a.ResearcherPerWeek, both.ResearcherPerWeek},
			{a.TrialPerDay, both.TrialPerDay},
			{a.TrialPerWeek, both.TrialPerWeek},
		} {
			require.True(t, least[0] == 0 || least[1] > 0 && least[1] <= least[0])
		}
		require.GreaterOrEqual(t, both.NoiseScale, a.NoiseScale)
		require.GreaterOrEqual(t, both.NoiseSD(3), 0.0)
		require.True(t, a.Noise == "" || both.Noise == a.Noise || both.Noise == disclosure.Laplace)
		for _, least := range [][2]float64{{a.ResearcherEpsilon, both.ResearcherEpsilon}, {a.TrialEpsilon, both.TrialEpsilon}, {a.Delta, both.Delta}} {
			require.True(t, least[0] == 0 || least[1] > 0 && least[1] <= least[0])
		}
		require.NoError(t, both.Validate())
	})
}

func TestNegativeLimitsLoosenNothing(t *testing.T) {
	t.Parallel()
	bad := disclosure.Policy{MinCell: -1, Rounding: -1, MinSites: -1, MaxShare: -1, MinDifference: -1, MaxQuestions: -1, TrialPerDay: -1, Noise: "uniform", NoiseScale: -1, TrialEpsilon: -1, Delta: -1}
	require.Equal(t, disclosure.Default(), disclosure.Strictest(disclosure.Default(), bad))
	require.Error(t, bad.Validate())
	require.NoError(t, disclosure.Default().Validate())
	require.ErrorContains(t, disclosure.Policy{MaxShare: 101}.Validate(), "maxShare")
	require.ErrorContains(t, disclosure.Policy{Rounding: 1001}.Validate(), "rounding")
}

func TestNoiseIsOneOfTheKnown(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]disclosure.Policy{
		"disclosure.noise:":            {Noise: "uniform", NoiseScale: 3},
		"disclosure.noiseScale: 0":     {Noise: disclosure.Laplace, NoiseScale: 1001},
		"disclosure.noiseScale: sta":   {NoiseScale: 3},
		"disclosure.noiseScale: stand": {Noise: disclosure.Gaussian},
		"trialEpsilon: 0":              {TrialEpsilon: math.NaN()},
		"trialEpsilon: noise needs":    {Noise: disclosure.Gaussian, NoiseScale: 3, Delta: 1e-6},
		"disclosure.delta":             {Delta: 0.2},
	} {
		require.ErrorContains(t, p.Validate(), name)
	}
	require.NoError(t, disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 3, ResearcherEpsilon: 1}.Validate())
	require.NoError(t, disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 3, TrialEpsilon: 1}.Validate())
	require.InDelta(t, 20, disclosure.Policy{Noise: disclosure.Gaussian, NoiseScale: 10}.NoiseSD(4), 0)
	require.InDelta(t, 4, disclosure.Policy{Noise: disclosure.Laplace, NoiseScale: 1}.NoiseSD(8), 0)
}

// TestWithRates keeps those that a site has, and lets any study pass in a day.
func TestWithRates(t *testing.T) {
	t.Parallel()
	own := disclosure.Policy{MinCell: 12, ResearcherPerDay: 5, TrialPerWeek: 5000}
	got := own.WithRates()
	require.Equal(t, disclosure.Policy{MinCell: 12, ResearcherPerDay: 5, ResearcherPerWeek: 300, TrialPerDay: 200, TrialPerWeek: 5000}, got)
	require.NoError(t, got.Validate())
	require.GreaterOrEqual(t, disclosure.Policy{}.WithRates().ResearcherPerDay, study.MaxQuestions)
}

func TestRoundingError(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 7.5, disclosure.Policy{Rounding: 5}.RoundingError(3), 0)
	require.Zero(t, disclosure.Policy{Rounding: 1}.RoundingError(3))
	require.Zero(t, disclosure.Policy{}.RoundingError(3))
}
