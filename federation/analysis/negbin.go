package analysis

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// NegativeBinomial fits a regression of counts that vary more than a Poisson model lets
// them: the variance at a mean μ is μ + μ²/θ, and θ is estimated too. It ends at the maximum
// of the likelihood, to which R's glm.nb (package MASS) comes as close as its epsilon
// says; standard errors, tests and AIC are R's. Its result is a *[query.NegativeBinomial].
//
// First come the rounds of a Poisson [GLM], then one for a first guess of θ, by moments.
// Each further round takes the first and second derivatives of the log likelihood at the
// coefficients and the θ so far, for a step of Newton's method in coefficients and log θ
// together, which takes fewer rounds than fitting them in turns. The state shows θ, and so
// do the sums over functions of counts and θ.
//
// There is no result where the counts vary no more than a Poisson model lets them: R's θ
// then grows until its "iteration limit reached".
//
// Source: R, package MASS, help pages of glm.nb and theta.ml; Venables and Ripley, "Modern
// Applied Statistics with S", 4th edition (2002), section 7.4; Lawless, "Negative binomial
// and mixed Poisson regression", Canadian Journal of Statistics 15 (1987) 209-225.
type NegativeBinomial struct {
	Formula formula.Formula
	Link    query.Link // log, sqrt or identity; "" for log
	Weights string     // column with prior weights, "" for none

	// Declared are the columns that the formula and Weights name, and perhaps others.
	Declared []Column
}

// maxNegBinWidth is the widest design matrix whose sums fit in a round.
const maxNegBinWidth = 139

// New checks the model and returns it as a method.
func (m NegativeBinomial) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m NegativeBinomial) over(declared []Column) (Rounds[negBinState], error) {
	g, err := GLM{
		Formula: m.Formula, Family: query.Poisson, Link: m.Link, Weights: m.Weights, Declared: declared,
	}.check()
	switch {
	case err != nil:
		return nil, fmt.Errorf("negative binomial: %w", err)
	case g.matrix.Width() > maxNegBinWidth:
		return nil, fmt.Errorf("negative binomial: the formula has more than %d columns, with one for each level of a factor", maxNegBinWidth)
	}
	return negBin{g}, nil
}

// negBin is a checked model. Its Poisson model has the link, matrix and weights.
type negBin struct{ glm }

// negBinState is the state between two rounds. While Theta is 0 it is of the Poisson fit,
// and after that of the round for the first guess.
type negBinState struct {
	// Mean is the model of the mean: as the Poisson fit leaves it, with coefficients and
	// what follows from them of the fit at hand.
	Mean    glmState `json:"mean"`
	Poisson bool     `json:"poisson,omitempty"` // the Poisson fit has ended
	Theta   float64  `json:"theta,omitempty"`

	Iterations int     `json:"iterations,omitempty"`
	Halvings   int     `json:"halvings,omitempty"`  // of the step at hand
	Decrement  float64 `json:"decrement,omitempty"` // of the step before, in squared standard errors

	// The best so far, to step back to; the coefficients are Mean's Before.
	BeforeTheta float64 `json:"beforeTheta,omitempty"` // 0 for none
	Best        float64 `json:"best,omitempty"`        // log likelihood

	// Final is set once coefficients and Theta are, while the model of an intercept only
	// is still being fitted.
	Final *negBinFinal `json:"final,omitempty"`
}

// negBinFinal is what is known of the fit at its last coefficients.
type negBinFinal struct {
	Deviance      float64 `json:"deviance"`
	LogLikelihood float64 `json:"logLikelihood"`
	ThetaSE       float64 `json:"thetaSe"`
	Converged     bool    `json:"converged"`
	Infinite      string  `json:"infinite,omitempty"` // the columns that may have no finite estimate
}

func (g negBin) Parameters() int    { return g.matrix.Width() + 1 }
func (g negBin) Start() negBinState { return negBinState{Mean: g.glm.Start()} }

// Places of the numbers behind the information by coefficients and log θ, the score by
// them and the expected information by coefficients.
const (
	negBinLikelihood = iota
	negBinDeviance
	negBinNullDeviance
	negBinNullWeight
	negBinNullScore
	negBinInvalid
	negBinNullInvalid
	negBinNumbers
)

// Places of the numbers of the round for the first guess of θ.
const (
	guessSquares = iota // of μ
	guessExcess         // of (y-μ)² over y
	guessNumbers
)

// places returns where the score, the expected information and the rest begin.
func (g negBin) places() (score, expected, rest int) {
	p := g.matrix.Width()
	score = packed(p+1, 0)
	expected = score + p + 1
	return score, expected, expected + packed(p, 0)
}

func (g negBin) Numbers(s negBinState) int {
	switch {
	case !s.Poisson:
		return g.glm.Numbers(s.Mean)
	case s.Theta == 0:
		return guessNumbers
	}
	_, _, rest := g.places()
	return rest + negBinNumbers
}

