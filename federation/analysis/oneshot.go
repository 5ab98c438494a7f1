package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// OneShot fits a logistic regression with one exchange of derivatives: ODAL, with the second
// order of all sites. Its result is a *[query.OneShot].
//
// The first round scales the columns and counts sites. In the second the sites' own
// estimates are pooled, in the third the first and second derivatives of the mean log
// likelihood are taken at that mean. In the fourth one site, the lead, maximizes the surrogate
//
//	L₁(β) + (∇L - ∇L₁)(β̄)'β + ½(β - β̄)'(∇²L - ∇²L₁)(β̄)(β - β̄)
//
// of its own rows' likelihood L₁ by Newton's steps, to the last digits: a search without a
// gradient may stop short of what the surrogate has to give. [GLM] gives the fit to all
// rows itself, by more rounds; the point of this is fewer.
//
// Without a Lead each site with an estimate of its own leads, and what they find is averaged,
// weighted by their rows: an answer that is no site's own.
//
// Either way it is near the fit to all rows as far as a site's rows are like the others': the
// third derivatives of a site stand for those of all. The result has Cochran's Q of the
// sites' own estimates.
//
// Source: Duan, Boland, Liu et al., JAMIA 27 (2020); Jordan, Lee and Yang, JASA 114 (2019).
type OneShot struct {
	Formula formula.Formula

	// Sites is a factor that has one value in all rows of a site, and Lead the level of the
	// site that leads; "" if all of them do, and Sites is not used.
	Sites Column
	Lead  string

	// MinRows is the least number of complete rows of the lead, and of a site with an
	// estimate of its own, MinSites the least number of sites with one. 0 and 1 ask for nothing.
	MinRows, MinSites int64
	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// New checks the question and returns the method.
func (m OneShot) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m OneShot) over(declared []Column) (Rounds[oneShotState], error) {
	m.Declared = declared
	o := oneShot{OneShot: m}
	var err error
	if o.model, err = (GLM{Formula: m.Formula, Family: query.Binomial, Declared: m.Declared}).check(); err != nil {
		return nil, fmt.Errorf("one-shot: formula: %w", err)
	}
	if m.MinRows < 0 || m.MinRows > MaxPersons {
		return nil, fmt.Errorf("one-shot: minRows: 0 to %d", MaxPersons)
	}
	if m.MinSites < 0 || m.MinSites > MaxSites {
		return nil, fmt.Errorf("one-shot: minSites: 0 to %d", MaxSites)
	}
	if m.Lead == "" {
		return o, nil
	}
	if err := categorical(m.Sites); err != nil {
		return nil, fmt.Errorf("one-shot: sites: %w", err)
	}
	if o.lead = slices.Index(m.Sites.levels(), m.Lead); o.lead < 0 {
		return nil, fmt.Errorf("one-shot: lead: the column %s has no level %q", m.Sites.Name, m.Lead)
	}
	if _, err := NewFrame(o.Columns()); err != nil {
		return nil, fmt.Errorf("one-shot: sites: %w", err)
	}
	return o, nil
}

type oneShot struct {
	OneShot
	model glm
	lead  int
}

// oneShotState is the state between two rounds.
type oneShotState struct {
	Scaled glmState `json:"scaled"` // the columns' centres and scales
	surrogate
}

func (m oneShot) Columns() []Column {
	if m.Lead == "" || slices.ContainsFunc(m.model.columns, m.Sites.same) {
		return m.model.columns
	}
	return append(slices.Clone(m.model.columns), m.Sites)
}

func (m oneShot) Parameters() int     { return m.model.Parameters() }
func (m oneShot) Start() oneShotState { return oneShotState{Scaled: m.model.Start()} }

func (m oneShot) Numbers(s oneShotState) int {
	p := m.model.matrix.Width()
	switch {
	case s.Sites == 0:
		return m.model.Numbers(s.Scaled) + 2
	case s.Initial == nil:
		return 3 * p
	case s.Score == nil:
		return p + packed(p, 0)
	}
	return leadNumbers(p)
}

func (m oneShot) Site(s oneShotState, f *Frame, sums *Sums) error {
	p := m.model.matrix.Width()
	if s.Sites == 0 {
		at := m.model.Numbers(s.Scaled)
		if _, ok := m.own(f); ok {
			sums.Add(at, 1)
		}
		if m.leads(f) {
			sums.Add(at+1, 1)
		}
		return m.model.Site(s.Scaled, f, sums)
	}
	if len(s.Scaled.Center) != p || len(s.Scaled.Scale) != p || !s.of(p) {
		return errState
	}
	if s.Initial == nil {
		if table, ok := m.own(f); ok {
			addEstimates(table, m.unit(s), sums.Add)
		}
		return nil
	}
	if s.Score == nil {
		return m.derivatives(s, s.Initial, f, sums.Add)
	}
	if !m.leads(f) {
		return nil
	}
	n := float64(f.Len())
	at, information, ok, err := s.maximum(func(at []float64) ([]float64, error) {
		own := make([]float64, p+packed(p, 0))
		err := m.derivatives(s, at, f, func(i int, v float64) { own[i] += v / n })
		return own, err
	})
	if err != nil || !ok {
		return err
	}
	addMaximum(n, at, information, sums.Add)
	return nil
}

