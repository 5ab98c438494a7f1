package query

// MixedModelSpec asks for a linear model with an intercept of its own, normally distributed,
// for each site.
type MixedModelSpec struct {
	Formula   string    `json:"formula"`             // of the fixed effects, as of a GLMSpec
	Criterion Criterion `json:"criterion,omitempty"` // REML if it is left out
}

func (s *MixedModelSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *MixedModelSpec) answeredBy(o Outcome) bool  { return o.Mixed != nil }
func (s *MixedModelSpec) words() string {
	return "Linear model of " + s.Formula + " with an intercept for each site"
}

// Criterion is what the variances of a mixed model make largest.
type Criterion string

// The criteria, as R names them.
const (
	REML Criterion = "REML" // the restricted likelihood
	ML   Criterion = "ML"
)

// Mixed is a fitted linear mixed model with a random intercept for each site: what R's
// summary(lmer(…)) shows.
type Mixed struct {
	Formula   string    `json:"formula"` // of the fixed effects, with its terms written out
	Criterion Criterion `json:"criterion"`

	// N is the number of rows in the fit, LeftOut of those left out for a missing value.
	N int64 `json:"n"`
	LeftOut
	Sites int64 `json:"sites"` // with rows

	// Coefficients are the fixed effects. They have t for a statistic, and no P.
	Coefficients []Coefficient `json:"coefficients"`

	SiteVariance     float64 `json:"siteVariance"` // between sites, 0 for a singular fit
	ResidualVariance float64 `json:"residualVariance"`

	// LogLikelihood is that of the criterion; models with other fixed effects are not
	// compared by a restricted one.
	LogLikelihood float64 `json:"logLikelihood"`
	AIC           float64 `json:"aic"`

	Iterations int  `json:"iterations"`
	Converged  bool `json:"converged"`

	// Warnings are R's, in its words.
	Warnings []string `json:"warnings,omitempty"`
}
