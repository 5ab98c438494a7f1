package query

import (
	"strings"
)

// PCASpec asks for the principal components of numeric columns.
type PCASpec struct {
	Values []string `json:"values"`
	Scale  bool     `json:"scale,omitempty"` // to a variance of 1 first
}

func (s *PCASpec) columns() ([]string, error) { return s.Values, nil }
func (s *PCASpec) answeredBy(o Outcome) bool  { return o.Components != nil }
func (s *PCASpec) words() string              { return "Principal components of " + strings.Join(s.Values, ", ") }

// PrincipalComponents are those of R's prcomp, without anybody's scores.
type PrincipalComponents struct {
	N       int64 `json:"n"`
	LeftOut       // left out for a missing value

	// Columns are in the order of the question, as are the loadings.
	Columns []ScaledColumn `json:"columns"`

	// Components are in falling order of their variance. There are fewer than columns
	// where the rest does not vary.
	Components []PrincipalComponent `json:"components"`
}

// ScaledColumn says what a column was centred by, and divided by if it was scaled.
type ScaledColumn struct {
	Name   string   `json:"name"`
	Center float64  `json:"center"`
	Scale  *float64 `json:"scale,omitempty"`
}

// PrincipalComponent is a direction in which the columns vary.
type PrincipalComponent struct {
	SD         float64 `json:"sd"`
	Proportion float64 `json:"proportion"` // share of the whole variance
	Cumulative float64 `json:"cumulative"` // with the components before

	// Loadings have length 1. The sign is free: the largest of them in magnitude, the
	// first if several are, is positive.
	Loadings []float64 `json:"loadings"`
}
