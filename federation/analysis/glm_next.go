package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next takes one step: it scales the columns, or makes a weighted fit, or ends.
func (g glm) Next(s glmState, pooled Pooled) (glmState, any, error) {
	if s.Fits < 0 {
		next, err := g.scale(pooled)
		return next, nil, err
	}
	p := g.matrix.Width()
	rest := pooled.Numbers[packed(p, 0)+p:]
	if s.Final == nil {
		if rest[roundInvalid] > 0 {
			return g.stepBack(s)
		}
		deviance := rest[roundDeviance] * g.unit * g.unit
		converged := s.Fits > 0 && math.Abs(deviance-s.Deviance)/(math.Abs(deviance)+0.1) < glmEpsilon
		if converged || s.Fits == glmMaxIterations {
			s.Final = &glmFinal{
				Deviance: deviance, LogLikelihood: rest[roundLikelihood],
				Extremes: rest[roundExtremes] > 0, Converged: converged, Boundary: s.Halvings > 0,
				Infinite: g.running(s, pooled.Numbers),
			}
		}
	}
	s = g.fitNull(s, rest)
	if s.Final != nil {
		if !s.NullDone {
			return s, nil, nil
		}
		return s, g.result(s, pooled), nil
	}
	return g.fit(s, pooled.Numbers), nil, nil
}

// leastSpread is the least standard deviation a column is scaled by, over half the width
// of its range: what rounding leaves of the difference of two sums of squares.
const leastSpread = 1e-8

// scale ends the first round.
func (g glm) scale(pooled Pooled) (glmState, error) {
	p := g.matrix.Width()
	rest := pooled.Numbers[2*p:]
	n, weight := rest[firstPersons], rest[firstWeight]
	if n != math.Trunc(n) || n < 0 || n > float64(pooled.Rows) {
		return glmState{}, ErrInconsistent
	}
	if n == 0 {
		return glmState{}, NoResult("there is nobody without a missing value")
	}
	s := glmState{
		Center: make([]float64, p), Scale: make([]float64, p), Coefficients: make([]float64, p),
		Log: rest[firstLog], N: int64(n), NoAIC: rest[firstUncountable] > 0,
	}
	for j := range p {
		middle, half := g.spread(j)
		if g.matrix.Intercept && j == 0 {
			continue
		}
		mean, square := pooled.Numbers[2*j]/n, pooled.Numbers[2*j+1]/n
		squares := half*half*square + middle*(middle+2*half*mean)
		if g.matrix.Intercept { // without one, a centred column is another one
			s.Center[j] = middle + half*mean
			squares = half * half * (square - mean*mean)
		}
		// A column that is constant but for rounding errors is the fit's to find.
		s.Scale[j] = max(math.Sqrt(max(squares, 0)), half*leastSpread)
	}
	var err error
	s.Null, s.NullDone, err = g.startNull(weight, rest[firstWeighted])
	return s, err
}

// startNull returns the predictor of the model without terms, and whether it is final:
// the mean, as R takes it, unless there is an offset too.
func (g glm) startNull(weight, weighted float64) (float64, bool, error) {
	switch {
	case !g.matrix.Intercept:
		return 0, true, nil
	case len(g.offsets) > 0:
		return 0, false, nil
	}
	mean := weighted / weight
	if g.family.name != query.Gaussian && mean <= 0 || g.family.name == query.Binomial && mean >= 1 {
		// Everybody has the same response: R's fit runs to the end of the range.
		mean = min(max(mean, epsilon), 1-epsilon)
	}
	return g.family.predictor(mean), true, nil
}

