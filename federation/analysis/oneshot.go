package analysis

import (
	"errors"
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
		return Iterate(o), nil
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
	return Iterate(o), nil
}

type oneShot struct {
	OneShot
	model glm
	lead  int
}

// oneShotState is the state between two rounds.
type oneShotState struct {
	Scaled glmState `json:"scaled"` // the columns' centres and scales
	Sites  int64    `json:"sites,omitempty"`

	// Of the columns that are centred and scaled: the mean of estimates, and, over the number
	// of rows, the score and information there.
	Initial     []float64 `json:"initial,omitempty"`
	InitialSE   []float64 `json:"initialSe,omitempty"` // in the columns' own units
	Q           []float64 `json:"q,omitempty"`         // Cochran's, of each estimate
	Score       []float64 `json:"score,omitempty"`
	Information []float64 `json:"information,omitempty"` // packed
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
	return 2 + p + packed(p, 0)
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
	if len(s.Scaled.Center) != p || len(s.Scaled.Scale) != p || s.Initial != nil && len(s.Initial) != p ||
		s.Score != nil && (len(s.Score) != p || len(s.Information) != packed(p, 0)) {
		return errors.New("one-shot: the state is of another model")
	}
	if s.Initial == nil {
		table, ok := m.own(f)
		if !ok {
			return nil
		}
		for j, c := range table {
			scale := m.unit(s, j)
			weight := 1 / (*c.SE * scale * *c.SE * scale)
			sums.Add(j, weight)
			sums.Add(p+j, weight**c.Estimate*scale)
			sums.Add(2*p+j, weight**c.Estimate*scale**c.Estimate*scale)
		}
		return nil
	}
	if s.Score == nil {
		return m.derivatives(s, s.Initial, f, sums.Add)
	}
	if !m.leads(f) {
		return nil
	}
	at, information, ok, err := m.maximum(s, f)
	if err != nil || !ok {
		return err
	}
	n := float64(f.Len())
	sums.Add(0, 1)
	sums.Add(1, n)
	for j, v := range at {
		sums.Add(2+j, n*v)
	}
	for k, v := range information {
		sums.Add(2+p+k, n*v)
	}
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

// unit is what a coefficient is multiplied by, so that it is near 1.
func (m oneShot) unit(s oneShotState, column int) float64 {
	if m.model.matrix.Intercept && column == 0 || s.Scaled.Scale[column] == 0 {
		return 1
	}
	return s.Scaled.Scale[column]
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
	for _, c := range r.Coefficients {
		if c.Estimate == nil || c.SE == nil || !(*c.SE > 0) {
			return nil, false
		}
	}
	return r.Coefficients, true
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

// Newton's steps to the surrogate's maximum.
const (
	mostSurrogateSteps = 50
	surrogateStop      = 1e-13 // of a coefficient's change, relative to it and 1
)

// maximum returns the lead's answer, with the surrogate's information there, over the rows.
func (m oneShot) maximum(s oneShotState, f *Frame) (at, information []float64, ok bool, err error) {
	p, n := m.model.matrix.Width(), float64(f.Len())
	here := func(at []float64) ([]float64, error) {
		sums := make([]float64, p+packed(p, 0))
		err := m.derivatives(s, at, f, func(i int, v float64) { sums[i] += v / n })
		return sums, err
	}
	initial, err := here(s.Initial)
	if err != nil {
		return nil, nil, false, err
	}
	at = slices.Clone(s.Initial)
	for range mostSurrogateSteps {
		own, err := here(at)
		if err != nil {
			return nil, nil, false, err
		}
		score, information := own[:p], own[p:]
		for i := range p {
			score[i] += s.Score[i] - initial[i]
			for j := range p {
				k := packed(max(i, j), min(i, j))
				score[i] -= (s.Information[k] - initial[p+k]) * (at[j] - s.Initial[j])
			}
		}
		for k := range information {
			information[k] += s.Information[k] - initial[p+k]
		}
		c := decompose(information, p)
		if c.rank < p {
			return nil, nil, false, nil
		}
		done := true
		for j, step := range c.solve(score) {
			at[j] += step
			done = done && math.Abs(step) <= surrogateStop*(1+math.Abs(at[j]))
		}
		if done {
			return at, information, true, nil
		}
	}
	return nil, nil, false, nil
}

func (m oneShot) Next(s oneShotState, pooled Pooled) (oneShotState, any, error) {
	p := m.model.matrix.Width()
	switch {
	case s.Sites == 0:
		next, err := m.begin(s, pooled)
		return next, nil, err
	case s.Initial == nil:
		own := make([]float64, p)
		for j := range p {
			weight := pooled.Numbers[j]
			if !(weight > 0) {
				return s, nil, ErrInconsistent
			}
			sum := pooled.Numbers[p+j]
			own[j] = sum / weight / m.unit(s, j)
			s.Q = append(s.Q, max(pooled.Numbers[2*p+j]-sum*sum/weight, 0))
			s.InitialSE = append(s.InitialSE, 1/math.Sqrt(weight)/m.unit(s, j))
		}
		s.Initial = m.scaled(s, own)
		return s, nil, nil
	case s.Score == nil:
		for k, v := range pooled.Numbers {
			if v /= float64(pooled.Rows); k < p {
				s.Score = append(s.Score, v)
			} else {
				s.Information = append(s.Information, v)
			}
		}
		return s, nil, nil
	}
	mean, err := m.average(s, pooled.Numbers)
	if err != nil {
		return s, nil, err
	}
	r := &query.OneShot{
		Formula: m.Formula.String(), N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Sites: s.Sites,
		Initial: m.table(s, s.Initial, s.InitialSE),
	}
	for _, q := range s.Q {
		r.Heterogeneity = append(r.Heterogeneity, heterogeneityOf(q, s.Sites))
	}
	information, ses := decompose(mean[p:], p), make([]float64, p)
	if information.rank < p {
		return s, nil, ErrInconsistent
	}
	aliased := s.Scaled
	aliased.Aliased = make([]bool, p)
	for j := range p {
		ses[j] = math.Sqrt(information.quadratic(m.model.own(aliased, j)) / float64(pooled.Rows))
	}
	r.Coefficients = m.table(s, mean[:p], ses)
	return s, r, nil
}

// average returns the mean of what the leads found, coefficients and then information, over
// their rows.
func (m oneShot) average(s oneShotState, sums []float64) ([]float64, error) {
	leads, rows, least := sums[0], sums[1], float64(max(m.MinSites, 1))
	if leads != math.Trunc(leads) || rows != math.Trunc(rows) || leads < 0 || rows < leads || m.Lead == "" && leads > float64(s.Sites) {
		return nil, ErrInconsistent
	}
	if m.Lead != "" && leads != 1 {
		return nil, NoResult("the lead found no maximum of the surrogate likelihood")
	}
	if m.Lead == "" && leads < least {
		return nil, NoResult(fmt.Sprintf("%g sites found a maximum of the surrogate likelihood, and %g are needed", leads, least))
	}
	mean := slices.Clone(sums[2:])
	for i := range mean {
		mean[i] /= rows
	}
	return mean, nil
}

// heterogeneityOf says how far an estimate differs between sites, by Cochran's Q.
func heterogeneityOf(q float64, sites int64) query.Heterogeneity {
	h, df := query.Heterogeneity{Q: q, P: 1}, float64(sites-1)
	if df > 0 {
		h.P = chiSquaredAbove(q, df)
	}
	if q > df {
		h.I2 = 100 * (q - df) / q
	}
	return h
}

// begin ends the first round.
func (m oneShot) begin(s oneShotState, pooled Pooled) (oneShotState, error) {
	at := m.model.Numbers(s.Scaled)
	sites, leads := pooled.Numbers[at], pooled.Numbers[at+1]
	if sites != math.Trunc(sites) || sites < 0 || sites > float64(pooled.Sites) || leads != math.Trunc(leads) {
		return s, ErrInconsistent
	}
	if m.Lead != "" && leads != 1 {
		return s, NoResult(fmt.Sprintf("%g sites can lead, and there must be one, with rows enough of that site only", leads))
	}
	if sites == 0 {
		return s, NoResult("no site has an estimate of its own")
	}
	if sites < float64(m.MinSites) {
		return s, NoResult(fmt.Sprintf("%g of %d sites have an estimate of their own, and %d are needed", sites, pooled.Sites, m.MinSites))
	}
	var err error
	first := pooled
	first.Numbers = pooled.Numbers[:at]
	s.Sites = int64(sites)
	s.Scaled, err = m.model.scale(first)
	return s, err
}

// scaled returns what coefficients are of columns that are centred and scaled.
func (m oneShot) scaled(s oneShotState, own []float64) []float64 {
	out := make([]float64, len(own))
	for j, v := range own {
		out[j] += v * m.unit(s, j)
		if m.model.matrix.Intercept && j > 0 {
			out[0] += v * s.Scaled.Center[j]
		}
	}
	return out
}

// table returns coefficients in the columns' own units.
func (m oneShot) table(s oneShotState, scaled, ses []float64) []query.Coefficient {
	state := s.Scaled
	state.Coefficients, state.Aliased = scaled, make([]bool, len(scaled))
	var out []query.Coefficient
	for j, name := range m.model.matrix.Names {
		c := query.Coefficient{Name: name, Estimate: ptr(m.model.estimate(state, j)), SE: ptr(ses[j])}
		c.Statistic = ptr(*c.Estimate / *c.SE)
		c.P = ptr(math.Erfc(math.Abs(*c.Statistic) / math.Sqrt2))
		out = append(out, c)
	}
	return out
}
