package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// OneShotCox fits a proportional hazards model with one exchange of derivatives: ODAC, and
// BySite ODACH, with the second order of all sites. Its result is a *[query.OneShotHazards].
//
// The first round counts events on the grid, as that of [Cox] does, and sites; the second pools
// the sites' own estimates, with the surrogate of [OneShot] the third takes the derivatives of the
// mean log partial likelihood there, and in the fourth each site with an estimate maximizes its
// surrogate, of which the mean over its rows comes out. Many event times take further rounds.
//
// The derivatives of the third round are those of one step of [Cox], over the risk sets of all
// sites, on the same grid and with the same MinAtRisk: no site's event times are shown, only how
// many events of all sites lie where. A Cox model takes such sums at half a dozen coefficients,
// this at one. BySite gives each site a baseline hazard of its own, so that risk sets are of one
// site; it adds up its derivatives itself, and no times are shown at all.
//
// A site's own likelihood is over its own event times, as they are on the grid.
//
// Source: Duan, Luo, Schuemie et al., "Learning from local to global: An efficient distributed
// algorithm for modeling time-to-event data", JAMIA 27 (2020) 1028-1036; Luo, Duan, Naj et al.,
// "ODACH: a one-shot distributed algorithm for Cox model with heterogeneous multi-center data",
// Scientific Reports 12 (2022) 6627.
type OneShotCox struct {
	Formula formula.Formula // as of [Cox]
	Ties    query.Ties      // "" for Efron's
	Grid    Grid
	BySite  bool

	// MinAtRisk is that of [Cox]. BySite it is the least number of events, and of persons
	// without one, of all sites.
	MinAtRisk int

	// MinRows and MinEvents are the least numbers of complete rows and of events of a site with an
	// estimate of its own, MinSites the least number of such sites. 0 and 1 ask for nothing.
	MinRows, MinEvents, MinSites int64

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// New checks the question and returns the method.
func (m OneShotCox) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m OneShotCox) over(declared []Column) (Rounds[oneShotCoxState], error) {
	m.Declared = declared
	model, err := Cox{Formula: m.Formula, Ties: m.Ties, Grid: m.Grid, MinAtRisk: m.MinAtRisk, Declared: m.Declared}.check()
	switch {
	case err != nil:
		return nil, fmt.Errorf("one-shot: %w", err)
	case 2*model.triple()+model.p+1 > MaxNumbers:
		return nil, errors.New("one-shot: the formula has too many terms, with one for each level of a factor")
	case m.MinRows < 0 || m.MinRows > MaxPersons || m.MinEvents < 0 || m.MinEvents > MaxPersons:
		return nil, fmt.Errorf("one-shot: minRows and minEvents: 0 to %d", MaxPersons)
	case m.MinSites < 0 || m.MinSites > MaxSites:
		return nil, fmt.Errorf("one-shot: minSites: 0 to %d", MaxSites)
	}
	o := oneShotCox{OneShotCox: m, model: model}
	o.model.spare = 1
	if m.BySite {
		o.model.spare = 2
	}
	return o, nil
}

type oneShotCox struct {
	OneShotCox
	model cox // its spare numbers are sites with an estimate and, BySite, events
}

// oneShotCoxState is the state between two rounds.
type oneShotCoxState struct {
	Cox    coxState `json:"cox"`    // as of a step of a Cox model, at the mean of the sites' estimates
	Events int64    `json:"events"` // BySite, where there are no times
	surrogate
}

func (m oneShotCox) Columns() []Column      { return m.model.Columns() }
func (m oneShotCox) Times() []string        { return m.model.Times() }
func (m oneShotCox) Parameters() int        { return m.model.Parameters() }
func (m oneShotCox) Start() oneShotCoxState { return oneShotCoxState{} }

// counting reports whether events are still being counted.
func (m oneShotCox) counting(s oneShotCoxState) bool {
	if m.BySite {
		return s.Cox.N == 0
	}
	return s.Cox.Times == nil
}

// ends is how many numbers say who is under watch after the last events.
func (m oneShotCox) ends() int {
	if m.BySite || !m.model.guarded() {
		return 0
	}
	return m.model.groups()
}

func (m oneShotCox) Numbers(s oneShotCoxState) int {
	c := m.model
	switch {
	case m.counting(s) && m.BySite:
		return c.moments()
	case m.counting(s):
		return c.Numbers(s.Cox)
	case s.Initial == nil:
		return m.ends() + 3*c.p
	case s.Score == nil && m.BySite:
		return c.p + packed(c.p, 0) + 1 // sites without derivatives
	case s.Score == nil:
		return c.Numbers(s.Cox)
	}
	return leadNumbers(c.p)
}

