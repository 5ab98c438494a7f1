package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// surrogate is what is public of a one-shot regression after the rounds so far, a part of
// a method's state. Coefficients are of columns that are centred and scaled.
type surrogate struct {
	Sites int64 `json:"sites,omitempty"` // with an estimate of their own

	// The mean of these estimates, and, over the number of rows, the score and information
	// there of all rows.
	Initial     []float64 `json:"initial,omitempty"`
	InitialSE   []float64 `json:"initialSe,omitempty"` // in the columns' own units
	Q           []float64 `json:"q,omitempty"`         // Cochran's, of each estimate
	Score       []float64 `json:"score,omitempty"`
	Information []float64 `json:"information,omitempty"` // packed
}

// of reports whether the state is of a model with p coefficients.
func (s surrogate) of(p int) bool {
	return (s.Initial == nil || len(s.Initial) == p) &&
		(s.Score == nil || len(s.Score) == p && len(s.Information) == packed(p, 0))
}

// known reports whether a site has all estimates of its own model.
func known(table []query.Coefficient) bool {
	return !slices.ContainsFunc(table, func(c query.Coefficient) bool {
		return c.Estimate == nil || c.SE == nil || !(*c.SE > 0)
	})
}

// addEstimates adds a site's own estimates to three numbers of each coefficient. Unit is what a
// coefficient is multiplied by, so that it is near 1.
func addEstimates(table []query.Coefficient, unit func(j int) float64, add func(i int, v float64)) {
	p := len(table)
	for j, c := range table {
		scaled, se := *c.Estimate*unit(j), *c.SE*unit(j)
		weight := 1 / (se * se)
		add(j, weight)
		add(p+j, weight*scaled)
		add(2*p+j, weight*scaled*scaled)
	}
}

// begin ends the round in which sites with an estimate are counted.
func (s surrogate) begin(sites float64, pooled Pooled, least int64) (surrogate, error) {
	switch {
	case sites != math.Trunc(sites) || sites < 0 || sites > float64(pooled.Sites):
		return s, ErrInconsistent
	case sites == 0:
		return s, NoResult("no site has an estimate of its own")
	case sites < float64(least):
		return s, NoResult(fmt.Sprintf("%g of %d sites have an estimate of their own, and %d are needed", sites, pooled.Sites, least))
	}
	s.Sites = int64(sites)
	return s, nil
}

// estimated ends the round of addEstimates and returns the mean estimates in the columns' own
// units.
func (s surrogate) estimated(numbers []float64, unit func(j int) float64) (surrogate, []float64, error) {
	p := len(numbers) / 3
	own := make([]float64, p)
	s.Q, s.InitialSE = make([]float64, p), make([]float64, p)
	for j := range p {
		weight, sum := numbers[j], numbers[p+j]
		if !(weight > 0) {
			return s, nil, ErrInconsistent
		}
		own[j] = sum / weight / unit(j)
		s.Q[j] = max(numbers[2*p+j]-sum*sum/weight, 0)
		s.InitialSE[j] = 1 / math.Sqrt(weight) / unit(j)
	}
	return s, own, nil
}

// derived ends the round of derivatives at Initial: the score of all rows, then the information.
func (s surrogate) derived(score, information []float64, rows int64) surrogate {
	over := func(v []float64) []float64 {
		out := slices.Clone(v)
		for i := range out {
			out[i] /= float64(rows)
		}
		return out
	}
	s.Score, s.Information = over(score), over(information)
	return s
}

// Newton's steps to the surrogate's maximum.
const (
	mostSurrogateSteps = 50
	surrogateStop      = 1e-13 // of a coefficient's change, relative to it and 1
)

// maximum returns a lead's answer, with the surrogate's information there, over the rows. Own
// returns the score and information of the lead's rows at coefficients, over their number, nil
// if there are none.
func (s surrogate) maximum(own func(at []float64) ([]float64, error)) (at, information []float64, ok bool, err error) {
	p := len(s.Initial)
	initial, err := own(s.Initial)
	if initial == nil || err != nil {
		return nil, nil, false, err
	}
	at = slices.Clone(s.Initial)
	for range mostSurrogateSteps {
		here, err := own(at)
		if here == nil || err != nil {
			return nil, nil, false, err
		}
		score, information := here[:p], here[p:]
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

// leadNumbers is how many numbers leads add up.
func leadNumbers(p int) int { return 2 + p + packed(p, 0) }

// addMaximum adds a lead's answer, weighted by its rows.
func addMaximum(rows float64, at, information []float64, add func(i int, v float64)) {
	add(0, 1)
	add(1, rows)
	for i, v := range slices.Concat(at, information) {
		add(2+i, rows*v)
	}
}

// averaged returns the mean of what the leads found, over their rows.
func averaged(numbers []float64, p int) (leads float64, at []float64, information cholesky, err error) {
	leads, rows := numbers[0], numbers[1]
	if leads != math.Trunc(leads) || rows != math.Trunc(rows) || leads < 0 || rows < leads {
		return 0, nil, information, ErrInconsistent
	}
	if leads == 0 {
		return 0, nil, information, nil
	}
	mean := slices.Clone(numbers[2:])
	for i := range mean {
		mean[i] /= rows
	}
	if information = decompose(mean[p:], p); information.rank < p {
		return 0, nil, information, ErrInconsistent
	}
	return leads, mean[:p], information, nil
}

// fewLeads says that a mean would be of too few sites' answers.
func fewLeads(leads float64, least int64) error {
	if need := max(least, 1); leads < float64(need) {
		return NoResult(fmt.Sprintf("%g sites found a maximum of the surrogate likelihood, and %d are needed", leads, need))
	}
	return nil
}

// heterogeneity says how far each estimate differs between sites.
func (s surrogate) heterogeneity() []query.Heterogeneity {
	out := make([]query.Heterogeneity, len(s.Q))
	for j, q := range s.Q {
		out[j] = heterogeneityOf(q, s.Sites)
	}
	return out
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

// normalTable returns coefficients with their errors, tested by the normal distribution.
func normalTable(names []string, estimates, ses []float64) []query.Coefficient {
	table := make([]query.Coefficient, len(names))
	for j, name := range names {
		z := estimates[j] / ses[j]
		table[j] = query.Coefficient{
			Name: name, Estimate: ptr(estimates[j]), SE: ptr(ses[j]), Statistic: ptr(z), P: ptr(math.Erfc(math.Abs(z) / math.Sqrt2)),
		}
	}
	return table
}
