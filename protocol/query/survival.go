package query

import "fmt"

// Grid is the public grid of times of a survival analysis: 0, Width, 2 Width, up to Horizon,
// in the unit of the column of times: days, but for that of a data set. A time between two points counts as the later one; what lies beyond the horizon
// is censored there.
type Grid struct {
	Width   float64 `json:"width"`
	Horizon float64 `json:"horizon"`
}

// Watched returns the formula with the times and events of an analysis on a grid of times, and
// the grid; nil for another analysis.
func (a Analysis) Watched() (formula string, g *Grid) {
	switch {
	case a.KaplanMeier != nil:
		return a.KaplanMeier.Formula, &a.KaplanMeier.Grid
	case a.Cox != nil:
		return a.Cox.Formula, &a.Cox.Grid
	case a.ODAC != nil:
		return a.ODAC.Formula, &a.ODAC.Grid
	case a.Comparison != nil:
		return a.Comparison.Outcome, &a.Comparison.Grid
	}
	return "", nil
}

// KaplanMeierSpec asks for survival curves by arm, with a log-rank test.
type KaplanMeierSpec struct {
	// Formula is Surv(time, event) ~ arm, or ~ 1; see package formula. The test is made
	// within strata(…).
	Formula string `json:"formula"`

	Grid Grid `json:"grid"`

	// Restriction is the time, in the unit of Grid, to which means are restricted; the grid's
	// horizon if it is left out.
	Restriction float64 `json:"restriction,omitempty"`
}

func (s *KaplanMeierSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *KaplanMeierSpec) answeredBy(o Outcome) bool  { return o.Survival != nil }

func (s *KaplanMeierSpec) words() string {
	if s.Restriction != 0 {
		return fmt.Sprintf("Survival curves of %s, with means restricted to %g", s.Formula, s.Restriction)
	}
	return "Survival curves of " + s.Formula
}

// CoxSpec asks for a proportional hazards model.
type CoxSpec struct {
	// Formula is Surv(time, event) ~ terms, or Surv(start, stop, event) ~ terms, with
	// offset(…) and strata(…); see package formula.
	Formula string `json:"formula"`

	// Ties are Efron's if it is left out.
	Ties Ties `json:"ties,omitempty"`

	Grid Grid `json:"grid"`
}

func (s *CoxSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *CoxSpec) answeredBy(o Outcome) bool  { return o.Hazards != nil }
func (s *CoxSpec) words() string {
	return "Proportional hazards model of " + s.Formula + s.Ties.words()
}

// Ties is how a proportional hazards model treats events at one time, and a conditional
// logistic one cases in one set.
type Ties string

// The methods for ties, as R names them.
const (
	Efron   Ties = "efron"
	Breslow Ties = "breslow"
	Exact   Ties = "exact" // of cases in one set only
)

// words name the method where a question does.
func (t Ties) words() string {
	if t == "" {
		return ""
	}
	return ", ties by the method " + string(t)
}

// Survival is a Kaplan-Meier estimate for each arm: what R's summary(survfit(…)) and
// survdiff(…) show.
type Survival struct {
	Formula string `json:"formula"` // with its terms written out

	// N is the number of rows in the estimate, LeftOut of those left out for a missing
	// value.
	N int64 `json:"n"`
	LeftOut

	// Arms are in the order of the arm's levels; one without a name if there are no arms.
	Arms []SurvivalArm `json:"arms"`

	// Restriction is the time to which the restricted means are taken.
	Restriction float64 `json:"restriction"`

	// LogRank compares the arms; absent with fewer than two.
	LogRank *LogRank `json:"logRank,omitempty"`
}

// SurvivalArm is the estimate of one arm. Of an arm without persons only the name is set.
type SurvivalArm struct {
	Name   string `json:"name,omitempty"`
	N      int64  `json:"n"`
	Events int64  `json:"events"`

	// Median is the time at which half of the persons have had the event, MedianLow and
	// MedianHigh its 95 % limits. One that is not reached is absent.
	Median     *float64 `json:"median,omitempty"`
	MedianLow  *float64 `json:"medianLow,omitempty"`
	MedianHigh *float64 `json:"medianHigh,omitempty"`

	// Mean is the restricted mean survival time, the area under the curve up to
	// Survival.Restriction, and MeanSE its standard error.
	Mean   *float64 `json:"mean,omitempty"`
	MeanSE *float64 `json:"meanSe,omitempty"`

	Curve []SurvivalPoint `json:"curve"`

	// Merged is how many times with an event or a censored person are no points of their own:
	// steps are joined until each is of as many events as the policy's least cell, and of as
	// many censored or none.
	Merged int `json:"merged,omitempty"`
}

// SurvivalPoint is the curve from one time to the next. Events and Censored count the persons
// since the point before, its own time excluded; AtRisk those with whom that began, who are
// those just before Time if no times were merged.
type SurvivalPoint struct {
	Time     float64 `json:"time"`
	AtRisk   int64   `json:"atRisk"`
	Events   int64   `json:"events"`
	Censored int64   `json:"censored"`
	Survival float64 `json:"survival"`

	// SE is Greenwood's, Low and High the 95 % limits on the scale of the logarithm; they
	// are absent where nobody survives.
	SE   *float64 `json:"se,omitempty"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// LogRank is the log-rank test, within the strata if there are any.
type LogRank struct {
	Test
	Observed []float64 `json:"observed"` // events by arm
	Expected []float64 `json:"expected"` // were the arms alike
}

// Test is a statistic with a chi-squared distribution under its hypothesis.
type Test struct {
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	P         float64 `json:"p"`
}

// Hazards is a fitted proportional hazards model: what R's summary(coxph(…)) shows,
// without the concordance, which is not a sum over sites.
type Hazards struct {
	Formula string `json:"formula"` // with its terms written out
	Ties    Ties   `json:"ties"`

	// N is the number of rows in the fit, LeftOut of those left out for a missing value
	// or because they end before they begin.
	N int64 `json:"n"`
	LeftOut
	Events int64 `json:"events"`

	// Times is the number of event times that were told apart, over all strata. It is
	// smaller than that of the data if neighboring times were merged.
	Times int `json:"times"`

	// Coefficients are log hazard ratios.
	Coefficients []Coefficient `json:"coefficients"`

	NullLogLikelihood float64 `json:"nullLogLikelihood"`
	LogLikelihood     float64 `json:"logLikelihood"`

	// The three tests that all coefficients are 0.
	LikelihoodRatio Test `json:"likelihoodRatio"`
	Wald            Test `json:"wald"`
	Score           Test `json:"score"`

	Iterations int  `json:"iterations"`
	Converged  bool `json:"converged"`

	// Warnings are R's, in its words.
	Warnings []string `json:"warnings,omitempty"`
}
