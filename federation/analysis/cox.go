package analysis

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Cox fits a proportional hazards model by Newton's method on the partial likelihood, to
// the numbers of R's coxph on the pooled data: the same start, steps, rule for convergence
// and tests. Its result is a *[query.Hazards].
//
// The first rounds count the events at each point of the grid, by stratum, and take the
// sums that covariates are centred and scaled by. From then on each step takes, for the
// persons who leave the risk set after one event time and before the next, less those who
// come, the sums of r, rx and rxx', where r = exp(xβ): added up from the last time to the
// first they are S0, S1 and S2 of each risk set. For Efron's ties it takes the same over
// those who die at one time.
//
// With p covariates and D event times in all strata that is D(p+1)(p+2)/2 numbers, and up
// to twice as many with ties. A step takes a round for each [MaxNumbers] of them, five at
// most: for 33,000 times of one covariate, 1,500 of ten, 430 of twenty. Beyond that there
// is no result; a wider Grid or a larger MinAtRisk makes times fewer.
//
// # What the sums show
//
// The sums of one site give its rows away: where one person leaves between two event
// times, the sum of rx over that of r is that person's covariates. A hub never has them;
// what it has is the sum over the sites, under masks. But where one person leaves in all of
// the sites together, the pooled sums give that person away too, on a grid of days most of
// the dead. MinAtRisk is against that:
//
//   - Neighboring event times are merged until each has so many events, and so as many
//     persons at risk, and as many that leave after it.
//   - The risk set of merged times is that of the first of them, with those who come under
//     watch after it and have their event in it; that of a stratum's first times is of
//     all who are watched from the beginning.
//   - Those who die are not summed up time by time, as they and those who leave would give
//     away who is censored. Efron's ties become a line from each risk set to the next:
//     the l-th of d events, from 0, meets the former less l/d of the difference. After a
//     stratum's last times comes the set of those who outlast them, if they are as many
//     as that, which one more round counts; if not, nobody.
//   - There is no result if a stratum has events but fewer than that, if the censored of all
//     strata are fewer, or the persons of strata without an event, and not zero.
//
// So each sum and each difference of two is about at least so many persons; estimates move
// (DESIGN.md has figures). Two things remain. The first rounds show on which points of the
// grid events lie, and how many, as a survival curve does; only a wider Grid hides that.
// And a difference about few persons, seen at each step's coefficients, is several equations
// about them: MinAtRisk should be well above the number of covariates.
//
// Concordance is left out: it compares each pair of persons by their risks, and the
// sums over pairs in different sites are not sums over sites.
//
// Source: R, package survival, help pages of coxph and coxph.control; Therneau and
// Grambsch, "Modeling Survival Data" (2000), section 3.1 and 3.3.
type Cox struct {
	// Formula is Surv(time, event) or Surv(start, stop, event) ~ terms, with offset(…) and
	// strata(…). As in R an intercept makes no difference.
	Formula formula.Formula
	Ties    query.Ties // "" for Efron's
	Grid    Grid

	// MinAtRisk is how many events, and with them persons at risk, the times that are
	// told apart must have; 0 or 1 to tell all apart, as R does.
	MinAtRisk int

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// maxCoxRounds is how many rounds one step may take.
const maxCoxRounds = 5

// New checks the model and returns it as a method.
func (m Cox) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m Cox) over(declared []Column) (Rounds[coxState], error) {
	m.Declared = declared
	c, err := m.check()
	if err != nil {
		return nil, fmt.Errorf("cox: %w", err)
	}
	return c, nil
}

// check returns the model with what follows from the declarations.
func (m Cox) check() (cox, error) {
	c := cox{Cox: m}
	if c.Ties == "" {
		c.Ties = query.Efron
	}
	if c.Ties != query.Efron && c.Ties != query.Breslow {
		return c, errors.New("ties are efron or breslow")
	}
	var err error
	if c.survival, err = newSurvival(m.Formula, m.Declared, m.Grid); err != nil {
		return c, err
	}
	coded := m.Formula
	coded.Intercept = true // as coxph codes factors, whatever the formula says
	if c.matrix, err = NewMatrix(coded, m.Declared); err != nil {
		return c, err
	}
	c.p = c.matrix.Width() - 1
	for _, o := range m.Formula.Offsets {
		parts, _, err := codes(o, m.Declared)
		if err != nil {
			return c, err
		}
		if parts[0].indicator {
			return c, fmt.Errorf("offset(%s): the column is not numeric", o)
		}
		c.offsets.columns = append(c.offsets.columns, product{parts[0]})
	}
	switch {
	case c.p == 0:
		return c, errors.New("the formula has no terms")
	case m.MinAtRisk < 0 || m.MinAtRisk > MaxPersons:
		return c, fmt.Errorf("minAtRisk must be 0 to %d", MaxPersons)
	case c.groups() > MaxNumbers/2 || c.size() > maxTally:
		return c, fmt.Errorf("points of the grid times strata must be at most %d: make the width of the grid larger", maxTally)
	}
	return c, nil
}

