package query

// GLMSpec asks for a generalized linear model, a row for each person.
type GLMSpec struct {
	// Formula is as in R; see package formula.
	Formula string `json:"formula"`

	Family Family `json:"family"`

	// Link may be left out for the family's usual one.
	Link Link `json:"link,omitempty"`

	// Weights names a column with prior weights.
	Weights string `json:"weights,omitempty"`
}

func (s *GLMSpec) columns() ([]string, error) { return named(s.Formula, s.Weights) }

func (s *GLMSpec) answeredBy(o Outcome) bool {
	return o.Regression != nil && o.Regression.Family == s.Family
}

func (s *GLMSpec) words() string {
	text := "Regression (" + string(s.Family)
	if s.Link != "" {
		text += ", link " + string(s.Link)
	}
	text += ") of " + s.Formula
	if s.Weights != "" {
		text += ", weighted by " + s.Weights
	}
	return text
}

// NegBinSpec asks for a negative binomial regression of a count, its dispersion estimated.
type NegBinSpec struct {
	Formula string `json:"formula"` // as of a GLMSpec
	Link    Link   `json:"link,omitempty"`
	Weights string `json:"weights,omitempty"`
}

func (s *NegBinSpec) columns() ([]string, error) { return named(s.Formula, s.Weights) }
func (s *NegBinSpec) answeredBy(o Outcome) bool  { return o.NegativeBinomial != nil }
func (s *NegBinSpec) words() string              { return "Negative binomial regression of " + s.Formula }

// Family is the distribution of a regression's response.
type Family string

// The families, as R names them.
const (
	Gaussian Family = "gaussian"
	Binomial Family = "binomial"
	Poisson  Family = "poisson"

	// NegBinomial is the family of a [NegativeBinomial] only.
	NegBinomial Family = "negative.binomial"
)

// Link is how a regression's linear predictor gives the mean.
type Link string

// The links, as R names them.
const (
	LinkIdentity Link = "identity"
	LinkLogit    Link = "logit"
	LinkLog      Link = "log"
	LinkSqrt     Link = "sqrt"
)

// Regression is a fitted generalized linear model: what R's summary(glm(…)) shows.
type Regression struct {
	Formula string `json:"formula"` // with its terms written out
	Family  Family `json:"family"`
	Link    Link   `json:"link"`

	// N is the number of persons in the fit, LeftOut of those left out for a missing
	// value. With weights, N counts those whose weight is above zero.
	N int64 `json:"n"`
	LeftOut

	Coefficients []Coefficient `json:"coefficients"`

	// Dispersion is 1 unless the family is gaussian. It and AIC are absent where R has
	// no finite number, as for a fit without residuals.
	Dispersion *float64 `json:"dispersion,omitempty"`
	AIC        *float64 `json:"aic,omitempty"`

	Deviance     float64 `json:"deviance"`
	DF           int64   `json:"df"`
	NullDeviance float64 `json:"nullDeviance"`
	NullDF       int64   `json:"nullDf"`

	// Iterations is the number of weighted fits, R's "Fisher Scoring iterations".
	Iterations int  `json:"iterations"`
	Converged  bool `json:"converged"`

	// Warnings are R's, in its words.
	Warnings []string `json:"warnings,omitempty"`
}

// NegativeBinomial is a fitted regression of counts whose variance at a mean μ is
// μ + μ²/Theta: what R's summary(glm.nb(…)) shows. Deviances are at Theta; the AIC counts
// Theta as a parameter.
type NegativeBinomial struct {
	Regression

	Theta   float64 `json:"theta"`
	ThetaSE float64 `json:"thetaSe"`

	LogLikelihood float64 `json:"logLikelihood"` // half of R's "2 x log-likelihood"
}

// Coefficient is one line of a regression's table. Of a column that the ones before it
// determine, as R's NA, only the name is set.
type Coefficient struct {
	Name     string   `json:"name"`
	Estimate *float64 `json:"estimate,omitempty"`
	SE       *float64 `json:"se,omitempty"`

	// Statistic is Estimate / SE: t for the gaussian family, z for the others.
	Statistic *float64 `json:"statistic,omitempty"`
	P         *float64 `json:"p,omitempty"` // two-sided
}
