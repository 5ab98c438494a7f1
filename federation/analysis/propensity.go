package analysis

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Propensity estimates the effect of a treatment adjusted by a propensity score that is
// fitted over all sites. Its result is a *[query.PropensityEffect].
//
// The score is a logistic regression of the treatment, as [GLM] fits it. With its public
// coefficients each site knows the weight of each of its rows:
//
//   - weighting: 1/e of the treated and 1/(1-e) of others (ATE), or 1 and e/(1-e) (ATT),
//     where e is the score;
//   - strata: by exact quantiles of the score, over everybody (ATE) or the treated (ATT);
//     a row's weight is its stratum's share over its share of the row's arm, as of
//     MatchIt's subclasses;
//   - matching: 1 of those who are in a pair, 0 of others. Pairs are of one site, since
//     to find one across sites a row would have to leave. See [pairs].
//
// Then the outcome's model is fitted with these weights, and its robust variance taken as R's
// package sandwich does (sandwich, and vcovCL by pairs, HC0 without adjustment); survey's
// svyglm has that times n/(n-1). The score counts as known, which for the ATE makes standard
// errors too large rather than too small.
//
// Source: Rosenbaum and Rubin, Biometrika 70 (1983) and JASA 79 (1984); Lunceford and
// Davidian, Statistics in Medicine 23 (2004); Hong, J. Educational and Behavioral
// Statistics 35 (2010); Austin, Statistics in Medicine 33 (2014) on matching.
type Propensity struct {
	// Treatment is the score's formula: a logical column, or a factor of two levels of
	// which the second is the treatment, by covariates.
	Treatment formula.Formula

	// Outcome is the formula of the outcome's model, which should name the treatment.
	Outcome formula.Formula
	Family  query.Family
	Link    query.Link // "" for the family's usual one

	Adjustment query.Adjustment
	Estimand   query.Estimand // matching: ATT

	// Stabilized multiplies the weights by the share of the row's arm: weighting, ATE.
	Stabilized bool

	// Truncate sets weights above this quantile to it, 0.5 to 1, over everybody (ATE) or
	// the untreated (ATT); 0 for none: weighting.
	Truncate float64

	// Strata is their number, 2 to 20: strata.
	Strata int

	// Caliper bounds the distance of a pair's linear predictors, in their standard
	// deviation over everybody; 0 for none: matching.
	Caliper float64

	// MinCell is the least number of persons, besides 0, in an arm, in an arm of a
	// stratum, and of pairs. A quantile is told as [Quantiles] does, and where that is
	// a range its lower end is taken. 0 and 1 ask for nothing.
	MinCell int64

	// Declared are the columns that the formulas name, and perhaps others.
	Declared []Column
}

const (
	maxStrata = 20

	// maxWeight is the greatest weight before it is stabilized: who has a greater one
	// stands, as it were, for a million, and weighting is not for these data.
	maxWeight = 1e6

	// weightColumn is the weights' name in the outcome's frame. No formula can name it.
	weightColumn = "(weight)"
)

// New checks the question and returns the method.
func (m Propensity) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Treatment, m.Outcome)
}

func (m Propensity) over(declared []Column) (Rounds[propensityState], error) {
	m.Declared = declared
	p, err := m.scoring()
	if err != nil {
		return nil, fmt.Errorf("propensity: %w", err)
	}
	outcome := GLM{Formula: m.Outcome, Family: m.Family, Link: m.Link, Weights: weightColumn}
	outcome.Declared = append(slices.Clone(m.Declared), Column{Name: weightColumn, Kind: Numeric, High: maxWeight})
	if p.outcome, err = outcome.check(); err != nil {
		return nil, fmt.Errorf("propensity: outcome: %w", err)
	}
	if _, err := NewFrame(p.Columns()); err != nil {
		return nil, fmt.Errorf("propensity: declared: %w", err)
	}
	return p, nil
}

// scoring returns the method as far as it is about the score.
func (m Propensity) scoring() (propensity, error) {
	p := propensity{Propensity: m}
	if err := m.validate(); err != nil {
		return p, err
	}
	var err error
	score := GLM{Formula: m.Treatment, Family: query.Binomial, Declared: m.Declared}
	if p.score, err = score.check(); err != nil {
		return p, fmt.Errorf("treatment: %w", err)
	}
	if len(p.score.response.column.levels()) != 2 {
		return p, errors.New("treatment: the response must be logical or a factor of two levels")
	}
	return p, nil
}