// check reports a state that no round of this model leads to.
func (m oneShotCox) check(s oneShotCoxState) error {
	if !s.of(m.model.p) || !m.counting(s) && (s.Sites == 0 || len(s.Cox.Center) != m.model.p || len(s.Cox.Scale) != m.model.p) {
		return errState
	}
	return m.model.check(s.Cox)
}

func (m oneShotCox) Site(s oneShotCoxState, f *Frame, sums *Sums) error {
	if err := m.check(s); err != nil {
		return err
	}
	c := m.model
	rows, err := c.rows(f)
	if err != nil {
		return err
	}
	switch {
	case m.counting(s):
		c.count(s.Cox, f.Len(), rows, sums)
		if s.Cox.Tally.Taken > 0 {
			return nil
		}
		at := sums.Len() - c.spare
		if _, ok := m.own(f); ok {
			sums.Add(at, 1)
		}
		if m.BySite {
			sums.Add(at+1, float64(events(f.Len(), rows)))
		}
		return nil
	case s.Initial == nil:
		if m.ends() > 0 {
			c.outlast(s.Cox, f.Len(), rows, sums)
		}
		if table, ok := m.own(f); ok {
			addEstimates(table, m.unit(s), func(i int, v float64) { sums.Add(m.ends()+i, v) })
		}
		return nil
	case s.Score == nil && m.BySite:
		return m.derivatives(s, f, sums)
	case s.Score == nil:
		c.step(s.Cox, f.Len(), rows, sums)
		return nil
	}
	if _, ok := m.own(f); !ok {
		return nil
	}
	own, err := c.alone(s.Cox, f)
	if err != nil {
		return err
	}
	at, information, ok, err := s.maximum(own.over)
	if err != nil || !ok {
		return err
	}
	addMaximum(float64(own.s.N), at, information, sums.Add)
	return nil
}

// events counts the rows with an event.
func events(n int, rows func(i int) (spell, []float64, float64, bool)) (with int64) {
	for i := range n {
		if t, _, _, ok := rows(i); ok && t.event {
			with++
		}
	}
	return with
}

// own returns the site's own estimates, if it has all of them.
func (m oneShotCox) own(f *Frame) ([]query.Coefficient, bool) {
	if f.Len() == 0 || int64(f.Len()) < m.MinRows {
		return nil, false
	}
	model := m.model
	model.MinAtRisk, model.spare = 0, 0
	outcome, err := Local(Iterate(model), f)
	h, _ := outcome.Result.(*query.Hazards)
	if err != nil || h == nil || !h.Converged || len(h.Warnings) > 0 || h.Events < m.MinEvents {
		return nil, false
	}
	return h.Coefficients, known(h.Coefficients)
}

// derivatives adds a site's score and information at the mean of estimates.
func (m oneShotCox) derivatives(s oneShotCoxState, f *Frame, sums *Sums) error {
	own, err := m.model.alone(s.Cox, f)
	if err != nil || len(own.s.Times) == 0 {
		return err
	}
	sum, ok, err := own.at(s.Initial)
	switch {
	case err != nil:
		return err
	case !ok:
		sums.Add(sums.Len()-1, 1)
		return nil
	}
	for i, v := range sum.Gradient {
		sums.Add(i, v)
	}
	for k, v := range sum.Information {
		sums.Add(m.model.p+k, v)
	}
	return nil
}

// unit returns what coefficients are multiplied by, so that they are near 1.
func (m oneShotCox) unit(s oneShotCoxState) func(covariate int) float64 {
	return func(covariate int) float64 {
		if s.Cox.Scale[covariate] == 0 {
			return 1
		}
		return s.Cox.Scale[covariate]
	}
}

