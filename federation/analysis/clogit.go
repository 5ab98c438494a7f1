package analysis

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ConditionalLogistic fits a logistic regression of matched sets of cases and controls, by
// the likelihood that these of a set are the cases given how many there are: R's clogit on
// the pooled data, with the same steps. Its result is a *[query.Conditional].
//
// A set lies within one site, and its columns say no more than which of a site's rows
// belong together: one number at two sites is two sets, and so is a level that sites share.
// A set without cases or without
// controls counts for nothing; with Efron's and Breslow's ties, one of cases only does count,
// as in R.
//
// # What the sums show
//
// What a matched pair adds to the first step is half the difference between case and
// control, a fact about two persons. The sum over the sites is about all sets, but in a
// covariate that only one set varies in, it is that set's. So there is no result if a
// covariate varies in fewer than MinSets sets, but some, or if fewer than MinSets, or than
// ten for each covariate, say anything of the coefficients.
//
// Source: R, package survival, help page of clogit; Breslow and Day, "Statistical Methods
// in Cancer Research", volume 1 (1980), chapter 7.
type ConditionalLogistic struct {
	// Formula is case ~ terms + strata(set), with offset(…) if need be. Several strata(…) are
	// crossed.
	Formula formula.Formula
	Ties    query.Ties // exact, efron or breslow, R's approximate; "" for exact

	// MinSets is how many sets must vary in each covariate, 0 or 1 for any number.
	MinSets int

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// New checks the model and returns it as a method.
func (m ConditionalLogistic) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m ConditionalLogistic) over(declared []Column) (Rounds[conditionalState], error) {
	m.Declared = declared
	c, err := newConditional(m.Formula, m.Declared, m.MinSets)
	if err != nil {
		return nil, fmt.Errorf("conditional logistic: %w", err)
	}
	if c.ties = m.Ties; c.ties == "" {
		c.ties = query.Exact
	}
	if c.ties != query.Exact && c.ties != query.Efron && c.ties != query.Breslow {
		return nil, errors.New("conditional logistic: ties are exact, efron or breslow")
	}
	if c.column(c.response).Kind != Logical {
		return nil, fmt.Errorf("conditional logistic: the column %s must be logical: true for a case, false for a control", c.response)
	}
	return c, nil
}