func (m Propensity) validate() error {
	weighting, strata, matching := m.Adjustment == query.Weighting, m.Adjustment == query.Stratified, m.Adjustment == query.Matching
	switch {
	case !weighting && !strata && !matching:
		return errors.New("adjustment: must be weighting, strata or matching")
	case m.Estimand != query.ATE && m.Estimand != query.ATT:
		return errors.New("estimand: must be ATE or ATT")
	case matching && m.Estimand != query.ATT:
		return errors.New("estimand: pairs are found for the treated: ATT")
	case m.Stabilized && (!weighting || m.Estimand != query.ATE):
		return errors.New("stabilized: is of weighting for the ATE")
	case m.Truncate != 0 && (!weighting || !(0.5 <= m.Truncate && m.Truncate <= 1)):
		return errors.New("truncate: is of weighting, a quantile from 0.5 to 1")
	case strata && (m.Strata < 2 || m.Strata > maxStrata) || !strata && m.Strata != 0:
		return fmt.Errorf("strata: 2 to %d, with that adjustment only", maxStrata)
	case m.Caliper != 0 && (!matching || !(0 < m.Caliper && m.Caliper <= 100)):
		return errors.New("caliper: is of matching, above 0 and to 100 standard deviations")
	case m.MinCell < 0:
		return errors.New("minCell: must not be below 0")
	}
	return nil
}

type propensity struct {
	Propensity
	score, outcome glm
}

// stage is what a round is about.
type stage int

const (
	stageScore   stage = iota // the score's model
	stageArms                 // how many are treated
	stageCuts                 // quantiles of scores or weights
	stageStrata               // how many are in each stratum
	stageBalance              // means before and after
	stageOutcome              // the outcome's model
	stageRobust               // its robust variance
)

// propensityState is the state between two rounds.
type propensityState struct {
	Stage stage `json:"stage"`

	Score  glmState          `json:"score"`
	Fitted *query.Regression `json:"fitted,omitempty"` // the score's model

	Arms    []int64     `json:"arms,omitempty"`    // untreated, treated
	Caliper float64     `json:"caliper,omitempty"` // in units of the linear predictor
	Search  searchState `json:"search"`
	Cuts    []float64   `json:"cuts,omitempty"`   // between strata, or the greatest weight
	Strata  [][]int64   `json:"strata,omitempty"` // untreated and treated of each

	Used      []int64         `json:"used,omitempty"` // with a weight, by arm
	Effective []float64       `json:"effective,omitempty"`
	Balance   []query.Balance `json:"balance,omitempty"`

	Outcome glmState          `json:"outcome"`
	Effect  *query.Regression `json:"effect,omitempty"` // the outcome's model
}

// Columns are those of both formulas.
func (m propensity) Columns() []Column {
	var out []Column
	for _, c := range m.Declared {
		same := func(o Column) bool { return o.Name == c.Name }
		if slices.ContainsFunc(m.score.columns, same) || slices.ContainsFunc(m.outcome.columns, same) {
			out = append(out, c)
		}
	}
	return out
}

func (m propensity) Parameters() int { return m.score.Parameters() + m.outcome.Parameters() }

func (m propensity) Start() propensityState {
	return propensityState{Score: m.score.Start(), Outcome: m.outcome.Start()}
}

// search is the one for the quantiles that are needed.
func (m propensity) search() search {
	s := search{least: m.MinCell}
	if m.Adjustment == query.Weighting {
		s.values = []Column{{Name: weightColumn, Kind: Numeric, High: maxWeight}}
		s.probabilities = []float64{m.Truncate}
		return s
	}
	s.values = []Column{{Name: weightColumn, Kind: Numeric, High: 1}}
	for k := 1; k < m.Strata; k++ {
		s.probabilities = append(s.probabilities, float64(k)/float64(m.Strata))
	}
	return s
}

// Places of the numbers of a round about arms: untreated, treated, then these.
const (
	armScore  = 2 + iota // linear predictor, over [scoreUnit]
	armSquare            // its square
	armExtreme
	armNumbers
)

// scoreUnit brings linear predictors near 1.
const scoreUnit = 8

// Places of the numbers of a round about balance. Those of each arm are persons with a
// weight, their weights and their squares; those of an arm's column its value, its square
// and its weighted value.
const (
	balanceUsed = iota
	balanceWeight
	balanceSquare
	balanceNumbers
)

func (m propensity) Numbers(s propensityState) int {
	switch s.Stage {
	case stageScore:
		return m.score.Numbers(s.Score)
	case stageArms:
		return armNumbers
	case stageCuts:
		return m.search().numbers(s.Search)
	case stageStrata:
		return 2 * m.Strata
	case stageBalance:
		return 2 * balanceNumbers * (1 + m.score.matrix.Width())
	case stageOutcome:
		return m.outcome.Numbers(s.Outcome)
	}
	return m.outcome.robustNumbers()
}
