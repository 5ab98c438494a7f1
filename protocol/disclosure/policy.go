// Package disclosure states the limits below which nothing is released.
//
// A [Policy] is a handful of numbers with an order: [Strictest] of a node's, a
// trial's and the hub's is what applies, so no party can loosen another's. The
// package only compares; node/release enforces.
package disclosure

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Policy is a set of disclosure limits. The zero value asks for nothing and is
// the neutral element of [Strictest].
type Policy struct {
	// MinCell is the smallest number of persons a released cell may describe,
	// before and after rounding.
	MinCell int `json:"minCell"`

	// Rounding is the base to which each site rounds its counts, 0 or 1 for none.
	Rounding int `json:"rounding"`

	// MinSites is the least number of sites a sum may be over.
	MinSites int `json:"minSites"`

	// MaxShare is the largest share, in percent, that one person may have in a
	// released sum of magnitudes; 0 means no limit.
	MaxShare int `json:"maxShare"`

	// MinDifference is the least number of persons by which two released cells
	// must differ, unless they are the same.
	MinDifference int `json:"minDifference"`

	// MaxQuestions is how many different questions of a trial one node decides
	// on its data for a researcher, refusals included; 0 means no limit.
	MaxQuestions int `json:"maxQuestions"`

	// Rates are how many different questions one node decides on its data within 24
	// hours or 7 days: of a researcher in all trials, and of a trial by all its
	// researchers. Refusals count, repeats do not; 0 means no limit.
	ResearcherPerDay  int `json:"researcherPerDay,omitempty"`
	ResearcherPerWeek int `json:"researcherPerWeek,omitempty"`
	TrialPerDay       int `json:"trialPerDay,omitempty"`
	TrialPerWeek      int `json:"trialPerWeek,omitempty"`

	// Noise is what counts and sums are made differentially private with, none if empty. A
	// question that no noise is defined for is then refused.
	Noise Noise `json:"noise,omitempty"`

	// NoiseScale is the scale of the noise in the sum over sites, in persons: a
	// Gaussian's standard deviation, or Laplace's b. Of a sum of values a person is half the
	// width of their declared range. There is one exactly if there is noise.
	NoiseScale int `json:"noiseScale,omitempty"`

	// ResearcherEpsilon and TrialEpsilon bound the (ε, δ) that the answers with noise of
	// one node give of a person: to a researcher in all trials, and in a trial to
	// all its researchers. 0 means no limit, and noise needs one of them: without, it is
	// averaged away by many questions that mean almost the same. Delta is [DefaultDelta]
	// if 0.
	ResearcherEpsilon float64 `json:"researcherEpsilon,omitempty"`
	TrialEpsilon      float64 `json:"trialEpsilon,omitempty"`
	Delta             float64 `json:"delta,omitempty"`
}

// Noise is a distribution of whole numbers.
type Noise string

// The kinds of noise, from the laxest promise to the strictest: (ε, δ) for the
// Gaussian, ε alone for Laplace.
const (
	Gaussian Noise = "gaussian"
	Laplace  Noise = "laplace"
)

// noises are the kinds of noise from the laxest.
var noises = []Noise{"", Gaussian, Laplace}

// DefaultDelta is the chance with which ε may not hold where a policy says nothing.
// It should lie well below one in as many persons as there are at a site.
const DefaultDelta = 1e-6

// Default is what applies where nobody asked for more.
//
// Source: cell size 11 of CMS; rounding to 5 of OpenSAFELY; three sites so
// that no site can subtract itself and see another's number.
func Default() Policy {
	return Policy{MinCell: 11, Rounding: 5, MinSites: 3, MaxShare: 90, MinDifference: 11, MaxQuestions: 100}
}

// WithRates returns a site's policy with default rates where it has none: of a researcher, a day's
// is that of one study with as many questions as there may be, of a trial that of two; a
// week's are three times as much. A script that looks for what many questions together give
// away asks thousands. Rates are a site's to choose, so [Default] has none.
func (p Policy) WithRates() Policy {
	for _, rate := range []struct {
		of      *int
		without int
	}{{&p.ResearcherPerDay, 100}, {&p.ResearcherPerWeek, 300}, {&p.TrialPerDay, 200}, {&p.TrialPerWeek, 600}} {
		if *rate.of == 0 {
			*rate.of = rate.without
		}
	}
	return p
}

