package query

// PredictSpec asks how well a logistic model predicts, fitted to one part of the persons and
// judged by the others.
type PredictSpec struct {
	Formula string `json:"formula"`

	// Train is a column that says who is of the first part. Without it Share says how
	// many are, 0.1 to 0.9; who they are follows from a hash of their values.
	Train string  `json:"train,omitempty"`
	Share float64 `json:"share,omitempty"`

	Groups int `json:"groups,omitempty"` // of calibration, 2 to 20; 10 if it is left out
}

func (s *PredictSpec) columns() ([]string, error) { return named(s.Formula, s.Train) }
func (s *PredictSpec) answeredBy(o Outcome) bool  { return o.Prediction != nil }
func (s *PredictSpec) words() string {
	return "Prediction by a logistic model of " + s.Formula + ", judged"
}

// Prediction is a logistic model that is fitted to one part of the persons and judged by
// the others.
type Prediction struct {
	// Model is the fit to the first part. Its LeftOut are of both parts.
	Model Regression `json:"model"`

	// N is the number of persons that it is judged by, Cases of those with the event.
	N     int64 `json:"n"`
	Cases int64 `json:"cases"`

	AUC AUC `json:"auc"`

	Brier    float64 `json:"brier"`    // mean of the squared differences of risk and event
	MeanRisk float64 `json:"meanRisk"` // predicted

	// Intercept is that of a logistic model with the linear predictor as an offset, Slope
	// the coefficient of the linear predictor in one with an intercept of its own: 0 and 1
	// where risks are right. They are absent where no such model fits.
	Intercept *Coefficient `json:"intercept,omitempty"`
	Slope     *Coefficient `json:"slope,omitempty"`

	// Groups are in rising order of the risk.
	Groups []CalibrationGroup `json:"groups"`
}

// HideFew is [LeftOut.HideFew] of the model.
func (p *Prediction) HideFew(least int64) { p.Model.HideFew(least) }

// AUC is the area under the receiver operating characteristic curve: the share of pairs of
// one with and one without the event in which the first has the higher risk, equal ones
// counting half.
type AUC struct {
	// Value is there if it is exact.
	Value *float64 `json:"value,omitempty"`

	// Low and High are there if it is not: persons of nearly the same risk are too few for
	// the policy to tell their order, or too many.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// CalibrationGroup is of a range of predicted risks, the lower end in it.
type CalibrationGroup struct {
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	N        int64   `json:"n"`
	Events   int64   `json:"events"`
	Expected float64 `json:"expected"` // sum of the risks
}
