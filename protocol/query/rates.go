package query

// Rates are incidence rates or prevalences, over all and by the levels of a factor.
type Rates struct {
	N       int64 `json:"n"`       // persons
	Omitted int64 `json:"omitted"` // left out for a missing value

	All    Rate        `json:"all"`
	Groups []GroupRate `json:"groups,omitempty"`
}

// GroupRate is that of one level.
type GroupRate struct {
	Level string `json:"level"`
	Rate
}

// Rate is how many events there were in how much, with 95 % limits. What nobody, or no
// time, defines is absent.
type Rate struct {
	N      int64 `json:"n"`      // persons
	Events int64 `json:"events"` // of an incidence, they may be several a person

	// Time is the persons' time at risk, in the unit of its column; incidence only.
	Time *float64 `json:"time,omitempty"`

	// Estimate is Events by Time, or by N.
	Estimate *float64 `json:"estimate,omitempty"`

	// Exact limits are Garwood's of a Poisson count, R's poisson.test, or those of
	// Clopper and Pearson of a share, R's binom.test.
	Exact *Limits `json:"exact,omitempty"`

	// Wilson's limits, R's prop.test without correction; prevalence only.
	Wilson *Limits `json:"wilson,omitempty"`
}

// Limits of an estimate.
type Limits struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Histogram counts the values of a column in ranges, as R's hist does: each includes its
// upper end, and the first its lower one too.
type Histogram struct {
	Name    string `json:"name"`
	N       int64  `json:"n"`       // persons with a value between the outermost breaks
	Outside int64  `json:"outside"` // persons with another value
	Omitted int64  `json:"omitted"` // persons without a value

	Bins []HistogramBin `json:"bins"`
}

// HistogramBin is one range. Ranges with fewer persons than may be shown are joined to
// their neighbours.
type HistogramBin struct {
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	Count   int64   `json:"count"`
	Density float64 `json:"density"` // Count by N and by the width of the range; 0 for nobody
}
