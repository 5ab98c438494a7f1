package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// GLM fits a generalized linear model by iteratively reweighted least squares, to the
// numbers of R's glm on the pooled data: the same start, the same steps, the same rule
// for convergence and the same table. Its result is a *[query.Regression].
//
// The first round takes sums of each column of the design matrix, so that from then on
// columns are centred and scaled: sums of squares of raw columns lose too many digits.
// Each further round takes X'WX and X'Wr at the coefficients so far, with the deviance.
//
// Source: R, help page of glm; McCullagh and Nelder, "Generalized Linear Models", 2nd
// edition (1989), section 2.5.
type GLM struct {
	Formula formula.Formula
	Family  query.Family
	Link    query.Link // "" for the family's usual one
	Weights string     // column with prior weights, "" for none

	// Declared are the columns that the formula and Weights name, and perhaps others.
	Declared []Column
}

// Defaults of R's glm.control.
const (
	glmEpsilon       = 1e-8
	glmMaxIterations = 25
)

// New checks the model and returns it as a method.
func (m GLM) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m GLM) over(declared []Column) (Rounds[glmState], error) {
	m.Declared = declared
	g, err := m.check()
	if err != nil {
		return nil, fmt.Errorf("glm: %w", err)
	}
	return g, nil
}

// check returns the model with what follows from the declarations.
func (m GLM) check() (glm, error) {
	g := glm{GLM: m}
	var err error
	if g.family, err = newFamily(m.Family, m.Link); err != nil {
		return g, err
	}
	if g.response, err = m.responseColumn(g.family); err != nil {
		return g, err
	}
	if len(m.Formula.Strata) > 0 {
		return g, errors.New("a generalized linear model has no strata; name the column as a factor")
	}
	if g.matrix, err = NewMatrix(m.Formula, m.Declared); err != nil {
		return g, err
	}
	if g.matrix.Width() == 0 {
		return g, errors.New("the formula has neither terms nor an intercept")
	}
	if err := g.readOnly(); err != nil {
		return g, err
	}
	g.unit = 1
	if g.family.name == query.Gaussian { // any other family's response is a count or a share
		low, high := g.response.bounds()
		g.unit = powerOfTwo(math.Max(-low, high))
	}
	return g, nil
}

// readOnly collects the columns that are read and checks offsets and weights.
func (g *glm) readOnly() error {
	names := g.Formula.Columns()
	for _, o := range g.Formula.Offsets {
		parts, _, err := codes(o, g.Declared)
		if err != nil {
			return err
		}
		if parts[0].indicator {
			return fmt.Errorf("offset(%s): the column is not numeric", o)
		}
		g.offsets = append(g.offsets, product{parts[0]})
	}
	if g.Weights != "" {
		names = append(names, g.Weights)
	}
	for _, c := range g.Declared {
		if c.Name == g.Weights && (c.Kind != Numeric || c.Low < 0 || c.High > maxMean) {
			return fmt.Errorf("weights: the column %s must be numeric, from 0 to %g", c.Name, maxMean)
		}
		for _, name := range names {
			if name == c.Name {
				g.columns = append(g.columns, c)
				break
			}
		}
	}
	for _, name := range names {
		found := false
		for _, c := range g.columns {
			found = found || c.Name == name
		}
		if !found {
			return fmt.Errorf("the column %s is not declared", name)
		}
	}
	return nil
}

// responseColumn checks the response against the family.
func (m GLM) responseColumn(f family) (part, error) {
	if m.Formula.Response == nil || m.Formula.Response.Function == formula.Surv {
		return part{}, errors.New("the formula needs a column, or a function of one, before ~")
	}
	parts, _, err := codes(*m.Formula.Response, m.Declared)
	if err != nil {
		return part{}, err
	}
	p := parts[0]
	low, high := p.bounds()
	switch {
	case p.indicator && f.name != query.Binomial:
		return part{}, fmt.Errorf("the response of family %s must be numeric", f.name)
	case p.indicator: // R: the first level is failure, all others success
		p.indicator = false
	case f.name == query.Binomial && (low < 0 || high > 1):
		return part{}, errors.New("the response of family binomial must be logical, a factor, or a number from 0 to 1")
	case f.name == query.Poisson && low < 0:
		return part{}, errors.New("the response of family poisson must not be negative: raise the column's low")
	case math.Max(-low, high) > maxMean:
		return part{}, fmt.Errorf("the response must lie within %g", maxMean)
	}
	return p, nil
}

