package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// ascent is Newton's method on a log likelihood as R's coxph has it, from coefficients of
// 0: the public state of it, part of a method's own. Coefficients are of covariates
// divided by a scale.
//
// Source: R, package survival, help pages of coxph and coxph.control.
type ascent struct {
	Iterations int `json:"iterations"`
	Halvings   int `json:"halvings,omitempty"` // of the step at hand

	Coefficients []float64 `json:"coefficients,omitempty"`
	Before       []float64 `json:"before,omitempty"` // the best so far
	Best         float64   `json:"best,omitempty"`   // log likelihood there

	NullLogLikelihood float64 `json:"nullLogLikelihood,omitempty"`
	Score             float64 `json:"score,omitempty"` // the test's statistic

	// Dependent says which covariates are linear combinations of others at coefficients of 0,
	// nil if none is. They are at any coefficients, but where one runs away the rounding
	// errors of small weights can hide it, and a step along them leads anywhere.
	Dependent []bool `json:"dependent,omitempty"`
}

// of reports whether the state is that of a search among n covariates.
func (a ascent) of(n int) bool {
	return len(a.Coefficients) == n && (a.Before == nil || len(a.Before) == n) && (a.Dependent == nil || len(a.Dependent) == n)
}

// decompose decomposes the packed information on n covariates, less the dependent ones.
func (a ascent) decompose(information []float64, n int) cholesky {
	if a.Dependent != nil {
		information = slices.Clone(information)
		for i := range n {
			for j := range i + 1 {
				if a.Dependent[i] || a.Dependent[j] {
					information[packed(i, j)] = 0
				}
			}
		}
	}
	return decompose(information, n)
}

// Defaults of R's coxph.control.
const (
	coxEpsilon       = 1e-9
	coxMaxIterations = 20
)

// step takes the step that follows from the log likelihood and its derivatives at
// Coefficients, or reports that these are the last, and whether the iteration converged:
// that is where the log likelihood does not change. A step that made it worse is halved.
func (a ascent) step(now float64, gradient []float64, information cholesky) (next ascent, ended, converged bool) {
	switch {
	case a.Before == nil:
		a.NullLogLikelihood, a.Score = now, information.quadratic(gradient)
		if slices.Contains(information.aliased, true) {
			a.Dependent = information.aliased
		}
	case now == a.Best || math.Abs(1-a.Best/now) <= coxEpsilon:
		return a, true, true
	case a.Iterations == coxMaxIterations:
		return a, true, false
	case now < a.Best:
		a.Halvings++
		a.Coefficients = slices.Clone(a.Coefficients)
		for j := range a.Coefficients {
			a.Coefficients[j] = (a.Coefficients[j] + float64(a.Halvings)*a.Before[j]) / float64(a.Halvings+1)
		}
		a.Iterations++
		return a, false, false
	}
	a.Best, a.Before, a.Halvings = now, a.Coefficients, 0
	a.Coefficients = information.solve(gradient)
	for j := range a.Coefficients {
		a.Coefficients[j] += a.Before[j]
	}
	a.Iterations++
	return a, false, false
}

// table returns the coefficients in the covariates' own units.
func (a ascent) table(names []string, scale []float64, information cholesky) []query.Coefficient {
	table := make([]query.Coefficient, 0, len(names))
	for j, name := range names {
		c := query.Coefficient{Name: name}
		switch {
		case a.lost(j, information):
			c.Estimate = ptr(a.Coefficients[j] / scale[j])
		case !information.aliased[j]:
			estimate := a.Coefficients[j] / scale[j]
			unit := make([]float64, len(names))
			unit[j] = 1 / scale[j]
			c.Estimate, c.SE = ptr(estimate), finite(math.Sqrt(information.quadratic(unit)))
			if c.SE != nil && *c.SE > 0 {
				c.Statistic = ptr(estimate / *c.SE)
				c.P = ptr(math.Erfc(math.Abs(*c.Statistic) / math.Sqrt2))
			}
		}
		table = append(table, c)
	}
	return table
}

// lost reports whether a coefficient ran so far away that the information about it is none.
func (a ascent) lost(j int, information cholesky) bool {
	return information.aliased[j] && a.Before != nil && (a.Dependent == nil || !a.Dependent[j])
}

// infinite returns the numbers, from 1 on, of the coefficients for which far holds of the
// step that would come next and the estimate, both as magnitudes, and of those that are lost.
func (a ascent) infinite(gradient, scale []float64, information cholesky, far func(step, estimate float64) bool) []string {
	var numbers []string
	further := information.solve(gradient)
	for j := range further {
		if a.lost(j, information) || !information.aliased[j] && far(math.Abs(further[j]/scale[j]), math.Abs(a.Coefficients[j]/scale[j])) {
			numbers = append(numbers, fmt.Sprint(j+1))
		}
	}
	return numbers
}

// wald is the coefficients' quadratic form in the packed information.
func (a ascent) wald(information []float64, aliased []bool) float64 {
	sum := 0.0
	for i := range a.Coefficients {
		for j := range a.Coefficients {
			if !aliased[i] && !aliased[j] {
				sum += a.Coefficients[i] * a.Coefficients[j] * information[packed(max(i, j), min(i, j))]
			}
		}
	}
	return sum
}
