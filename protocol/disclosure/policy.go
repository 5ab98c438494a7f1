// Package disclosure states the limits below which nothing is released.
//
// A [Policy] is a handful of numbers with an order: [Strictest] of a node's, a
// trial's and the hub's is what applies, so no party can loosen another's. The
// package only compares; node/release enforces.
package disclosure

import (
	"fmt"

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
}

// Default is what applies where nobody asked for more.
//
// Source: cell size 11 of CMS; rounding to 5 of OpenSAFELY; three sites so
// that no site can subtract itself and see another's number.
func Default() Policy {
	return Policy{MinCell: 11, Rounding: 5, MinSites: 3, MaxShare: 90, MinDifference: 11, MaxQuestions: 100}
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
	}
	return p
}

// least returns the smaller limit, where 0 or less is none.
func least(a, b int) int {
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
	} {
		if limit.value < 0 || limit.value > limit.max {
			return problem.New(problem.Invalid, fmt.Sprintf("disclosure.%s: 0 to %d", limit.name, limit.max))
		}
	}
	return nil
}

// RoundingError is how far a sum over sites, each rounded, may be from the
// exact one.
func (p Policy) RoundingError(sites int) float64 {
	if p.Rounding <= 1 {
		return 0
	}
	return float64(p.Rounding) / 2 * float64(sites)
}