func (m oneShotCox) Next(s oneShotCoxState, pooled Pooled) (oneShotCoxState, any, error) {
	if err := m.check(s); err != nil {
		return s, nil, err
	}
	c := m.model
	var err error
	switch {
	case m.counting(s):
		s, err = m.counted(s, pooled)
		return s, nil, err
	case s.Initial == nil:
		s, err = m.pool(s, pooled)
		return s, nil, err
	case s.Score == nil && m.BySite:
		if pooled.Numbers[c.p+packed(c.p, 0)] != 0 {
			return s, nil, NoResult("a risk set of a site has no weight beside the others: covariates or an offset range too far")
		}
		s.surrogate = s.derived(pooled.Numbers[:c.p], pooled.Numbers[c.p:c.p+packed(c.p, 0)], s.Cox.N)
		return s, nil, nil
	case s.Score == nil:
		if s.Cox, err = c.take(s.Cox, pooled.Numbers); err != nil || s.Cox.Left > 0 {
			return s, nil, err
		}
		s.surrogate = s.derived(s.Cox.Sum.Gradient, s.Cox.Sum.Information, s.Cox.N)
		s.Cox.Carry, s.Cox.Sum, s.Cox.ascent = nil, coxSum{}, ascent{}
		return s, nil, nil
	}
	leads, at, information, err := averaged(pooled.Numbers, c.p)
	if err == nil && leads > float64(s.Sites) {
		err = ErrInconsistent
	}
	if err == nil {
		err = fewLeads(leads, m.MinSites)
	}
	if err != nil {
		return s, nil, err
	}
	return s, m.result(s, pooled, at, information), nil
}

// counted ends a round of counts.
func (m oneShotCox) counted(s oneShotCoxState, pooled Pooled) (oneShotCoxState, error) {
	var err error
	spare := pooled.Numbers[len(pooled.Numbers)-m.model.spare:]
	if s.Sites == 0 {
		if s.surrogate, err = s.begin(spare[0], pooled, m.MinSites); err != nil {
			return s, err
		}
	}
	if !m.BySite {
		s.Cox, err = m.model.counted(s.Cox, pooled)
		return s, err
	}
	if err := m.model.scale(&s.Cox, pooled.Numbers, pooled.Rows); err != nil {
		return s, err
	}
	s.Cox.Groups = nil
	if spare[1] != math.Trunc(spare[1]) || spare[1] < 0 || spare[1] > float64(s.Cox.N) {
		return s, ErrInconsistent
	}
	s.Events = int64(spare[1])
	switch censored, least := s.Cox.N-s.Events, int64(m.MinAtRisk); {
	case s.Events == 0:
		return s, NoResult("there are no events")
	case s.Events < least:
		return s, NoResult(fmt.Sprintf("there are fewer than %d events", least))
	case 0 < censored && censored < least:
		return s, NoResult(fmt.Sprintf("there are fewer than %d persons without an event: make the horizon of the grid smaller", least))
	}
	return s, nil
}

// pool ends the round of the sites' own estimates, and begins a step at their mean.
func (m oneShotCox) pool(s oneShotCoxState, pooled Pooled) (oneShotCoxState, error) {
	c, ends := m.model, m.ends()
	if ends > 0 {
		var err error
		if s.Cox, err = c.ended(s.Cox, Pooled{Numbers: pooled.Numbers[:ends]}); err != nil {
			return s, err
		}
	}
	found, initial, err := s.estimated(pooled.Numbers[ends:], m.unit(s))
	if err != nil {
		return s, err
	}
	for j := range initial {
		initial[j] *= m.unit(s)(j)
	}
	s.surrogate = found
	s.Initial = initial
	if !m.BySite {
		s.Cox = c.begin(s.Cox, initial)
	}
	return s, nil
}

func (m oneShotCox) result(s oneShotCoxState, pooled Pooled, at []float64, information cholesky) *query.OneShotHazards {
	c, unit := m.model, m.unit(s)
	own := func(scaled []float64) []float64 {
		out := make([]float64, c.p)
		for j, v := range scaled {
			out[j] = v / unit(j)
		}
		return out
	}
	ses := make([]float64, c.p)
	for j := range ses {
		direction := make([]float64, c.p)
		direction[j] = 1 / unit(j)
		ses[j] = math.Sqrt(information.quadratic(direction) / float64(s.Cox.N))
	}
	names := c.matrix.Names[1:]
	r := &query.OneShotHazards{
		Ties: c.Ties, BySite: m.BySite, Events: s.Events,
		OneShot: query.OneShot{
			Formula: c.Formula.String(), N: s.Cox.N, LeftOut: query.Omitting(pooled.Omitted + pooled.Rows - s.Cox.N), Sites: s.Sites,
			Initial: normalTable(names, own(s.Initial), s.InitialSE), Heterogeneity: s.heterogeneity(),
			Coefficients: normalTable(names, own(at), ses),
		},
	}
	for _, t := range s.Cox.Times {
		r.Events += t.Events
		if t.Events > 0 {
			r.Times++
		}
	}
	return r
}
