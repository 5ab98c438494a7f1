package analysis

import (
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Bounds of the iteration. A Poisson fit that still runs after so many steps runs away,
// and need not be finished; one state's worth of rounds is left for the rest.
const (
	negBinPoissonFits   = 10
	negBinMaxIterations = 25
)

// The iteration ends where the next step, in squared standard errors, is smaller than
// settled: estimates are then within 1e-10 of theirs. It also ends where neither the log
// likelihood changes nor steps become smaller, as with an estimate that is infinite.
const (
	settled   = 1e-20
	stalled   = 1e-11 // of the log likelihood
	wandering = 1e-12
)

// maxThetaStep is the largest step of log θ.
const maxThetaStep = 2

// Next takes a step of the Poisson fit, guesses θ, makes a step of the fit, or ends.
func (g negBin) Next(s negBinState, pooled Pooled) (negBinState, any, error) {
	switch {
	case !s.Poisson:
		next, ended, err := g.glm.Next(s.Mean, pooled)
		if err != nil {
			return s, nil, err
		}
		if s.Mean.Fits < 0 && pooled.Numbers[2*g.matrix.Width()+firstWeighted] == 0 {
			return s, nil, NoResult("all counts are zero")
		}
		s.Mean = next
		if ended != nil || next.Fits == negBinPoissonFits {
			s.Poisson, s.Mean.Final, s.Mean.Before = true, nil, nil
		}
		return s, nil, nil
	case g.check(s) != nil:
		return s, nil, errState
	case s.Theta == 0:
		next, err := g.guess(s, pooled.Numbers)
		return next, nil, err
	}
	_, _, at := g.places()
	rest := pooled.Numbers[at:]
	if s.Final == nil {
		if rest[negBinInvalid] > 0 || s.BeforeTheta > 0 && rest[negBinLikelihood] < s.Best-wandering*(math.Abs(s.Best)+1) {
			return g.stepBack(s)
		}
		s = g.step(s, pooled.Numbers, rest)
	}
	s = g.fitNull(s, rest)
	if s.Final == nil || !s.Mean.NullDone {
		return s, nil, nil
	}
	return s, g.result(s, pooled), nil
}

// guess takes the θ at which the squared residuals are what they should be on the whole.
func (g negBin) guess(s negBinState, numbers []float64) (negBinState, error) {
	if numbers[guessExcess] <= 0 {
		return s, NoResult("theta.ml: iteration limit reached: the counts vary no more than a Poisson model lets them, so that theta is infinite; fit family poisson")
	}
	s.Theta = numbers[guessSquares] / numbers[guessExcess]
	if !(s.Theta > 0) || math.IsInf(s.Theta, 0) {
		return s, NoResult("theta has no first guess: fitted counts run to zero")
	}
	s.Mean.NullDone = len(g.offsets) == 0 || !g.matrix.Intercept
	return s, nil
}

// stepBack halves the last step.
func (g negBin) stepBack(s negBinState) (negBinState, any, error) {
	s.Halvings++
	if s.BeforeTheta == 0 || s.Halvings > glmMaxIterations {
		return s, nil, NoResult("no valid set of coefficients has been found: steps of the fit leave the range of the link")
	}
	coefficients := slices.Clone(s.Mean.Coefficients)
	for j := range coefficients {
		coefficients[j] = (coefficients[j] + s.Mean.Before[j]) / 2
	}
	s.Mean.Coefficients, s.Theta = coefficients, math.Sqrt(s.Theta*s.BeforeTheta)
	return s, nil, nil
}

// step ends the iteration, or takes the next step of it.
func (g negBin) step(s negBinState, numbers, rest []float64) negBinState {
	p := g.matrix.Width()
	atScore, atExpected, atRest := g.places()
	score, likelihood := numbers[atScore:atExpected], rest[negBinLikelihood]
	expected := decompose(numbers[atExpected:atRest], p)
	step := g.direction(numbers[:atScore], score, expected)
	decrement := 0.0
	for i := range step {
		decrement += step[i] * score[i]
	}
	s.Mean.Aliased, s.Mean.Variances = expected.aliased, make([]float64, p)
	for j := range p {
		if !expected.aliased[j] {
			s.Mean.Variances[j] = expected.quadratic(g.own(s.Mean, j))
		}
	}
	still := s.BeforeTheta > 0 && math.Abs(likelihood-s.Best) <= stalled*(math.Abs(likelihood)+0.1) && decrement > 0.1*s.Decrement
	if decrement < settled || still || s.Iterations == negBinMaxIterations {
		s.Final = &negBinFinal{
			Deviance: rest[negBinDeviance], LogLikelihood: likelihood, Converged: decrement < settled || still,
			ThetaSE: s.Theta / math.Sqrt(numbers[packed(p, p)]+score[p]),
		}
		if still && decrement > wandering {
			s.Final.Infinite = g.infinite(s.Mean, step)
		}
		return s
	}
	s.Mean.Before, s.BeforeTheta, s.Best, s.Decrement = s.Mean.Coefficients, s.Theta, likelihood, decrement
	s.Mean.Coefficients = slices.Clone(s.Mean.Coefficients)
	for j := range p {
		s.Mean.Coefficients[j] += step[j]
	}
	s.Theta *= math.Exp(step[p])
	s.Iterations++
	s.Halvings = 0
	return s
}

// direction returns the step in coefficients and log θ. Newton's, unless the likelihood
// is not concave here: then that of scoring, for coefficients and θ each on its own.
func (g negBin) direction(information, score []float64, expected cholesky) []float64 {
	p := len(score) - 1
	joint := decompose(information, p+1)
	step := joint.solve(score)
	if joint.rank != expected.rank+1 || joint.aliased[p] || !slices.Equal(joint.aliased[:p], expected.aliased) {
		byTheta := information[packed(p, p)]
		if byTheta <= 0 {
			byTheta = math.Abs(score[p])
		}
		step = append(expected.solve(score[:p]), 0)
		if score[p] != 0 {
			step[p] = score[p] / byTheta
		}
	}
	if long := math.Abs(step[p]) / maxThetaStep; long > 1 {
		for i := range step {
			step[i] /= long
		}
	}
	return step
}

// fitNull takes the step of the model of an intercept only, if there is one to take.
func (g negBin) fitNull(s negBinState, rest []float64) negBinState {
	s.Mean.NullDeviance = rest[negBinNullDeviance]
	if s.Mean.NullDone {
		return s
	}
	score, weight := rest[negBinNullScore], rest[negBinNullWeight]
	// The deviance is off by the square of the step, and final with θ only.
	if rest[negBinNullInvalid] > 0 || weight <= 0 || s.Final != nil && score*score/weight < 1e-10*math.Abs(s.Mean.NullDeviance) {
		s.Mean.NullDone = true
		return s
	}
	s.Mean.Null += score / weight
	return s
}

// result writes the table.
func (g negBin) result(s negBinState, pooled Pooled) *query.NegativeBinomial {
	rank := int64(0)
	for _, aliased := range s.Mean.Aliased {
		if !aliased {
			rank++
		}
	}
	r := &query.NegativeBinomial{
		Regression: query.Regression{
			Formula: g.Formula.String(), Family: query.NegBinomial, Link: g.family.link, N: s.Mean.N, LeftOut: query.Omitting(pooled.Omitted),
			Dispersion: ptr(1.0), AIC: ptr(2*float64(rank+1) - 2*s.Final.LogLikelihood),
			Deviance: s.Final.Deviance, DF: s.Mean.N - rank, NullDeviance: s.Mean.NullDeviance, NullDF: s.Mean.N,
			Iterations: s.Iterations, Converged: s.Final.Converged,
		},
		Theta: s.Theta, ThetaSE: s.Final.ThetaSE, LogLikelihood: s.Final.LogLikelihood,
	}
	if g.matrix.Intercept {
		r.NullDF--
	}
	if !r.Converged {
		r.Warnings = append(r.Warnings, "alternation limit reached")
	}
	if s.Final.Infinite != "" {
		r.Warnings = append(r.Warnings, mayBeInfinite(r.Converged, s.Final.Infinite))
	}
	r.Coefficients = g.table(s.Mean, r.Dispersion, r.DF)
	return r
}