// fitNull takes the step of the model of an intercept only, if there is one to take.
func (g glm) fitNull(s glmState, rest []float64) glmState {
	deviance := rest[roundNullDeviance] * g.unit * g.unit
	if s.NullDone {
		s.NullDeviance = deviance
		return s
	}
	settled := s.Fits > 0 && math.Abs(deviance-s.NullDeviance)/(math.Abs(deviance)+0.1) < glmEpsilon
	s.NullDeviance = deviance
	if settled || rest[roundNullWeight] <= 0 || rest[roundNullInvalid] > 0 {
		s.NullDone = true
		return s
	}
	s.Null += rest[roundNullScore] / rest[roundNullWeight]
	return s
}

// stepBack halves the last step, as R does when a fit leaves the range of the family.
func (g glm) stepBack(s glmState) (glmState, any, error) {
	if s.Fits < 2 {
		return s, nil, NoResult("no valid set of coefficients has been found: the first fit leaves the range of the family, and R too asks for starting values here")
	}
	if s.Halvings++; s.Halvings > glmMaxIterations {
		return s, nil, NoResult("the step size could not be corrected: every step towards the fit leaves the range of the family")
	}
	coefficients := slices.Clone(s.Coefficients)
	for j := range coefficients {
		coefficients[j] = (coefficients[j] + s.Before[j]) / 2
	}
	s.Coefficients = coefficients
	return s, nil, nil
}

// fit makes the weighted fit and keeps what the result may need of it.
func (g glm) fit(s glmState, numbers []float64) glmState {
	p := g.matrix.Width()
	square, score := numbers[:packed(p, 0)], numbers[packed(p, 0):packed(p, 0)+p]
	c := decompose(square, p)
	step := c.solve(score)
	s.Before, s.Coefficients = s.Coefficients, slices.Clone(s.Coefficients)
	for j := range step {
		s.Coefficients[j] += step[j]
		if c.aliased[j] {
			s.Coefficients[j] = 0
		}
	}
	s.Aliased, s.Variances = c.aliased, make([]float64, p)
	for j := range p {
		if !c.aliased[j] {
			s.Variances[j] = c.quadratic(g.own(s, j))
		}
	}
	s.Deviance = numbers[packed(p, 0)+p+roundDeviance] * g.unit * g.unit
	s.Fits++
	s.Halvings = 0
	return s
}

// A coefficient may be infinite if the step after the last moves it by more than so much of it,
// and of its standard error: where the fit has a maximum, steps shrink with their square.
const (
	infiniteStep  = 1e-3
	infiniteError = 1e-7
)

// perfectFit is the deviance, beside that without terms, of a logistic model that tells all
// responses: weights are then rounding errors, and so are steps.
const perfectFit = 1e-6

// running names the columns whose coefficients still move where the deviance does not.
func (g glm) running(s glmState, numbers []float64) string {
	if g.family.name == query.Gaussian || len(s.Variances) == 0 {
		return ""
	}
	p := g.matrix.Width()
	c := decompose(numbers[:packed(p, 0)], p)
	return g.infinite(s, c.solve(numbers[packed(p, 0):packed(p, 0)+p]))
}

