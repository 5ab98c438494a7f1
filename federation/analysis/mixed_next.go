package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Bounds of the search for λ: it ends where a step changes it by less than mixedEpsilon, or
// by little and no less than the one before.
const (
	mixedMaxIterations = 30
	mixedEpsilon       = 1e-10
	mixedNoise         = 1e-5
	noSlope            = 1e-10 // of the number of rows, from which the slope at λ = 0 is a difference
	maxRatioStep       = 3     // of log λ
	singular           = 1e-4  // standard deviation of sites over the residual one, R's
	maxRatio           = 1e6   // beyond which residuals within sites are mostly rounding errors
)

// Next ends the first round, takes a step of λ, or ends.
func (g mixed) Next(s mixedState, pooled Pooled) (mixedState, any, error) {
	if s.Mean.Fits < 0 {
		next, err := g.first(s, pooled)
		return next, nil, err
	}
	if !g.scaled(s.Mean) || !(s.Ratio >= 0) {
		return s, nil, errState
	}
	fit, err := g.profile(s, pooled.Numbers)
	if err != nil {
		return s, nil, err
	}
	s.Mean = fit.mean
	if s.Ratio == 0 && fit.slope >= -noSlope*float64(s.Mean.N) {
		return s, g.result(s, pooled, fit, true), nil
	}
	if s.Ratio > maxRatio {
		return s, nil, NoResult("no residuals are left within sites: there are as many coefficients and sites as rows, or the fit is perfect")
	}
	next, ended := s.search(fit.slope, fit.curvature)
	if ended || s.Iterations == mixedMaxIterations {
		return s, g.result(s, pooled, fit, ended), nil
	}
	next.Iterations++
	return next, nil, nil
}

// first ends the first round.
func (g mixed) first(s mixedState, pooled Pooled) (mixedState, error) {
	last := len(pooled.Numbers) - 1
	mean, err := g.scale(Pooled{Rows: pooled.Rows, Numbers: pooled.Numbers[:last]})
	if err != nil {
		return s, err
	}
	sites := pooled.Numbers[last]
	switch {
	case sites != math.Trunc(sites) || sites < 1 || sites > float64(pooled.Sites):
		return s, ErrInconsistent
	case sites == 1:
		return s, NoResult("grouping factors must have > 1 sampled level: only one site has rows")
	case sites >= float64(mean.N):
		return s, NoResult("number of levels of each grouping factor must be < number of observations: each site has one row")
	}
	mean.Fits = 0
	s.Mean, s.Sites = mean, int64(sites)
	return s, nil
}

// mixedFit is the fit of the coefficients at a λ.
type mixedFit struct {
	mean     glmState
	rank     int
	residual float64 // variance
	value    float64 // of the criterion, -2 log likelihood

	slope, curvature float64 // by λ
}

// profile fits coefficients and residual variance at the state's λ.
func (g mixed) profile(s mixedState, numbers []float64) (mixedFit, error) {
	p, block := g.matrix.Width(), g.block()
	square, first, second := numbers[:block], numbers[block:2*block], numbers[2*block:3*block]
	information := decompose(square[:packed(p, 0)], p)
	row := func(m []float64) []float64 { return m[packed(p, 0):packed(p, p)] }
	step := information.solve(row(square))
	df := float64(s.Mean.N)
	if g.criterion == query.REML {
		df -= float64(information.rank)
	}
	squares := square[packed(p, p)] - dot(step, row(square)) // weighted, of the residuals
	if df <= 0 || !(squares > 0) {
		return mixedFit{}, NoResult("no residuals are left: there are as many coefficients as rows, or the fit is perfect")
	}
	// The derivatives of squares follow from those of the sums, as step solves the normal
	// equations whatever λ is.
	slopes := row(first)
	change := make([]float64, p) // of the score
	for i := range p {
		change[i] = slopes[i] - timesRow(first, step, i)
	}
	d1 := first[packed(p, p)] - 2*dot(step, slopes) + form(first, step)
	d2 := second[packed(p, p)] - 2*dot(step, row(second)) + form(second, step) - 2*information.quadratic(change)
	fit := mixedFit{
		mean: s.Mean, rank: information.rank, residual: squares / df * g.unit * g.unit,
		value:     numbers[3*block] + df*(1+math.Log(2*math.Pi*squares/df*g.unit*g.unit)),
		slope:     numbers[3*block+1] + df*d1/squares,
		curvature: numbers[3*block+2] + df*(d2/squares-d1*d1/squares/squares),
	}
	if g.criterion == query.REML {
		value, d1, d2 := information.determinant(first, second)
		for j := range p {
			if !information.aliased[j] && (j > 0 || !g.matrix.Intercept) {
				value += 2 * math.Log(s.Mean.Scale[j])
			}
		}
		fit.value += value
		fit.slope += d1
		fit.curvature += d2
	}
	fit.mean.Coefficients = slices.Clone(s.Mean.Coefficients)
	fit.mean.Aliased, fit.mean.Variances = information.aliased, make([]float64, p)
	for j := range p {
		fit.mean.Coefficients[j] += step[j]
		if information.aliased[j] {
			fit.mean.Coefficients[j] = 0
		}
	}
	for j := range p {
		if !information.aliased[j] {
			fit.mean.Variances[j] = information.quadratic(g.own(fit.mean, j))
		}
	}
	return fit, nil
}

