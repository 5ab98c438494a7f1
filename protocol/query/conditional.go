package query

// ConditionalLogisticSpec asks for a logistic regression within matched sets of persons, of
// which each is of one site.
type ConditionalLogisticSpec struct {
	// Formula is case ~ terms + strata(set), with offset(…) if need be; see package formula.
	// Persons of one site with the same values of all columns in strata(…) are a set.
	Formula string `json:"formula"`

	// Ties are exact if it is left out.
	Ties Ties `json:"ties,omitempty"`
}

func (s *ConditionalLogisticSpec) columns() ([]string, error) { return named(s.Formula) }
func (s *ConditionalLogisticSpec) answeredBy(o Outcome) bool {
	return o.Conditional != nil && o.Conditional.Ties != ""
}

func (s *ConditionalLogisticSpec) words() string {
	return "Conditional logistic regression of " + s.Formula + ", within matched sets of one site" + s.Ties.words()
}

// Conditional is a model fitted by the likelihood within sets of rows. Of matched cases and
// controls it is what R's summary(clogit(…)) shows, without the concordance, which is not a
// sum over sites: coefficients are log odds ratios. Of a self-controlled case series, in
// which a set is a person's intervals, they are log relative incidences, and log
// likelihoods those of clogit with one row for each event and interval.
type Conditional struct {
	Formula string `json:"formula"`        // with its terms written out
	Ties    Ties   `json:"ties,omitempty"` // of cases and controls

	// N is the number of rows, LeftOut of those left out for a missing value.
	N int64 `json:"n"`
	LeftOut

	// Sets have rows, Informative of them say something of the coefficients: with cases
	// and controls, or an event and several intervals.
	Sets        int64 `json:"sets"`
	Informative int64 `json:"informative"`
	Events      int64 `json:"events"` // cases, or events

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