// infinite names the columns that a further step would move.
func (g glm) infinite(s glmState, step []float64) string {
	var names []string
	for j, name := range g.matrix.Names {
		if s.Aliased[j] {
			continue
		}
		move := 0.0
		for k, b := range g.own(s, j) {
			move += b * step[k]
		}
		if move = math.Abs(move); move > infiniteStep*math.Abs(g.estimate(s, j)) && move > infiniteError*math.Sqrt(s.Variances[j]) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// mayBeInfinite is the warning of such columns of R's coxph, where its glm is silent.
func mayBeInfinite(converged bool, names string) string {
	ended := "Loglik converged"
	if !converged {
		ended = "Ran out of iterations"
	}
	return fmt.Sprintf("%s before variable %s; coefficient may be infinite.", ended, names)
}

// own returns the combination of scaled coefficients that is coefficient j in the
// column's own unit.
func (g glm) own(s glmState, j int) []float64 {
	b := make([]float64, g.matrix.Width())
	if !g.matrix.Intercept || j > 0 {
		b[j] = 1 / s.Scale[j]
		return b
	}
	b[0] = 1
	for k := 1; k < len(b); k++ {
		if s.Scale[k] > 0 && !s.Aliased[k] {
			b[k] = -s.Center[k] / s.Scale[k]
		}
	}
	return b
}

// result writes the table.
func (g glm) result(s glmState, pooled Pooled) *query.Regression {
	rank := int64(0)
	for _, aliased := range s.Aliased {
		if !aliased {
			rank++
		}
	}
	r := &query.Regression{
		Formula: g.Formula.String(), Family: g.family.name, Link: g.family.link, N: s.N, LeftOut: query.Omitting(pooled.Omitted),
		Deviance: s.Final.Deviance, DF: s.N - rank, NullDeviance: s.NullDeviance, NullDF: s.N,
		Iterations: s.Fits, Converged: s.Final.Converged,
	}
	if g.matrix.Intercept {
		r.NullDF--
	}
	if g.family.name != query.Gaussian {
		r.Dispersion, r.AIC = ptr(1.0), ptr(2*float64(rank)-2*s.Final.LogLikelihood)
	} else {
		n := float64(s.N)
		r.Dispersion = finite(r.Deviance / float64(r.DF))
		r.AIC = finite(n*(math.Log(2*math.Pi*r.Deviance/n)+1) + 2 - s.Log + 2*float64(rank))
	}
	if s.NoAIC || r.Dispersion == nil {
		r.AIC = nil
	}
	if !r.Converged {
		r.Warnings = append(r.Warnings, "glm.fit: algorithm did not converge")
	}
	if s.Final.Boundary {
		r.Warnings = append(r.Warnings, "glm.fit: algorithm stopped at boundary value")
	}
	if s.Final.Extremes {
		r.Warnings = append(r.Warnings, map[query.Family]string{
			query.Binomial: "glm.fit: fitted probabilities numerically 0 or 1 occurred",
			query.Poisson:  "glm.fit: fitted rates numerically 0 occurred",
		}[g.family.name])
	}
	if s.Final.Infinite == "" && g.family.name == query.Binomial && r.Deviance < perfectFit*r.NullDeviance {
		s.Final.Infinite = strings.Join(g.matrix.Names, ",")
	}
	if s.Final.Infinite != "" {
		r.Warnings = append(r.Warnings, mayBeInfinite(r.Converged, s.Final.Infinite))
	}
	r.Coefficients = g.table(s, r.Dispersion, r.DF)
	return r
}

// table returns the coefficients in the columns' own units, with standard errors unless
// dispersion is nil.
func (g glm) table(s glmState, dispersion *float64, df int64) []query.Coefficient {
	table := make([]query.Coefficient, 0, len(g.matrix.Names))
	for j, name := range g.matrix.Names {
		c := query.Coefficient{Name: name}
		if !s.Aliased[j] {
			c.Estimate = ptr(g.estimate(s, j))
			if dispersion != nil {
				c.SE = finite(math.Sqrt(*dispersion * s.Variances[j]))
			}
			if c.SE != nil && *c.SE > 0 {
				c.Statistic = ptr(*c.Estimate / *c.SE)
				c.P = ptr(g.pValue(*c.Statistic, df))
			}
		}
		table = append(table, c)
	}
	return table
}

func (g glm) estimate(s glmState, j int) float64 {
	sum := 0.0
	for k, b := range g.own(s, j) {
		sum += b * s.Coefficients[k]
	}
	return sum * g.unit
}

// pValue is two-sided, by Student's t for an estimated dispersion, else by the normal
// distribution.
func (g glm) pValue(statistic float64, df int64) float64 {
	if g.family.name != query.Gaussian {
		return math.Erfc(math.Abs(statistic) / math.Sqrt2)
	}
	n := float64(df)
	return mathext.RegIncBeta(n/2, 0.5, n/(n+statistic*statistic))
}

// finite returns v, or nil for what JSON and a reader have no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