// glm is a checked model.
type glm struct {
	GLM
	family   family
	response part
	matrix   Matrix
	offsets  []product
	columns  []Column

	// unit is a power of two that the response is divided by, and predictors with it.
	unit float64
}

// powerOfTwo returns the smallest power of two that v, above 0, does not exceed.
func powerOfTwo(v float64) float64 {
	fraction, exponent := math.Frexp(v)
	if fraction == 0.5 {
		exponent--
	}
	return math.Ldexp(1, exponent)
}

// glmState is the state between two rounds. Coefficients and sums are of the design
// matrix with its columns centred and scaled.
type glmState struct {
	Fits int `json:"fits"` // weighted fits so far, -1 before the columns are scaled

	Center []float64 `json:"center,omitempty"`
	Scale  []float64 `json:"scale,omitempty"` // 0 for a column that can have one value only
	Log    float64   `json:"log,omitempty"`   // sum of the logarithms of the prior weights above 0
	N      int64     `json:"n,omitempty"`     // persons with such a weight
	NoAIC  bool      `json:"noAic,omitempty"` // the responses have no likelihood

	Coefficients []float64 `json:"coefficients,omitempty"`
	Before       []float64 `json:"before,omitempty"` // coefficients of the fit before, to step back to
	Halvings     int       `json:"halvings,omitempty"`
	Deviance     float64   `json:"deviance,omitempty"` // at Before

	// Of the last fit, in the columns' own units.
	Aliased   []bool    `json:"aliased,omitempty"`
	Variances []float64 `json:"variances,omitempty"` // of the estimates, over the dispersion

	// The model of an intercept only: its predictor, and whether that is final.
	Null         float64 `json:"null,omitempty"`
	NullDone     bool    `json:"nullDone,omitempty"`
	NullDeviance float64 `json:"nullDeviance,omitempty"`

	// Final is set once the coefficients are, while the model of an intercept only is
	// still being fitted.
	Final *glmFinal `json:"final,omitempty"`
}

// glmFinal is what is known of the fit at its last coefficients.
type glmFinal struct {
	Deviance      float64 `json:"deviance"`
	LogLikelihood float64 `json:"logLikelihood"`
	Extremes      bool    `json:"extremes"`
	Converged     bool    `json:"converged"`
	Boundary      bool    `json:"boundary"`           // the last step was halved
	Infinite      string  `json:"infinite,omitempty"` // the columns that may have no finite estimate
}

func (g glm) Columns() []Column { return g.columns }
func (g glm) Parameters() int   { return g.matrix.Width() }
func (g glm) Start() glmState   { return glmState{Fits: -1} }

// Places of a round's numbers. Those of the first are a pair for each column of the
// matrix, then firstNumbers; those of the others X'WX, X'Wr, then roundNumbers.
const (
	firstPersons = iota
	firstWeight
	firstWeighted // weight times response
	firstLog
	firstUncountable
	firstNumbers
)

const (
	roundDeviance = iota
	roundNullDeviance
	roundNullWeight
	roundNullScore
	roundLikelihood
	roundExtremes
	roundInvalid
	roundNullInvalid
	roundNumbers
)

func (g glm) Numbers(s glmState) int {
	p := g.matrix.Width()
	if s.Fits < 0 {
		return 2*p + firstNumbers
	}
	return packed(p, 0) + p + roundNumbers
}

// rows calls fn for every row of the frame, with a row of the matrix that it may change.
func (g glm) rows(f *Frame, fn func(x []float64, y, w, offset float64)) error {
	read, err := g.matrix.Reader(f)
	if err != nil {
		return err
	}
	other := Matrix{columns: append([]product{{g.response}}, g.offsets...)}
	if g.Weights != "" {
		other.columns = append(other.columns, product{{column: Column{Name: g.Weights}}})
	}
	readOther, err := other.Reader(f)
	if err != nil {
		return err
	}
	x, more := make([]float64, g.matrix.Width()), make([]float64, other.Width())
	for i := range f.Len() {
		read(i, x)
		readOther(i, more)
		y, w, offset := more[0], 1.0, 0.0
		if g.response.column.Kind == Factor {
			y = min(y, 1)
		}
		for k := range g.offsets {
			offset += more[1+k]
		}
		if g.Weights != "" {
			w = more[len(more)-1]
		}
		fn(x, y/g.unit, w, offset/g.unit)
	}
	return nil
}

func (g glm) columnNumbers() (Matrix, int) { return g.matrix, 2 }

