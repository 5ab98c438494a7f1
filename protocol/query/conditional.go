package query

// Conditional is a model fitted by the likelihood within sets of rows. Of matched cases and
// controls it is what R's summary(clogit(…)) shows, without the concordance, which is not a
// sum over sites: coefficients are log odds ratios. Of a self-controlled case series, in
// which a set is a person's intervals, they are log relative incidences, and log
// likelihoods those of clogit with one row for each event and interval.
type Conditional struct {
	Formula string `json:"formula"`        // with its terms written out
	Ties    Ties   `json:"ties,omitempty"` // of cases and controls

	// N is the number of rows, Omitted of those left out for a missing value.
	N       int64 `json:"n"`
	Omitted int64 `json:"omitted"`

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
