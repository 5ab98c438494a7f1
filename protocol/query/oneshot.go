package query

import "fmt"

// ODALSpec asks for a logistic regression in four rounds, whatever the model: by surrogates of
// the likelihood of all rows, of which each site maximizes its own.
type ODALSpec struct {
	Formula string `json:"formula"` // as of a GLMSpec of the binomial family
}

func (s *ODALSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *ODALSpec) answeredBy(o Outcome) bool  { return o.OneShot != nil }
func (s *ODALSpec) words() string {
	return "Logistic regression by one exchange of derivatives (ODAL) of " + s.Formula
}

// ODACSpec asks for a proportional hazards model in four rounds, or a few more if there are many
// event times: by surrogates as an [ODALSpec].
type ODACSpec struct {
	Formula string `json:"formula"`        // as of a CoxSpec
	Ties    Ties   `json:"ties,omitempty"` // Efron's if it is left out
	Grid    Grid   `json:"grid"`

	// BySite gives each site a baseline hazard of its own (ODACH), as strata() of sites do. Then
	// no times are pooled.
	BySite bool `json:"bySite,omitempty"`
}

func (s *ODACSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *ODACSpec) answeredBy(o Outcome) bool  { return o.OneShotHazards != nil }
func (s *ODACSpec) words() string {
	name, within := "ODAC", ""
	if s.BySite {
		name, within = "ODACH", " within sites"
	}
	return fmt.Sprintf("Proportional hazards model%s by one exchange of derivatives (%s) of %s%s", within, name, s.Formula, s.Ties.words())
}

// OneShot is a logistic regression by surrogate likelihoods around sites' own: nearly what a
// fit to all rows gives where sites' rows are alike. Where they are not, it may be far from it.
type OneShot struct {
	Formula string `json:"formula"` // with its terms written out

	N       int64 `json:"n"`
	LeftOut       // left out for a missing value

	// Sites is the number of sites with an estimate of their own.
	Sites int64 `json:"sites"`

	// Initial is the mean of these estimates, each coefficient weighted by the inverse of
	// its variances.
	Initial []Coefficient `json:"initial"`

	// Heterogeneity is how far each of these coefficients differs between sites, by Cochran's
	// Q, with no variance between sites in it.
	Heterogeneity []Heterogeneity `json:"heterogeneity"`

	// Coefficients are those at the surrogates' maxima, weighted by the sites' rows, with
	// errors by the mean of their information.
	Coefficients []Coefficient `json:"coefficients"`
}

// OneShotHazards is a proportional hazards model by surrogate likelihoods, otherwise as a [OneShot].
type OneShotHazards struct {
	OneShot
	Ties   Ties  `json:"ties"`
	BySite bool  `json:"bySite,omitempty"` // each site has a baseline hazard of its own
	Events int64 `json:"events"`

	// Times is the number of event times that were told apart, in all strata; 0 with BySite.
	Times int `json:"times"`
}
