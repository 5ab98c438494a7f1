package analysis

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// conditional is a checked model of a likelihood within sets of rows, of which each is of
// one site: [ConditionalLogistic] or [CaseSeries]. The first round counts, and takes what
// covariates are scaled by; each step of Newton's method is one more.
//
// What a set adds is computed from its rows in an order of their values, so that the
// order of a site's rows moves no bit.
type conditional struct {
	formula formula.Formula
	ties    query.Ties // "" for counts of events
	least   int        // sets that a covariate varies in

	response string
	strata   []string // columns that together say what set a row is of
	matrix   Matrix   // its first column is the intercept, which is not used
	offsets  Matrix
	columns  []Column
	p        int // covariates
}

// MaxExactSet bounds the rows of a set whose likelihood is exact.
const MaxExactSet = 1000

// setsPerCovariate is how many informative sets each covariate needs if few are not to be
// told of: the sums of a step are p(p+3)/2 + 1 equations about the sets' differences, of
// which there are at least p for each set.
const setsPerCovariate = 10

// newConditional checks what both methods ask for alike.
func newConditional(f formula.Formula, declared []Column, minSets int) (conditional, error) {
	c := conditional{formula: f, least: minSets}
	if f.Response == nil || f.Response.Function != formula.Identity {
		return c, errors.New("the formula needs a column before ~")
	}
	if len(f.Strata) == 0 || slices.ContainsFunc(f.Strata, func(v formula.Variable) bool { return v.Function != formula.Identity }) {
		return c, errors.New("the formula needs strata(…) with a column, or several of them: rows with the same values are a set")
	}
	if minSets < 0 || minSets > MaxPersons {
		return c, fmt.Errorf("minSets must be 0 to %d", MaxPersons)
	}
	c.response = f.Response.Columns[0]
	for _, v := range f.Strata {
		c.strata = append(c.strata, v.Columns[0])
	}
	for _, name := range f.Columns() {
		i := slices.IndexFunc(declared, func(o Column) bool { return o.Name == name })
		if i < 0 {
			return c, fmt.Errorf("the column %s is not declared", name)
		}
		c.columns = append(c.columns, declared[i])
	}
	for _, t := range f.Terms {
		for _, v := range t {
			if slices.Contains(c.strata, v.Columns[0]) || v.Columns[0] == c.response {
				return c, fmt.Errorf("the column %s cannot be a term too", v.Columns[0])
			}
		}
	}
	coded := f
	coded.Intercept = true // as coxph codes factors, whatever the formula says
	var err error
	if c.matrix, err = NewMatrix(coded, declared); err != nil {
		return c, err
	}
	if c.p = c.matrix.Width() - 1; c.p == 0 {
		return c, errors.New("the formula has no terms")
	}
	for _, o := range f.Offsets {
		parts, _, err := codes(o, declared)
		if err != nil {
			return c, err
		}
		if parts[0].indicator {
			return c, fmt.Errorf("offset(%s): the column is not numeric", o)
		}
		c.offsets.columns = append(c.offsets.columns, product{parts[0]})
	}
	return c, nil
}

// column returns the declaration of a column that the formula names.
func (c conditional) column(name string) Column {
	return c.columns[slices.IndexFunc(c.columns, func(o Column) bool { return o.Name == name })]
}

// conditionalState is the state between two rounds.
type conditionalState struct {
	ascent

	Scale       []float64 `json:"scale,omitempty"` // 0 for a covariate that no set varies in; nil in the first round
	N           int64     `json:"n,omitempty"`
	Sets        int64     `json:"sets,omitempty"`
	Informative int64     `json:"informative,omitempty"`
	Events      int64     `json:"events,omitempty"`
}

// enough is how many sets must say something of the coefficients.
func (c conditional) enough() int {
	if c.least <= 1 {
		return 1
	}
	return max(c.least, setsPerCovariate*c.p)
}

func (c conditional) Columns() []Column       { return c.columns }
func (c conditional) Parameters() int         { return c.p }
func (c conditional) Start() conditionalState { return conditionalState{} }

// Places of the first round's numbers. Two follow for each covariate: the squares within
// informative sets, and the sets in which it varies.
const (
	conditionalRows = iota
	conditionalEvents
	conditionalSets
	conditionalInformative
	conditionalInformativeRows
	conditionalLarge   // sets of more than MaxExactSet rows
	conditionalPartial // rows whose count of events is not whole
	conditionalMoments
)

// Numbers are those, or the log likelihood, its gradient and information.
func (c conditional) Numbers(s conditionalState) int {
	if s.Scale == nil {
		return conditionalMoments + 2*c.p
	}
	return 1 + c.p + packed(c.p, 0)
}

// check reports a state that no round of this model leads to.
func (c conditional) check(s conditionalState) error {
	ok := s.Scale == nil || len(s.Scale) == c.p && s.of(c.p)
	if !ok {
		return errState
	}
	return nil
}

// informative reports whether a set of rows with so many events says anything of the
// coefficients.
func (c conditional) informative(rows int, events float64) bool {
	return rows > 1 && events > 0 && (c.ties != query.Exact || events < float64(rows))
}
