package query

import (
	"fmt"
)

// PropensitySpec asks for the effect of a treatment, adjusted by a propensity score.
type PropensitySpec struct {
	// Treatment is the score's formula: a column of two levels, of which the second is the
	// treatment, by covariates.
	Treatment string `json:"treatment"`

	// Outcome is the formula of the outcome's model, which should name the treatment.
	Outcome string `json:"outcome"`
	Family  Family `json:"family"`
	Link    Link   `json:"link,omitempty"`

	Adjustment Adjustment `json:"adjustment"`
	Estimand   Estimand   `json:"estimand"` // matching: ATT

	// Of weighting: weights times the share of the arm, and the quantile, 0.5 to 1, above
	// which weights are cut.
	Stabilized bool    `json:"stabilized,omitempty"`
	Truncate   float64 `json:"truncate,omitempty"`

	Strata int `json:"strata,omitempty"` // of strata, 2 to 20

	// Caliper bounds the distance of a pair, in standard deviations of the linear
	// predictor: of matching.
	Caliper float64 `json:"caliper,omitempty"`
}

func (s *PropensitySpec) columns() ([]string, error) {
	treatment, err := named(s.Treatment)
	if err != nil {
		return nil, err
	}
	return named(s.Outcome, treatment...)
}

func (s *PropensitySpec) answeredBy(o Outcome) bool { return o.Effect != nil }
func (s *PropensitySpec) words() string {
	return fmt.Sprintf("Regression (%s) of %s, adjusted by %s with the propensity score of %s", s.Family, s.Outcome, s.Adjustment, s.Treatment)
}

// Adjustment is how a propensity score makes treated and untreated persons comparable.
type Adjustment string

// The adjustments.
const (
	Weighting  Adjustment = "weighting" // by the inverse probability of the treatment
	Stratified Adjustment = "strata"    // by quantiles of the score
	Matching   Adjustment = "matching"  // in pairs, within each site
)

// Estimand says for whom an effect is estimated.
type Estimand string

// The estimands.
const (
	ATE Estimand = "ATE" // for everybody
	ATT Estimand = "ATT" // for the treated
)

// PropensityEffect is an effect of a treatment, adjusted by a propensity score.
type PropensityEffect struct {
	Adjustment Adjustment `json:"adjustment"`
	Estimand   Estimand   `json:"estimand"`

	N       int64 `json:"n"`
	LeftOut       // left out for a missing value

	// Score is the model of the treatment.
	Score Regression `json:"score"`

	Treated   PropensityArm `json:"treated"`
	Untreated PropensityArm `json:"untreated"`

	// Truncated is the weight that larger ones were set to.
	Truncated *float64 `json:"truncated,omitempty"`

	// Strata are in rising order of the score.
	Strata []PropensityStratum `json:"strata,omitempty"`

	// Caliper is how far a pair's linear predictors may be apart.
	Caliper *float64 `json:"caliper,omitempty"`

	// Balance compares treated with untreated persons in each column of the model of the
	// treatment.
	Balance []Balance `json:"balance"`

	// Outcome is the weighted model of the outcome. Its standard errors, and what follows
	// from them, are robust ones by the normal distribution; it has neither AIC nor
	// dispersion.
	Outcome Regression `json:"outcome"`
}

// PropensityArm is one side of the comparison.
type PropensityArm struct {
	N    int64 `json:"n"`
	Used int64 `json:"used"` // with a weight above 0

	// Effective is the number of persons that would have so much information if their
	// weights were equal: the square of the weights' sum, over the sum of their squares.
	Effective float64 `json:"effective"`
}

// PropensityStratum is a range of the score, 0 to 1, the lower end in it.
type PropensityStratum struct {
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	Treated   int64   `json:"treated"`
	Untreated int64   `json:"untreated"`
}

// Balance is a standardized difference of means before and after the adjustment: over the
// standard deviation of the treated (ATT), or the root of the mean of both variances (ATE),
// before it in both cases. A level's variance is p(1 - p), a number's is divided by N - 1.
type Balance struct {
	Name   string   `json:"name"`
	Before *float64 `json:"before,omitempty"` // absent where nothing varies
	After  *float64 `json:"after,omitempty"`
}
