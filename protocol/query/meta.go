package query

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
