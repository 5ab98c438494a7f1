package query

// MetaSpec asks for a common estimate of the sites' own differences of means, or of the
// coefficients of their own models.
type MetaSpec struct {
	// Value is a numeric column and By one of two levels: the mean of the second level
	// less that of the first. Both are left out if there is a Model.
	Value string `json:"value,omitempty"`
	By    string `json:"by,omitempty"`

	Model *GLMSpec `json:"model,omitempty"`
	Term  string   `json:"term,omitempty"` // the name of a coefficient of Model

	// Between is the estimator of the variance between sites: DL, REML or PM; a fixed
	// effect if it is left out.
	Between string `json:"between,omitempty"`

	// Adjust takes the standard error of Hartung and Knapp.
	Adjust bool `json:"adjust,omitempty"`
}

func (s *MetaSpec) columns() ([]string, error) {
	if s.Model == nil {
		return with(nil, s.Value, s.By), nil
	}
	if s.Value != "" || s.By != "" {
		return nil, invalid("analysis.metaAnalysis: a model, or value and by, not both")
	}
	return s.Model.columns()
}

func (s *MetaSpec) answeredBy(o Outcome) bool { return o.MetaAnalysis != nil }
func (s *MetaSpec) words() string {
	if s.Model != nil {
		return "Meta-analysis of each site's " + s.Term + " in: " + s.Model.words()
	}
	return "Meta-analysis of each site's difference of the mean of " + s.Value + " between the levels of " + s.By
}

// MetaAnalysis is a common estimate of several sites' own: what R's package metafor gives.
type MetaAnalysis struct {
	Sites int `json:"sites"` // with an estimate

	Estimate  float64 `json:"estimate"`
	SE        float64 `json:"se"`
	Lower     float64 `json:"lower"` // 95 % limits
	Upper     float64 `json:"upper"`
	Statistic float64 `json:"statistic"` // z, or t with Sites - 1 degrees of freedom
	P         float64 `json:"p"`         // two-sided

	// Heterogeneity is absent where sites gave tables.
	Heterogeneity *Heterogeneity `json:"heterogeneity,omitempty"`
}

// Heterogeneity is how far sites' effects differ beyond chance.
type Heterogeneity struct {
	Tau2 float64 `json:"tau2"` // variance of the effects between sites; 0 for a fixed effect
	I2   float64 `json:"i2"`   // share of the variance that is between sites, in percent
	Q    float64 `json:"q"`    // Cochran's
	P    float64 `json:"p"`    // of Q, by χ² with Sites - 1 degrees of freedom
}
