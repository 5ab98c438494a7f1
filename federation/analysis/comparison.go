package analysis

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Comparison says which of two treatments leads to an outcome sooner: the propensity score of
// [Propensity], then the hazard ratio of the treatment as R's coxph gives it, for everybody as
// they are and adjusted. Its result is a *[query.Comparison].
//
//   - weighting: coxph(outcome, weights = w, robust = TRUE);
//   - strata: coxph(outcome + strata(stratum)), with the model's standard error;
//   - matching: coxph(outcome, cluster = pair) of those in pairs, or with ByPair
//     coxph(outcome + strata(pair)).
//
// As the only covariate is the arm, risk sets are sums by arm and time. So after the rounds
// for the score one table of events and censored by point of the grid, arm and stratum is
// all that an unweighted model needs; the steps of the fit are made of it. Weighting takes the
// sums of weights in such a table, and a robust variance the sum of squared scores, one number.
//
// # What the sums show
//
// The table is that of [KaplanMeier]. Sums of weights by time and arm would show, of a day on
// which one person leaves, that person's weight, and so a good deal about their covariates.
// With MinCell, neighboring points are therefore merged until the events and the censored
// of each arm are none or as many; the answer is R's for times rounded up to the last of the
// points that were merged.
//
// Source: R, package survival, help pages of coxph and residuals.coxph; Lin and Wei, JASA 84
// (1989), and Binder, Biometrika 79 (1992), on the robust variance; Schoenfeld, Biometrics 39
// (1983), on the relative risk that can be detected.
type Comparison struct {
	// Treatment is the score's formula, as of [Propensity].
	Treatment formula.Formula

	// Outcome is Surv(time, event) ~ treatment.
	Outcome formula.Formula
	Ties    query.Ties // "" for Efron's
	Grid    Grid

	// Adjustment and what belongs to it are as of [Propensity].
	Adjustment query.Adjustment
	Estimand   query.Estimand
	Stabilized bool
	Truncate   float64
	Strata     int
	Caliper    float64

	// ByPair makes each pair a stratum: matching.
	ByPair bool

	// MinCell is the least number of persons, besides 0, of whom something is told: in an arm,
	// in an arm of a stratum, in pairs and outside of them, with an event and without. Points
	// of a curve are left out as by [KaplanMeier]. 0 and 1 ask for nothing.
	MinCell int64

	// Declared are the columns that the formulas name, and perhaps others.
	Declared []Column
}

// New checks the question and returns the method.
func (m Comparison) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Treatment, m.Outcome)
}

func (m Comparison) over(declared []Column) (Rounds[comparisonState], error) {
	m.Declared = declared
	c := comparison{Comparison: m}
	if c.Ties == "" {
		c.Ties = query.Efron
	}
	score := Propensity{
		Treatment: m.Treatment, Adjustment: m.Adjustment, Estimand: m.Estimand, Stabilized: m.Stabilized, Truncate: m.Truncate,
		Strata: m.Strata, Caliper: m.Caliper, MinCell: m.MinCell, Declared: m.Declared,
	}
	var err error
	if c.score, err = score.scoring(); err != nil {
		return nil, fmt.Errorf("comparison: %w", err)
	}
	if c.survival, err = newSurvival(m.Outcome, m.Declared, m.Grid); err != nil {
		return nil, fmt.Errorf("comparison: outcome: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("comparison: %w", err)
	}
	if _, err := NewFrame(c.Columns()); err != nil {
		return nil, fmt.Errorf("comparison: declared: %w", err)
	}
	return c, nil
}

func (c comparison) validate() error {
	f := c.Outcome
	treatment := len(f.Terms) == 1 && len(f.Terms[0]) == 1 && f.Terms[0][0].Columns[0] == c.score.score.response.column.Name
	switch {
	case c.Ties != query.Efron && c.Ties != query.Breslow:
		return errors.New("ties are efron or breslow")
	case c.start != "":
		return errors.New("outcome: Surv(time, event), without a start: everybody is watched from the treatment on")
	case !treatment || len(f.Strata) > 0 || len(f.Offsets) > 0:
		return errors.New("outcome: the right side must be the treatment alone; covariates belong in the treatment's formula")
	case c.ByPair && c.Adjustment != query.Matching:
		return errors.New("byPair: is of matching")
	case c.size(comparisonState{}) > maxTally:
		return fmt.Errorf("points of the grid times strata times 4 must be at most %d: make the width of the grid larger", maxTally)
	}
	return nil
}

// comparison is a checked question.
type comparison struct {
	Comparison
	survival
	score propensity // without a model of the outcome
}

// comparing is what a round is about.
type comparing int

const (
	comparingScore   comparing = iota // the score, its strata or weights, and the balance
	comparingTable                    // events and censored by arm and time
	comparingWeights                  // their weights
	comparingScores                   // squares of scores, for the robust variance
	comparingPairs                    // who of a pair had the event first
)

// comparisonState is the state between two rounds.
type comparisonState struct {
	Stage comparing       `json:"stage"`
	Score propensityState `json:"score"`

	// Outside is set if those in no pair are in the table too.
	Outside bool  `json:"outside,omitempty"`
	Table   tally `json:"table"` // empty once Result is there

	// Result is the answer as far as it is known.
	Result *query.Comparison `json:"result,omitempty"`

	Times []armTimes `json:"times,omitempty"`
	Log   float64    `json:"log,omitempty"`      // of the hazard ratio
	Var   float64    `json:"variance,omitempty"` // its variance by the model
}

// Columns are those of both formulas.
func (c comparison) Columns() []Column {
	var out []Column
	for _, d := range c.Declared {
		same := func(o Column) bool { return o.Name == d.Name }
		if slices.ContainsFunc(c.score.score.columns, same) || slices.ContainsFunc(c.columns, same) {
			out = append(out, d)
		}
	}
	return out
}

// Parameters are those of the score, and two curves.
func (c comparison) Parameters() int { return c.score.score.Parameters() + 2 }

func (c comparison) Start() comparisonState { return comparisonState{Score: c.score.Start()} }

// parts is how many tables of both arms there are: of the strata, or of those in pairs and
// those in none.
func (c comparison) parts(s comparisonState) int {
	switch {
	case c.Adjustment == query.Stratified:
		return c.Strata
	case s.Outside:
		return 2
	}
	return 1
}

func (c comparison) size(s comparisonState) int { return c.parts(s) * 4 * c.grid.points() }

func (c comparison) Numbers(s comparisonState) int {
	switch s.Stage {
	case comparingScore:
		return c.score.Numbers(s.Score)
	case comparingTable:
		return s.Table.window(c.size(s), MaxNumbers)
	case comparingWeights:
		return 4 * len(s.Times)
	case comparingPairs:
		return 2
	}
	return 1
}

// check reports a state that no round of this question leads to.
func (c comparison) check(s comparisonState) error {
	ok := s.Stage == comparingScore || len(s.Score.Arms) == 2 && s.Score.Stage == stageOutcome
	for i, t := range s.Times {
		ok = ok && 0 <= t.Last && t.Last < c.grid.points() && (i == 0 || s.Times[i-1].Last < t.Last)
	}
	if s.Stage == comparingTable {
		return errors.Join(s.Table.check(c.size(s)), stateIf(ok))
	}
	return stateIf(ok && (s.Stage == comparingScore || s.Result != nil))
}

func stateIf(ok bool) error {
	if !ok {
		return errState
	}
	return nil
}