// Strictest returns the strictest of every limit.
func Strictest(policies ...Policy) Policy {
	var p Policy
	for _, q := range policies {
		p.MinCell = max(p.MinCell, q.MinCell)
		p.Rounding = max(p.Rounding, q.Rounding)
		p.MinSites = max(p.MinSites, q.MinSites)
		p.MaxShare = least(p.MaxShare, q.MaxShare)
		p.MinDifference = max(p.MinDifference, q.MinDifference)
		p.MaxQuestions = least(p.MaxQuestions, q.MaxQuestions)
		p.ResearcherPerDay = least(p.ResearcherPerDay, q.ResearcherPerDay)
		p.ResearcherPerWeek = least(p.ResearcherPerWeek, q.ResearcherPerWeek)
		p.TrialPerDay = least(p.TrialPerDay, q.TrialPerDay)
		p.TrialPerWeek = least(p.TrialPerWeek, q.TrialPerWeek)
		p.Noise = noises[max(slices.Index(noises, p.Noise), slices.Index(noises, q.Noise))]
		p.NoiseScale = max(p.NoiseScale, q.NoiseScale)
		p.ResearcherEpsilon = least(p.ResearcherEpsilon, q.ResearcherEpsilon)
		p.TrialEpsilon = least(p.TrialEpsilon, q.TrialEpsilon)
		p.Delta = least(p.Delta, q.Delta)
	}
	return p
}

// least returns the smaller limit, where 0 or less is none.
func least[N int | float64](a, b N) N {
	if a <= 0 || b <= 0 {
		return max(a, b, 0)
	}
	return min(a, b)
}

// Validate refuses numbers that can only be mistakes.
func (p Policy) Validate() error {
	for _, limit := range []struct {
		name  string
		value int
		max   int
	}{
		{"minCell", p.MinCell, 1000},
		{"rounding", p.Rounding, 1000},
		{"minSites", p.MinSites, 1000},
		{"maxShare", p.MaxShare, 100},
		{"minDifference", p.MinDifference, 1000},
		{"maxQuestions", p.MaxQuestions, 1_000_000},
		{"researcherPerDay", p.ResearcherPerDay, 1_000_000},
		{"researcherPerWeek", p.ResearcherPerWeek, 1_000_000},
		{"trialPerDay", p.TrialPerDay, 1_000_000},
		{"trialPerWeek", p.TrialPerWeek, 1_000_000},
		{"noiseScale", p.NoiseScale, 1000},
	} {
		if limit.value < 0 || limit.value > limit.max {
			return problem.New(problem.Invalid, fmt.Sprintf("disclosure.%s: 0 to %d", limit.name, limit.max))
		}
	}
	switch {
	case !slices.Contains(noises, p.Noise):
		return problem.New(problem.Invalid, "disclosure.noise: gaussian, laplace or nothing")
	case (p.Noise == "") != (p.NoiseScale == 0):
		return problem.New(problem.Invalid, "disclosure.noiseScale: stands with noise, and noise needs it")
	case !between(p.ResearcherEpsilon, 1000), !between(p.TrialEpsilon, 1000):
		return problem.New(problem.Invalid, "disclosure.researcherEpsilon, trialEpsilon: 0 to 1000")
	case p.Noise != "" && p.ResearcherEpsilon == 0 && p.TrialEpsilon == 0:
		return problem.New(problem.Invalid, "disclosure.researcherEpsilon, trialEpsilon: noise needs one of them; without a budget it is averaged away")
	case !between(p.Delta, 0.1):
		return problem.New(problem.Invalid, "disclosure.delta: 0 to 0.1")
	}
	return nil
}

// between reports whether 0 <= v <= most, which NaN is not.
func between(v, most float64) bool { return 0 <= v && v <= most }

// NoiseSD bounds the standard deviation of the noise in a sum over sites: it is
// greatest if every site adds all of it by itself. Shares of a Gaussian are at
// least 2 wide.
func (p Policy) NoiseSD(sites int) float64 {
	scale := float64(p.NoiseScale)
	switch p.Noise {
	case Gaussian:
		return max(scale, 2) * math.Sqrt(float64(sites))
	case Laplace:
		return scale * math.Sqrt(2*float64(sites))
	}
	return 0
}

// RoundingError is how far a sum over sites, each rounded, may be from the
// exact one.
func (p Policy) RoundingError(sites int) float64 {
	if p.Rounding <= 1 {
		return 0
	}
	return float64(p.Rounding) / 2 * float64(sites)
}
