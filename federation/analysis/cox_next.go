package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next counts, or takes a part of a step, or makes the step, or ends.
func (c cox) Next(s coxState, pooled Pooled) (coxState, any, error) {
	if err := c.check(s); err != nil {
		return s, nil, err
	}
	switch {
	case s.Times == nil:
		next, err := c.counted(s, pooled)
		return next, nil, err
	case s.Coefficients == nil:
		next, err := c.ended(s, pooled)
		return next, nil, err
	}
	s, err := c.take(s, pooled.Numbers)
	if err != nil || s.Left > 0 {
		return s, nil, err
	}
	return c.newton(s, pooled)
}

// begin sets the sums of a step at coefficients to nothing.
func (c cox) begin(s coxState, coefficients []float64) coxState {
	s.Coefficients = coefficients
	s.Left, s.Carry = len(s.Times), make([]float64, c.triple())
	s.Sum = coxSum{
		Gradient: make([]float64, c.p), Information: make([]float64, packed(c.p, 0)), Square: make([]float64, c.p),
	}
	return s
}

// take adds the times of a round to the step's sums.
func (c cox) take(s coxState, numbers []float64) (coxState, error) {
	at, n := c.layout(s)
	if len(at) == 0 {
		return s, errState
	}
	s.Carry = slices.Clone(s.Carry)
	s.Sum.Gradient, s.Sum.Information, s.Sum.Square = slices.Clone(s.Sum.Gradient), slices.Clone(s.Sum.Information), slices.Clone(s.Sum.Square)
	if events := numbers[n-c.p-1:]; s.Left == len(s.Times) {
		s.Sum.LogLikelihood += events[c.p]
		for j := range c.p {
			s.Sum.LogLikelihood += events[j] * s.Coefficients[j]
			s.Sum.Gradient[j] += events[j]
		}
	}
	for _, place := range at {
		s.Left--
		t := s.Times[s.Left]
		leave := numbers[place : place+c.triple()]
		if s.Left+1 == len(s.Times) || s.Times[s.Left+1].Group != t.Group {
			clear(s.Carry)
		}
		for i := range s.Carry {
			s.Carry[i] += leave[i]
		}
		var fading []float64
		switch {
		case c.tied(t):
			fading = numbers[place+c.triple() : place+2*c.triple()]
		case c.guarded() && c.Ties == query.Efron:
			fading = leave
		}
		if t.Events > 0 && !c.addTime(&s.Sum, t.Events, s.Carry, fading) {
			return s, NoResult("a risk set has no weight beside the others: coefficients run away, or an offset ranges too far")
		}
	}
	return s, nil
}

// addTime adds what the events of one time contribute, given the sums over the risk set
// and, unless nil, over what of it fades away from the first event to the last.
func (c cox) addTime(sum *coxSum, events int64, risk, fading []float64) bool {
	draws, each := int64(1), float64(events)
	if fading != nil {
		draws, each = events, 1
	}
	mean := make([]float64, c.p)
	for l := range draws {
		share := float64(l) / float64(events)
		of := func(i int) float64 {
			if fading == nil {
				return risk[i]
			}
			return risk[i] - share*fading[i]
		}
		total := of(0)
		if !(total > 0) {
			return false
		}
		sum.LogLikelihood -= each * math.Log(total)
		for i := range c.p {
			mean[i] = of(1+i) / total
			sum.Gradient[i] -= each * mean[i]
			for j := range i + 1 {
				sum.Information[packed(i, j)] += each * (of(1+c.p+packed(i, j))/total - mean[i]*mean[j])
			}
			sum.Square[i] += each * of(1+c.p+packed(i, i)) / total
		}
	}
	return true
}

// decomposed decomposes the information. A covariate that is the same for all of a
// stratum has none but rounding errors, and is left out as R leaves it out.
func (c cox) decomposed(s coxState) cholesky {
	information := slices.Clone(s.Sum.Information)
	for i := range c.p {
		if information[packed(i, i)] <= collinear*s.Sum.Square[i] {
			for j := range c.p {
				information[packed(max(i, j), min(i, j))] = 0
			}
		}
	}
	return s.decompose(information, c.p)
}

// newton makes the step that the complete sums ask for, or ends.
func (c cox) newton(s coxState, pooled Pooled) (coxState, any, error) {
	information := c.decomposed(s)
	next, ended, converged := s.step(s.Sum.LogLikelihood, s.Sum.Gradient, information)
	s.ascent = next
	if ended {
		return s, c.result(s, pooled, information, converged), nil
	}
	return c.begin(s, next.Coefficients), nil, nil
}

// result writes the table.
func (c cox) result(s coxState, pooled Pooled, information cholesky, converged bool) *query.Hazards {
	rank := information.rank
	for j := range c.p {
		if s.lost(j, information) {
			rank++
		}
	}
	r := &query.Hazards{
		Formula: c.Formula.String(), Ties: c.Ties, N: s.N, LeftOut: query.Omitting(pooled.Omitted + pooled.Rows - s.N),
		NullLogLikelihood: s.NullLogLikelihood, LogLikelihood: s.Sum.LogLikelihood,
		LikelihoodRatio: test(2*(s.Sum.LogLikelihood-s.NullLogLikelihood), rank),
		Wald:            test(s.wald(s.Sum.Information, information.aliased), rank),
		Score:           test(s.Score, rank),
		Iterations:      s.Iterations, Converged: converged,
	}
	for _, t := range s.Times {
		r.Events += t.Events
		if t.Events > 0 {
			r.Times++
		}
	}
	if !converged {
		r.Warnings = append(r.Warnings, "Ran out of iterations and did not converge")
	}
	r.Coefficients = s.table(c.matrix.Names[1:], s.Scale, information)
	infinite := s.infinite(s.Sum.Gradient, s.Scale, information, c.infinite)
	if converged && len(infinite) > 0 {
		may := "coefficient"
		if c.start != "" {
			may = "beta"
		}
		r.Warnings = append(r.Warnings, fmt.Sprintf("Loglik converged before variable %s; %s may be infinite.", strings.Join(infinite, ","), may))
	}
	return r
}

// infinite reports whether a coefficient still moves where the log likelihood does not,
// by the rules of R's coxph.fit and agreg.fit.
func (c cox) infinite(step, estimate float64) bool {
	tolerance := math.Sqrt(coxEpsilon)
	if c.start != "" {
		return step > tolerance*(1+estimate)
	}
	return step > coxEpsilon && step > tolerance*estimate
}