func (g negBin) Site(s negBinState, f *Frame, sums *Sums) error {
	if !s.Poisson {
		return g.glm.Site(s.Mean, f, sums)
	}
	if err := g.check(s); err != nil {
		return err
	}
	return g.rows(f, func(x []float64, y, w, offset float64) {
		switch {
		case w == 0:
		case s.Theta == 0:
			mu, _ := g.family.mean(g.linear(s.Mean, x) + offset)
			sums.Add(guessSquares, w*mu*mu)
			sums.Add(guessExcess, w*((y-mu)*(y-mu)-y))
		default:
			g.add(s, x, y, w, offset, sums)
		}
	})
}

// check reports a state after the Poisson fit that no round of this model leads to.
func (g negBin) check(s negBinState) error {
	if !g.scaled(s.Mean) || !(s.Theta >= 0) || s.BeforeTheta > 0 && len(s.Mean.Before) != g.matrix.Width() {
		return errState
	}
	return nil
}

// add adds one person at the state's coefficients and θ.
func (g negBin) add(s negBinState, x []float64, y, w, offset float64, sums *Sums) {
	score, expected, rest := g.places()
	linear := g.linear(s.Mean, x)
	g.addNull(s, y, w, offset, sums)
	mu, slope := g.family.mean(linear + offset)
	if !g.family.valid(mu) {
		sums.Add(rest+negBinInvalid, 1)
		return
	}
	c := countAt(y, mu, s.Theta)
	sums.Add(rest+negBinLikelihood, w*c.logLikelihood)
	sums.Add(rest+negBinDeviance, w*c.deviance)

	p := len(x)
	byMean := -w * (c.meanMean*slope*slope + c.mean*g.family.curvature(mu))
	byBoth := -w * c.meanTheta * slope * s.Theta
	byTheta := -w * (c.thetaTheta*s.Theta*s.Theta + c.theta*s.Theta)
	weight := w * slope * slope / c.variance
	for i := range p {
		for j := range i + 1 {
			sums.Add(packed(i, j), byMean*x[i]*x[j])
			sums.Add(expected+packed(i, j), weight*x[i]*x[j])
		}
		sums.Add(packed(p, i), byBoth*x[i])
		sums.Add(score+i, w*c.mean*slope*x[i])
	}
	sums.Add(packed(p, p), byTheta)
	sums.Add(score+p, w*c.theta*s.Theta)
}

// addNull adds what the model of an intercept only needs: its deviance, and with an
// offset its fit.
func (g negBin) addNull(s negBinState, y, w, offset float64, sums *Sums) {
	_, _, rest := g.places()
	mu, slope := g.family.mean(s.Mean.Null + offset)
	if !g.family.valid(mu) {
		sums.Add(rest+negBinNullInvalid, 1)
		return
	}
	c := countAt(y, mu, s.Theta)
	sums.Add(rest+negBinNullDeviance, w*c.deviance)
	if len(g.offsets) > 0 && g.matrix.Intercept {
		sums.Add(rest+negBinNullWeight, w*slope*slope/c.variance)
		sums.Add(rest+negBinNullScore, w*c.mean*slope)
	}
}

// count is one person's part of the log likelihood, with its derivatives by the mean and
// by θ, and of the deviance.
type count struct {
	logLikelihood, deviance, variance float64

	mean, meanMean, meanTheta, theta, thetaTheta float64
}

// countAt is written so that little cancels where θ is large.
func countAt(y, mu, theta float64) count {
	both := mu + theta
	log, first, second := rising(theta, y)
	return count{
		logLikelihood: log - logGamma(y+1) + timesLog(y, mu/both) - theta*math.Log1p(mu/theta),
		deviance:      2 * (timesLog(y, y/mu) - (y+theta)*math.Log1p((y-mu)/both)),
		variance:      mu * both / theta,
		mean:          theta * (y - mu) / (mu * both),
		meanMean:      (y+theta)/(both*both) - y/(mu*mu),
		meanTheta:     (y - mu) / (both * both),
		theta:         first - math.Log1p(mu/theta) - (y-mu)/both,
		thetaTheta:    second + mu/(theta*both) + (y-mu)/(both*both),
	}
}

// maxRising is the largest count whose factors are taken one by one.
const maxRising = 100

// rising returns log Γ(theta+y) - log Γ(theta) with its derivatives by theta.
func rising(theta, y float64) (log, first, second float64) {
	if y > maxRising || y != math.Trunc(y) {
		return logGamma(theta+y) - logGamma(theta),
			mathext.Digamma(theta+y) - mathext.Digamma(theta),
			mathext.Zeta(2, theta+y) - mathext.Zeta(2, theta) // of trigamma
	}
	for k := 0.0; k < y; k++ {
		log += math.Log(theta + k)
		first += 1 / (theta + k)
		second -= 1 / ((theta + k) * (theta + k))
	}
	return log, first, second
}
