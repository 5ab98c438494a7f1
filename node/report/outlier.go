package report

import "math"

// The methods that find outliers.
const (
	iqr     = "iqr"      // further than Limit times the spread of the hinges beyond a hinge; Tukey (1977): 1.5 for outside, 3 for far out
	robustZ = "robust-z" // further than Limit times the MAD from the median; Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993): 3.5
)

// OutlierRule finds the values of a variable that are far from all others.
type OutlierRule struct {
	Method   string   `yaml:"method" json:"method" enum:"iqr,robust-z"`
	Limit    float64  `yaml:"limit" json:"limit" doc:"iqr: times the distance of the quartiles beyond them; robust-z: times the scaled MAD from the median"`
	Severity Severity `yaml:"severity" json:"severity" enum:"log,flag,reject"`
}

// Fence is where an [OutlierRule] draws the line for a variable, and what lies beyond.
type Fence struct {
	OutlierRule
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Below int64   `json:"below" doc:"Rows below low"`
	Above int64   `json:"above" doc:"Rows above high"`
}

// fence applies the rule to a sample. There is none where the spread is 0: every other
// value would be an outlier.
func (r OutlierRule) fence(s sample) (Fence, bool) {
	var low, high, spread float64
	switch r.Method {
	case iqr:
		lower, upper := s.hinges()
		spread = upper - lower
		low, high = lower-r.Limit*spread, upper+r.Limit*spread
	case robustZ:
		center := s.median()
		spread = s.mad(center)
		low, high = center-r.Limit*spread, center+r.Limit*spread
	}
	if !(spread > 0) || math.IsInf(low, 0) || math.IsInf(high, 0) {
		return Fence{}, false
	}
	f := Fence{OutlierRule: r, Low: low, High: high}
	f.Below, f.Above = s.outside(low, high)
	return f, true
}