// determinant returns the logarithm of the decomposed matrix's determinant, and its
// derivatives given those of the packed matrix.
func (c cholesky) determinant(first, second []float64) (value, d1, d2 float64) {
	solved := make([][]float64, c.n) // A⁻¹ times the derivative, by column
	for j := range c.n {
		if c.aliased[j] {
			continue
		}
		value += 2 * math.Log(c.lower[packed(j, j)])
		column, other := make([]float64, c.n), make([]float64, c.n)
		for i := range c.n {
			column[i], other[i] = first[packed(max(i, j), min(i, j))], second[packed(max(i, j), min(i, j))]
		}
		solved[j] = c.solve(column)
		d1 += solved[j][j]
		d2 += c.solve(other)[j]
	}
	for i := range c.n {
		for j := range c.n {
			if !c.aliased[i] && !c.aliased[j] {
				d2 -= solved[j][i] * solved[i][j]
			}
		}
	}
	return value, d1, d2
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// timesRow is row i of a packed symmetric matrix times a vector.
func timesRow(m, v []float64, i int) float64 {
	sum := 0.0
	for j := range v {
		sum += m[packed(max(i, j), min(i, j))] * v[j]
	}
	return sum
}

// form is the quadratic form of a vector in a packed symmetric matrix.
func form(m, v []float64) float64 {
	sum := 0.0
	for i := range v {
		sum += v[i] * timesRow(m, v, i)
	}
	return sum
}

// search returns the λ to try next, given the criterion's derivatives at the one so far, or
// reports that this is the last. Steps are Newton's in log λ, or half the way if that leaves
// where the minimum must be.
func (s mixedState) search(slope, curvature float64) (mixedState, bool) {
	if slope < 0 {
		s.Low = s.Ratio
	} else {
		s.High = s.Ratio
	}
	if s.Ratio == 0 {
		// The first λ above 0, from the criterion's parabola there.
		s.Ratio = 1
		if curvature > 0 {
			s.Ratio = min(-slope/curvature, 1)
		}
		return s, false
	}
	step := math.Copysign(maxRatioStep, -slope)
	if second := s.Ratio * (slope + s.Ratio*curvature); second > 0 {
		step = min(max(-s.Ratio*slope/second, -maxRatioStep), maxRatioStep)
	}
	if size := math.Abs(step); size < mixedEpsilon || size < mixedNoise && size >= math.Abs(s.Step)/2 && s.Step != 0 {
		return s, true
	}
	next := s.Ratio * math.Exp(step)
	if next <= s.Low || s.High > 0 && next >= s.High {
		switch {
		case s.High == 0:
			next = s.Ratio * math.Exp(maxRatioStep)
		case s.Low == 0:
			next = s.High / math.Exp(maxRatioStep)
		default:
			next = math.Sqrt(s.Low * s.High)
		}
	}
	s.Step, s.Ratio = math.Log(next/s.Ratio), next
	return s, false
}

// result writes the table.
func (g mixed) result(s mixedState, pooled Pooled, fit mixedFit, converged bool) *query.Mixed {
	r := &query.Mixed{
		Formula: g.Formula.String(), Criterion: g.criterion, N: s.Mean.N, LeftOut: query.Omitting(pooled.Omitted), Sites: s.Sites,
		Coefficients: g.table(fit.mean, &fit.residual, s.Mean.N-int64(fit.rank)),
		SiteVariance: s.Ratio * fit.residual, ResidualVariance: fit.residual,
		LogLikelihood: -fit.value / 2, AIC: fit.value + 2*float64(fit.rank+2),
		Iterations: s.Iterations, Converged: converged,
	}
	for i := range r.Coefficients {
		r.Coefficients[i].P = nil // lmer gives none: the degrees of freedom are not known
	}
	switch dropped := g.matrix.Width() - fit.rank; dropped {
	case 0:
	case 1:
		r.Warnings = append(r.Warnings, "fixed-effect model matrix is rank deficient so dropping 1 column / coefficient")
	default:
		r.Warnings = append(r.Warnings, fmt.Sprintf("fixed-effect model matrix is rank deficient so dropping %d columns / coefficients", dropped))
	}
	if math.Sqrt(s.Ratio) < singular {
		r.Warnings = append(r.Warnings, "boundary (singular) fit: see help('isSingular')")
	}
	if !converged {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the variance of sites did not settle in %d iterations", mixedMaxIterations))
	}
	return r
}
