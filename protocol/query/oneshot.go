package query

// OneShot is a logistic regression by a surrogate likelihood around one site's: nearly what a
// fit to all rows gives.
type OneShot struct {
	Formula string `json:"formula"` // with its terms written out

	N       int64 `json:"n"`
	Omitted int64 `json:"omitted"` // left out for a missing value

	// Sites is the number of sites with an estimate of their own.
	Sites int64 `json:"sites"`

	// Initial is the mean of these estimates, each coefficient weighted by the inverse of
	// its variances.
	Initial []Coefficient `json:"initial"`

	// Coefficients are those at the surrogate's maximum, with errors by its information.
	Coefficients []Coefficient `json:"coefficients"`
}
