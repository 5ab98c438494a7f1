package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Meta pools estimates that each site makes of its own rows and keeps: a coefficient of a
// generalized linear model, or a difference of two means. Its result is a
// *[query.MetaAnalysis], as [FixedEffect] and [RandomEffects] and R's package metafor
// make it of the same estimates.
//
// The first round counts the sites that have an estimate, the second centres and scales
// the estimates, each further one takes sums of the weights at the public variance between
// sites: three rounds for a fixed effect, four with DL, about ten with PM and REML.
//
// A site has no estimate if it has too few rows, if the coefficient is without a standard error
// above 0, or if the fit did not converge or has warnings, as one with separation has. Nor has it one
// if its rows do not tell the coefficient, as of a level that it lacks. Without the reference
// level of a factor they tell none of its contrasts: R's glm takes the next level for the
// reference and gives another contrast under the same name. Of an intercept a site has an
// estimate only if it has all coefficients.
type Meta struct {
	// Model and Term are each site's model and the name of a coefficient in it. Without
	// a Model the estimate is a difference of means.
	Model *GLM
	Term  string

	// Value is a numeric column, By a factor of two levels or a logical column: the mean
	// of the second level, or of TRUE, less that of the other. The variances of the two
	// are not taken to be equal: metafor's measure MD.
	Value, By Column

	// Between is the estimator of the variance between sites, "" for a fixed effect.
	Between Between

	// Adjust takes the standard error of Hartung and Knapp.
	Adjust bool

	// MinRows is the least number of complete rows of a site with an estimate, MinSites
	// the least number of such sites. 0 and 1 ask for nothing.
	MinRows, MinSites int64

	// RowsPerParameter are how many rows a site's model needs for each of its parameters, and
	// EventsPerParameter how many rows with an event, of an outcome that is counted, and
	// as many without one, of an outcome that is yes or no; MinRows of each at least. 0 asks
	// for nothing. With few sites the sums tell each site's estimate, as a forest plot does.
	RowsPerParameter, EventsPerParameter int64
}

// New checks the question and returns the method.
func (m Meta) New() (Iteration, error) {
	r := metaRounds{Meta: m, pooling: pooling{between: m.Between, adjust: m.Adjust}}
	switch {
	case m.MinRows < 0 || m.MinRows > MaxPersons:
		return nil, fmt.Errorf("meta-analysis: minRows: 0 to %d", MaxPersons)
	case m.MinSites < 0 || m.MinSites > MaxSites:
		return nil, fmt.Errorf("meta-analysis: minSites: 0 to %d", MaxSites)
	case m.Adjust && m.Between == "":
		return nil, errors.New("meta-analysis: adjust: a fixed effect has no such adjustment; name an estimator")
	}
	if m.Between != "" {
		if err := m.Between.validate(); err != nil {
			return nil, fmt.Errorf("meta-analysis: between: %w", err)
		}
	}
	if m.Model == nil {
		return r.ofMeans()
	}
	model, err := m.Model.check()
	if err != nil {
		return nil, fmt.Errorf("meta-analysis: model: glm: %w", err)
	}
	term := slices.Index(model.matrix.Names, m.Term)
	if term < 0 {
		return nil, fmt.Errorf("meta-analysis: term: the model has no coefficient %q", m.Term)
	}
	if !model.matrix.Intercept || term > 0 {
		model.matrix = model.matrix.endingIn(term)
	}
	r.fit = Iterate(model)
	return Iterate(r), nil
}

// ofMeans checks what a difference of means needs.
func (m metaRounds) ofMeans() (Iteration, error) {
	if err := numeric(m.Value); err != nil {
		return nil, fmt.Errorf("meta-analysis: value: %w", err)
	}
	if err := categorical(m.By); err != nil {
		return nil, fmt.Errorf("meta-analysis: by: %w", err)
	}
	if len(m.By.levels()) != 2 {
		return nil, fmt.Errorf("meta-analysis: by: the column %s must have two levels", m.By.Name)
	}
	if _, err := NewFrame(m.Columns()); err != nil {
		return nil, fmt.Errorf("meta-analysis: %w", err)
	}
	return Iterate(m), nil
}

type metaRounds struct {
	Meta
	pooling

	// fit is of the model, with the column of the term last: the one to be left out if others
	// determine it.
	fit Iteration
}

func (m metaRounds) Columns() []Column {
	if m.fit != nil {
		return m.fit.Columns()
	}
	return []Column{m.Value, m.By}
}