// leads reports whether the rows are a lead's, and enough.
func (m oneShot) leads(f *Frame) bool {
	if m.Lead == "" {
		_, ok := m.own(f)
		return ok
	}
	return f.Len() > 0 && int64(f.Len()) >= m.MinRows &&
		!slices.ContainsFunc(f.Values(m.Sites.Name), func(v float64) bool { return v != float64(m.lead) })
}

// unit returns what coefficients are multiplied by, so that they are near 1.
func (m oneShot) unit(s oneShotState) func(column int) float64 {
	return func(column int) float64 {
		if m.model.matrix.Intercept && column == 0 || s.Scaled.Scale[column] == 0 {
			return 1
		}
		return s.Scaled.Scale[column]
	}
}

// own returns the site's own estimates, if it has all of them.
func (m oneShot) own(f *Frame) ([]query.Coefficient, bool) {
	if f.Len() == 0 || int64(f.Len()) < m.MinRows {
		return nil, false
	}
	outcome, err := Local(Iterate(m.model), f)
	r, _ := outcome.Result.(*query.Regression)
	if err != nil || r == nil || !r.Converged || len(r.Warnings) > 0 {
		return nil, false
	}
	return r.Coefficients, known(r.Coefficients)
}

// derivatives adds up the score, then the information, of a frame at coefficients.
func (m oneShot) derivatives(s oneShotState, at []float64, f *Frame, add func(i int, v float64)) error {
	p, state := m.model.matrix.Width(), s.Scaled
	state.Coefficients = at
	return m.model.rows(f, func(x []float64, y, _, offset float64) {
		mu, slope := m.model.family.mean(m.model.linear(state, x) + offset)
		for i := range p {
			add(i, (y-mu)*x[i])
			for j := range i + 1 {
				add(p+packed(i, j), slope*x[i]*x[j])
			}
		}
	})
}

func (m oneShot) Next(s oneShotState, pooled Pooled) (oneShotState, any, error) {
	p := m.model.matrix.Width()
	switch {
	case s.Sites == 0:
		next, err := m.begin(s, pooled)
		return next, nil, err
	case s.Initial == nil:
		found, own, err := s.estimated(pooled.Numbers, m.unit(s))
		if err != nil {
			return s, nil, err
		}
		s.surrogate = found
		s.Initial = m.scaled(s, own)
		return s, nil, nil
	case s.Score == nil:
		s.surrogate = s.derived(pooled.Numbers[:p], pooled.Numbers[p:], pooled.Rows)
		return s, nil, nil
	}
	at, information, err := m.average(s, pooled.Numbers)
	if err != nil {
		return s, nil, err
	}
	aliased, ses := s.Scaled, make([]float64, p)
	aliased.Aliased = make([]bool, p)
	for j := range p {
		ses[j] = math.Sqrt(information.quadratic(m.model.own(aliased, j)) / float64(pooled.Rows))
	}
	return s, &query.OneShot{
		Formula: m.Formula.String(), N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Sites: s.Sites,
		Initial: m.table(s, s.Initial, s.InitialSE), Heterogeneity: s.heterogeneity(), Coefficients: m.table(s, at, ses),
	}, nil
}

// average returns the mean of what the leads found.
func (m oneShot) average(s oneShotState, numbers []float64) ([]float64, cholesky, error) {
	leads, at, information, err := averaged(numbers, m.model.matrix.Width())
	switch {
	case err != nil:
		return nil, information, err
	case m.Lead == "" && leads > float64(s.Sites):
		return nil, information, ErrInconsistent
	case m.Lead == "":
		return at, information, fewLeads(leads, m.MinSites)
	case leads != 1:
		return nil, information, NoResult("the lead found no maximum of the surrogate likelihood")
	}
	return at, information, nil
}

// begin ends the first round.
func (m oneShot) begin(s oneShotState, pooled Pooled) (oneShotState, error) {
	at := m.model.Numbers(s.Scaled)
	sites, leads := pooled.Numbers[at], pooled.Numbers[at+1]
	if leads != math.Trunc(leads) {
		return s, ErrInconsistent
	}
	if m.Lead != "" && leads != 1 {
		return s, NoResult(fmt.Sprintf("%g sites can lead, and there must be one, with rows enough of that site only", leads))
	}
	var err error
	if s.surrogate, err = s.surrogate.begin(sites, pooled, m.MinSites); err != nil {
		return s, err
	}
	first := pooled
	first.Numbers = pooled.Numbers[:at]
	s.Scaled, err = m.model.scale(first)
	return s, err
}

// scaled returns what coefficients are of columns that are centred and scaled.
func (m oneShot) scaled(s oneShotState, own []float64) []float64 {
	out, unit := make([]float64, len(own)), m.unit(s)
	for j, v := range own {
		out[j] += v * unit(j)
		if m.model.matrix.Intercept && j > 0 {
			out[0] += v * s.Scaled.Center[j]
		}
	}
	return out
}

// table returns coefficients in the columns' own units.
func (m oneShot) table(s oneShotState, scaled, ses []float64) []query.Coefficient {
	state, estimates := s.Scaled, make([]float64, len(scaled))
	state.Coefficients, state.Aliased = scaled, make([]bool, len(scaled))
	for j := range estimates {
		estimates[j] = m.model.estimate(state, j)
	}
	return normalTable(m.model.matrix.Names, estimates, ses)
}