// cox is a checked model.
type cox struct {
	Cox
	survival
	matrix  Matrix // its first column is the intercept, which is not used
	offsets Matrix
	p       int // covariates
	spare   int // numbers behind those of the first round, which another method fills
}

// coxState is the state between two rounds. Coefficients and sums are of covariates that
// are centred and scaled.
type coxState struct {
	Tally  tally     `json:"tally"` // events by stratum and point; empty once they are in Times
	Center []float64 `json:"center,omitempty"`
	Scale  []float64 `json:"scale,omitempty"` // 0 for a covariate that is the same for all
	Offset float64   `json:"offset,omitempty"`
	N      int64     `json:"n,omitempty"`
	Groups []int64   `json:"groups,omitempty"` // of them by stratum; empty with Tally

	// Times are the event times of all strata, stratum after stratum.
	Times []coxTime `json:"times,omitempty"`

	// Left is how many of Times, from the first, the step has not taken yet. Of the
	// others Sum holds what is known, Carry the sums of the risk set of the last taken.
	Left  int       `json:"left"`
	Carry []float64 `json:"carry,omitempty"`
	Sum   coxSum    `json:"sum"`

	ascent
}

// coxTime is an event time, or neighboring ones that were merged. One without events ends
// a stratum.
type coxTime struct {
	Group  int   `json:"group"` // stratum
	First  int   `json:"first"` // point of the grid
	Last   int   `json:"last"`
	Events int64 `json:"events"`
}

// coxSum is the log likelihood with its derivatives, at a state's coefficients.
type coxSum struct {
	LogLikelihood float64   `json:"logLikelihood"`
	Gradient      []float64 `json:"gradient,omitempty"`
	Information   []float64 `json:"information,omitempty"` // packed

	// Square is what Information's diagonal would be without the centring at each time.
	Square []float64 `json:"square,omitempty"`
}

func (c cox) Columns() []Column { return c.columns }
func (c cox) Parameters() int   { return c.p }
func (c cox) Start() coxState   { return coxState{} }
func (c cox) size() int         { return c.groups() * c.grid.points() }

// Places of the numbers of the first round behind the counts; those of the covariates,
// a pair for each, follow, the rows by stratum, and the spare ones.
const (
	coxRows = iota
	coxOffset
	coxMoments
)

func (c cox) moments() int { return coxMoments + 2*c.p + c.groups() + c.spare }

// triple is how many numbers S0, S1 and S2 are.
func (c cox) triple() int { return 1 + c.p + packed(c.p, 0) }

func (c cox) Numbers(s coxState) int {
	switch {
	case s.Times != nil && s.Coefficients != nil:
		_, n := c.layout(s)
		return n
	case s.Times != nil:
		return c.groups()
	case s.Tally.Taken == 0:
		return s.Tally.window(c.size(), MaxNumbers-c.moments()) + c.moments()
	}
	return s.Tally.window(c.size(), MaxNumbers)
}

// guarded reports whether event times are merged.
func (c cox) guarded() bool { return c.MinAtRisk > 1 }

// tied reports whether the persons who die at a time are summed up apart. Of merged times
// they are not: who leaves less who dies may be one person.
func (c cox) tied(t coxTime) bool { return c.Ties == query.Efron && t.Events > 1 && !c.guarded() }

// layout says which times the round takes: those from Left-len(at) up to Left. The numbers
// of Left-1-i begin at at[i], the risk set's before those of the tied; behind all of them
// are the sums over events of the covariates and the offset, in a step's first round.
func (c cox) layout(s coxState) (at []int, numbers int) {
	rest := c.p + 1
	for i := min(s.Left, len(s.Times)) - 1; i >= 0; i-- {
		size := c.triple()
		if c.tied(s.Times[i]) {
			size *= 2
		}
		if numbers+size+rest > MaxNumbers {
			break
		}
		at = append(at, numbers)
		numbers += size
	}
	return at, numbers + rest
}

// check reports a state that no round of this model leads to.
func (c cox) check(s coxState) error {
	if s.Times == nil {
		if s.Tally.Taken > 0 && len(s.Groups) != c.groups() {
			return errState
		}
		return s.Tally.check(c.size())
	}
	ok := len(s.Center) == c.p && len(s.Scale) == c.p && 0 <= s.Left && s.Left <= len(s.Times)
	for i, t := range s.Times {
		ok = ok && 0 <= t.Group && t.Group < c.groups() && t.Events >= 0 && (i == 0 || s.Times[i-1].Group <= t.Group)
	}
	if s.Coefficients != nil {
		ok = ok && s.of(c.p) && len(s.Carry) == c.triple() &&
			len(s.Sum.Gradient) == c.p && len(s.Sum.Square) == c.p && len(s.Sum.Information) == packed(c.p, 0)
	}
	if !ok {
		return errState
	}
	return nil
}
