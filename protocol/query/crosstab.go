package query

import (
	"strings"
)

// CrossTabSpec asks for a table of counts with its tests.
type CrossTabSpec struct {
	// Factors are two or three columns with levels: the first two are tested for
	// independence, within the levels of the third.
	Factors []string `json:"factors"`
}

func (s *CrossTabSpec) columns() ([]string, error) { return s.Factors, nil }
func (s *CrossTabSpec) answeredBy(o Outcome) bool  { return o.CrossTab != nil }
func (s *CrossTabSpec) words() string {
	return "Table of " + strings.Join(s.Factors, " by ") + " with tests of independence"
}

// ContingencyTable is a table of counts with its tests: what R's table, chisq.test, fisher.test
// and mantelhaen.test give. Levels that nobody has stand in the table and are left out
// of the tests, as R's factor leaves them out.
type ContingencyTable struct {
	Factors []TableFactor `json:"factors"`

	// N is the number of persons in the table, LeftOut of those left out for a missing
	// value.
	N int64 `json:"n"`
	LeftOut

	// Counts are in the order of the factors, the last one fastest.
	Counts []int64 `json:"counts"`

	// Of two factors. Yates and the odds ratio are there for two by two levels only.
	ChiSquared *Significance `json:"chiSquared,omitempty"`
	Yates      *Significance `json:"yates,omitempty"` // with continuity correction
	Fisher     *Significance `json:"fisher,omitempty"`
	OddsRatio  *OddsRatio    `json:"oddsRatio,omitempty"` // conditional, of Fisher's test

	// Of three factors: the first two within the levels of the third, of which those with
	// fewer than two persons are left out. The corrected test and the common odds ratio are
	// there for two by two levels only.
	CMH          *Significance `json:"cmh,omitempty"`
	CMHCorrected *Significance `json:"cmhCorrected,omitempty"`
	CommonRatio  *OddsRatio    `json:"commonOddsRatio,omitempty"` // Mantel and Haenszel's

	// Warnings say which test is missing and why.
	Warnings []string `json:"warnings,omitempty"`
}

// TableFactor is one dimension of a table.
type TableFactor struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
}

// Significance is a test's outcome.
type Significance struct {
	// Statistic is absent for Fisher's test.
	Statistic *float64 `json:"statistic,omitempty"`

	// DF are degrees of freedom; Welch's are not whole.
	DF *float64 `json:"df,omitempty"`

	P float64 `json:"p"` // two-sided
}

// OddsRatio is an odds ratio with its 95 % limits. What is infinite, or no number, is
// absent.
type OddsRatio struct {
	Estimate *float64 `json:"estimate,omitempty"`
	Lower    *float64 `json:"lower,omitempty"`
	Upper    *float64 `json:"upper,omitempty"`
}