func (g glm) Site(s glmState, f *Frame, sums *Sums) error {
	if s.Fits < 0 {
		return g.first(f, sums)
	}
	if !g.scaled(s) {
		return errState
	}
	return g.rows(f, func(x []float64, y, w, offset float64) {
		if w > 0 {
			g.add(s, x, y, w, offset, sums)
		}
	})
}

// scaled reports whether a state is one of this model after its first round.
func (g glm) scaled(s glmState) bool {
	p := g.matrix.Width()
	return len(s.Center) == p && len(s.Scale) == p && len(s.Coefficients) == p
}

// first adds up what the columns are centred and scaled by, relative to the range that
// the declaration allows.
func (g glm) first(f *Frame, sums *Sums) error {
	p := g.matrix.Width()
	middle, half := make([]float64, p), make([]float64, p)
	for j := range p {
		middle[j], half[j] = g.spread(j)
	}
	return g.rows(f, func(x []float64, y, w, _ float64) {
		if w == 0 {
			return
		}
		for j, v := range x {
			if half[j] > 0 {
				v = (v - middle[j]) / half[j]
				sums.Add(2*j, v)
				sums.Add(2*j+1, v*v)
			}
		}
		sums.Add(2*p+firstPersons, 1)
		sums.Add(2*p+firstWeight, w)
		sums.Add(2*p+firstWeighted, w*y)
		sums.Add(2*p+firstLog, math.Log(w))
		if !g.family.countable(y, w) {
			sums.Add(2*p+firstUncountable, 1)
		}
	})
}

// spread returns the middle of what a column can be, and how far it can be from it.
func (g glm) spread(column int) (middle, half float64) {
	low, high := g.matrix.Bounds(column)
	return low/2 + high/2, high/2 - low/2
}

// linear centers and scales a row of the matrix and returns its linear predictor, less
// the offset.
func (g glm) linear(s glmState, x []float64) float64 {
	sum := 0.0
	for j := range x {
		switch {
		case g.matrix.Intercept && j == 0:
		case s.Scale[j] == 0:
			x[j] = 0
		default:
			x[j] = (x[j] - s.Center[j]) / s.Scale[j]
		}
		sum += x[j] * s.Coefficients[j]
	}
	return sum
}

// add adds one person at the state's coefficients. The working residual is taken against
// the fit so far, so that rounding errors shrink with the steps.
func (g glm) add(s glmState, x []float64, y, w, offset float64, sums *Sums) {
	p, last := g.matrix.Width(), packed(len(x), 0)+len(x)
	linear := g.linear(s, x)
	g.addNull(s, y, w, offset, sums)
	mu, working, residual := g.working(s.Fits == 0, linear, y, w, offset)
	if !g.family.valid(mu) {
		sums.Add(last+roundInvalid, 1)
		return
	}
	sums.Add(last+roundDeviance, g.family.deviance(y, mu, w))
	sums.Add(last+roundLikelihood, g.family.logLikelihood(y, mu, w))
	if g.family.extreme(mu) {
		sums.Add(last+roundExtremes, 1)
	}
	for i := range p {
		wx := working * x[i]
		for j := range i + 1 {
			sums.Add(packed(i, j), wx*x[j])
		}
		sums.Add(packed(p, 0)+i, residual*x[i])
	}
}

// working returns the mean, the working weight and the working residual times that
// weight, at a linear predictor less the offset; at the family's start if that is first.
func (g glm) working(start bool, linear, y, w, offset float64) (mu, weight, residual float64) {
	eta := linear + offset
	if start {
		eta = g.family.predictor(g.family.start(y, w))
	}
	mu, slope := g.family.mean(eta)
	variance := g.family.variance(mu)
	weight = w * slope * slope / variance
	return mu, weight, weight*(eta-offset-linear) + w*slope*(y-mu)/variance
}

// addNull adds what the model of an intercept only needs: its deviance, and with an
// offset its fit.
func (g glm) addNull(s glmState, y, w, offset float64, sums *Sums) {
	last := packed(g.matrix.Width(), 0) + g.matrix.Width()
	fitted := len(g.offsets) > 0 && g.matrix.Intercept
	mu, weight, residual := g.working(s.Fits == 0 && fitted, s.Null, y, w, offset)
	if !g.family.valid(mu) {
		sums.Add(last+roundNullInvalid, 1)
		return
	}
	sums.Add(last+roundNullDeviance, g.family.deviance(y, mu, w))
	if fitted {
		sums.Add(last+roundNullWeight, weight)
		sums.Add(last+roundNullScore, residual)
	}
}