// Parameters are what each site estimates.
func (m metaRounds) Parameters() int {
	if m.fit != nil {
		return m.fit.Parameters()
	}
	return 2
}

func (m metaRounds) Start() poolingState { return poolingState{} }

func (m metaRounds) Numbers(s poolingState) int {
	if s.Sites == 0 {
		return 1
	}
	return m.numbers(s)
}

func (m metaRounds) Site(s poolingState, f *Frame, sums *Sums) error {
	e, ok := m.effect(f)
	switch {
	case !ok:
	case s.Sites == 0:
		sums.Add(0, 1)
	default:
		m.add(e, s, sums.Add)
	}
	return nil
}

// effect returns the site's own estimate, if it has one.
func (m metaRounds) effect(f *Frame) (Effect, bool) {
	if f.Len() == 0 || !m.enough(f) {
		return Effect{}, false
	}
	estimate := m.coefficient
	if m.fit == nil {
		estimate = m.difference
	}
	e, ok := estimate(f)
	return e, ok && math.Abs(e.Estimate) < maxMean && checkEffects([]Effect{e}) == nil
}

// enough reports whether a site's rows are as many as its own estimate needs.
func (m metaRounds) enough(f *Frame) bool {
	parameters := int64(m.Parameters())
	if rows := int64(f.Len()); rows < max(m.MinRows, m.RowsPerParameter*parameters) {
		return false
	}
	if m.fit == nil || m.EventsPerParameter == 0 {
		return true
	}
	with, without := int64(0), int64(0)
	for _, y := range f.Values(m.Model.Formula.Response.Columns[0]) {
		if y > 0 {
			with++
		}
		if y < 1 { // also a share of those whom a row stands for
			without++
		}
	}
	least := max(m.MinRows, m.EventsPerParameter*parameters)
	switch m.Model.Family {
	case query.Binomial:
		return with >= least && without >= least
	case query.Poisson:
		return with >= least
	}
	return true
}

// coefficient fits the model to the site's rows alone. A fit that fails for any reason is
// one that this site does not have.
func (m metaRounds) coefficient(f *Frame) (Effect, bool) {
	outcome, err := Local(m.fit, f)
	if err != nil {
		return Effect{}, false
	}
	r, _ := outcome.Result.(*query.Regression)
	if r == nil || !r.Converged || len(r.Warnings) > 0 {
		return Effect{}, false
	}
	at := slices.IndexFunc(r.Coefficients, func(c query.Coefficient) bool { return c.Name == m.Term })
	c := r.Coefficients[at]
	if c.Estimate == nil || c.SE == nil || at == 0 && !known(r.Coefficients) {
		return Effect{}, false
	}
	return Effect{Estimate: *c.Estimate, SE: *c.SE}, true
}

// difference is of the means of the site's rows.
func (m metaRounds) difference(f *Frame) (Effect, bool) {
	by := m.By
	outcome, err := Local(Iterate(describe{Describe: Describe{Values: []Column{m.Value}, By: &by}, groups: 3}), f)
	if err != nil {
		return Effect{}, false
	}
	r, _ := outcome.Result.(*query.Description)
	if r == nil {
		return Effect{}, false
	}
	a, b := r.Columns[0].Groups[0].Moment, r.Columns[0].Groups[1].Moment
	if a.Variance == nil || b.Variance == nil {
		return Effect{}, false
	}
	return Effect{
		Estimate: *b.Mean - *a.Mean,
		SE:       math.Sqrt(*a.Variance/float64(a.N) + *b.Variance/float64(b.N)),
	}, true
}

func (m metaRounds) Next(s poolingState, pooled Pooled) (poolingState, any, error) {
	if s.Sites > 0 {
		next, r, err := m.next(s, pooled.Numbers)
		if r == nil { // a nil pointer is not a result
			return next, nil, err
		}
		return next, r, err
	}
	n := pooled.Numbers[0]
	if n < 0 || n > float64(pooled.Sites) || n != math.Trunc(n) {
		return s, nil, ErrInconsistent
	}
	least := max(m.MinSites, 1)
	if m.Between != "" {
		least = max(least, 2)
	}
	if s.Sites = int64(n); s.Sites < least {
		return s, nil, NoResult(fmt.Sprintf("%d of %d sites have an estimate, and %d are needed", s.Sites, pooled.Sites, least))
	}
	return s, nil, nil
}
