package query

import "fmt"

// ComparisonSpec asks which of two treatments leads to an outcome sooner, adjusted by a
// propensity score: a new-user cohort comparison.
type ComparisonSpec struct {
	// Treatment is the score's formula: a column of two levels, of which the second is the
	// treatment, by covariates.
	Treatment string `json:"treatment"`

	// Outcome is Surv(time, event) ~ treatment.
	Outcome string `json:"outcome"`

	// Ties are Efron's if it is left out.
	Ties Ties `json:"ties,omitempty"`

	Grid Grid `json:"grid"`

	Adjustment Adjustment `json:"adjustment"`
	Estimand   Estimand   `json:"estimand"` // matching: ATT

	// Of weighting: weights times the share of the arm, and the quantile, 0.5 to 1, above
	// which weights are cut.
	Stabilized bool    `json:"stabilized,omitempty"`
	Truncate   float64 `json:"truncate,omitempty"`

	Strata int `json:"strata,omitempty"` // of strata, 2 to 20

	// Caliper bounds the distance of a pair, in standard deviations of the linear
	// predictor, and ByPair makes each pair a stratum of its own: of matching.
	Caliper float64 `json:"caliper,omitempty"`
	ByPair  bool    `json:"byPair,omitempty"`
}

func (s *ComparisonSpec) columns() ([]string, error) {
	treatment, err := named(s.Treatment)
	if err != nil {
		return nil, err
	}
	outcome, err := named(s.Outcome)
	return with(treatment, outcome...), err
}

func (s *ComparisonSpec) answeredBy(o Outcome) bool { return o.Comparison != nil }
func (s *ComparisonSpec) words() string {
	return fmt.Sprintf("Comparison of two treatments by %s, adjusted by %s with the propensity score of %s%s", s.Outcome, s.Adjustment, s.Treatment, s.Ties.words())
}

// Comparison says which of two treatments leads to an outcome sooner.
type Comparison struct {
	Adjustment Adjustment `json:"adjustment"`
	Estimand   Estimand   `json:"estimand"`
	Ties       Ties       `json:"ties"`

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

	// Crude compares everybody as they are. It is absent where with Adjusted it would tell of
	// the few who are in no pair.
	Crude *ComparedArms `json:"crude,omitempty"`

	// Adjusted compares by the propensity score. It has arms only with matching; otherwise
	// they are those of Crude.
	Adjusted ComparedArms `json:"adjusted"`
}

// ComparedArms are two arms with the hazard ratio of the treatment.
type ComparedArms struct {
	Untreated *ComparedArm `json:"untreated,omitempty"`
	Treated   *ComparedArm `json:"treated,omitempty"`

	// Detectable is the relative risk, above 1, that a test at 5 % would find with a power of
	// 80 % among these persons; absent without arms or events.
	Detectable *float64 `json:"detectable,omitempty"`

	Hazard HazardRatio `json:"hazard"`
}

// ComparedArm is one arm: events by the persons' time at risk, and the survival curve.
type ComparedArm struct {
	Rate     Rate        `json:"rate"`
	Survival SurvivalArm `json:"survival"`
}

// HazardRatio is a hazard of the treated over that of the untreated. Estimates are absent
// where they do not exist.
type HazardRatio struct {
	Log *float64 `json:"log,omitempty"` // its natural logarithm

	// SE is the standard error of Log by the model. Robust is Lin and Wei's: of weighting, by
	// person, and of matching, by pair. Limits of 95 % and P are by the robust one if it is there.
	SE     *float64 `json:"se,omitempty"`
	Robust *float64 `json:"robust,omitempty"`

	Ratio *float64 `json:"ratio,omitempty"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
	P     *float64 `json:"p,omitempty"`

	// Times is the number of event times, or merged ones, told apart over all strata. Pairs
	// that are strata have none.
	Times int `json:"times,omitempty"`

	// Warnings are R's, in its words.
	Warnings []string `json:"warnings,omitempty"`
}
