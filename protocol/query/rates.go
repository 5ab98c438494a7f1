package query

// IncidenceSpec asks for a rate of events in the persons' time at risk.
type IncidenceSpec struct {
	Events string `json:"events"`       // a column that says whether, or how often
	Time   string `json:"time"`         // a column with days at risk
	By     string `json:"by,omitempty"` // a column whose levels have their own rate
}

func (s *IncidenceSpec) columns() ([]string, error) {
	return with([]string{s.Events, s.Time}, s.By), nil
}

func (s *IncidenceSpec) answeredBy(o Outcome) bool { return o.Rates != nil && o.Rates.All.Time != nil }

func (s *IncidenceSpec) words() string {
	return "Incidence rate of " + s.Events + " in " + s.Time + by(s.By)
}

// PrevalenceSpec asks for the share of persons with a property.
type PrevalenceSpec struct {
	Property string `json:"property"`     // a column that says whether
	By       string `json:"by,omitempty"` // a column whose levels have their own share
}

func (s *PrevalenceSpec) columns() ([]string, error) { return with([]string{s.Property}, s.By), nil }

func (s *PrevalenceSpec) answeredBy(o Outcome) bool { return o.Rates != nil && o.Rates.All.Time == nil }

func (s *PrevalenceSpec) words() string { return "Prevalence of " + s.Property + by(s.By) }

// Rates are incidence rates or prevalences, over all and by the levels of a factor.
type Rates struct {
	N       int64 `json:"n"` // persons
	LeftOut       // left out for a missing value

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

	// Where there is noise, its standard deviation in the estimate, and in place of the other
	// limits normal ones that allow for it.
	NoiseSD *float64 `json:"noiseSd,omitempty"`
	Noised  *Limits  `json:"noised,omitempty"`
}

// Limits of an estimate.
type Limits struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}
