package query

import (
	"strings"
)

// CharacterizeSpec asks for a study's first table.
type CharacterizeSpec struct {
	Variables []string `json:"variables"`
	Arm       string   `json:"arm,omitempty"` // the column that makes the arms
}

func (s *CharacterizeSpec) columns() ([]string, error) { return with(s.Variables, s.Arm), nil }
func (s *CharacterizeSpec) answeredBy(o Outcome) bool  { return o.Characterization != nil }
func (s *CharacterizeSpec) words() string {
	return "First table of " + strings.Join(s.Variables, ", ") + by(s.Arm)
}

// Characterization is a study's first table: who the persons are, over all and by arm.
type Characterization struct {
	Arm string `json:"arm,omitempty"` // the column that makes the arms

	N       int64 `json:"n"` // persons
	LeftOut       // left out because their arm is missing

	Arms      []ArmSize `json:"arms,omitempty"`
	Variables []Variate `json:"variables"`

	// Warnings say what noise does to the numbers, where there is some.
	Warnings []string `json:"warnings,omitempty"`
}

// ArmSize is an arm with its persons.
type ArmSize struct {
	Level string `json:"level"`
	N     int64  `json:"n"`
}

// Variate is a row of the table, or a row for each level of a factor.
type Variate struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels,omitempty"` // of a factor

	// Withheld says that a level, a group or what misses in it has fewer persons than may be
	// shown; then nothing else of the variable is.
	Withheld bool `json:"withheld,omitempty"`

	All  *VariateGroup  `json:"all,omitempty"`
	Arms []VariateGroup `json:"arms,omitempty"` // in the order of the table's

	// Difference is the standardized mean difference of the first of two arms from the
	// second: of a factor of two levels that of the second level's share, of more levels
	// Yang and Dalton's, which has no sign.
	Difference *float64 `json:"difference,omitempty"`
}

// VariateGroup is a variable in one group.
type VariateGroup struct {
	N       int64 `json:"n"`       // persons who have a value
	Missing int64 `json:"missing"` // and who have none

	// Of a factor, by level; a share is of N, and absent for nobody.
	Counts []int64    `json:"counts,omitempty"`
	Shares []*float64 `json:"shares,omitempty"`

	// Of a number.
	Mean      *float64   `json:"mean,omitempty"`
	SD        *float64   `json:"sd,omitempty"`
	NoiseSD   *float64   `json:"noiseSd,omitempty"`   // the standard deviation of noise in the mean
	Quartiles []Quantile `json:"quartiles,omitempty"` // 1st, median, 3rd
}
