package analysis

import (
	"fmt"
	"math"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next ends the first round, takes a step, or ends.
func (c conditional) Next(s conditionalState, pooled Pooled) (conditionalState, any, error) {
	if err := c.check(s); err != nil {
		return s, nil, err
	}
	if s.Scale == nil {
		next, err := c.counted(s, pooled)
		return next, nil, err
	}
	likelihood, gradient, square := pooled.Numbers[0], pooled.Numbers[1:1+c.p], pooled.Numbers[1+c.p:]
	information := s.decompose(square, c.p)
	next, ended, converged := s.step(likelihood, gradient, information)
	s.ascent = next
	if !ended {
		return s, nil, nil
	}
	r := &query.Conditional{
		Formula: c.formula.String(), Ties: c.ties, N: s.N, LeftOut: query.Omitting(pooled.Omitted),
		Sets: s.Sets, Informative: s.Informative, Events: s.Events,
		Coefficients:      s.table(c.matrix.Names[1:], s.Scale, information),
		NullLogLikelihood: s.NullLogLikelihood, LogLikelihood: likelihood,
		LikelihoodRatio: test(2*(likelihood-s.NullLogLikelihood), information.rank),
		Wald:            test(s.wald(square, information.aliased), information.rank),
		Score:           test(s.Score, information.rank),
		Iterations:      s.Iterations, Converged: converged,
	}
	if !converged {
		r.Warnings = append(r.Warnings, "Ran out of iterations and did not converge")
	} else if infinite := s.infinite(gradient, s.Scale, information, farther); len(infinite) > 0 {
		may := "coefficient"
		if c.ties == query.Exact {
			may = "beta"
		}
		r.Warnings = append(r.Warnings, fmt.Sprintf("Loglik converged before variable %s; %s may be infinite.", strings.Join(infinite, ","), may))
	}
	return s, r, nil
}

// farther reports whether a coefficient still moves where the log likelihood does not, by
// the rule of R's coxph.fit and coxexact.fit.
func farther(step, estimate float64) bool {
	return step > coxEpsilon && step > math.Sqrt(coxEpsilon)*estimate
}

// counted ends the first round.
func (c conditional) counted(s conditionalState, pooled Pooled) (conditionalState, error) {
	of := pooled.Numbers
	for i, v := range of[:conditionalMoments] {
		whole := v == math.Trunc(v) || i == conditionalEvents && of[conditionalPartial] > 0
		if !whole || v < 0 || i != conditionalEvents && v > float64(pooled.Rows) {
			return s, ErrInconsistent
		}
	}
	least := max(c.least, 1)
	switch {
	case of[conditionalRows] != float64(pooled.Rows):
		return s, ErrInconsistent
	case pooled.Rows == 0:
		return s, NoResult("there is nobody without a missing value")
	case of[conditionalPartial] > 0:
		return s, NoResult("the counts of events must be whole numbers")
	case of[conditionalLarge] > 0:
		return s, NoResult(fmt.Sprintf("a set has more than %d rows: take ties efron or breslow", MaxExactSet))
	case of[conditionalInformative] == 0:
		return s, NoResult("no set has both rows with and rows without an event, or several rows and an event")
	case of[conditionalInformative] < float64(c.enough()):
		return s, NoResult(fmt.Sprintf("fewer than %d sets say anything of the coefficients: leave a covariate out, or ask about more sets", c.enough()))
	}
	s.N, s.Sets, s.Informative = pooled.Rows, int64(of[conditionalSets]), int64(of[conditionalInformative])
	s.Events, s.Coefficients, s.Scale = int64(of[conditionalEvents]), make([]float64, c.p), make([]float64, c.p)
	for j := range c.p {
		squares, varying := of[conditionalMoments+2*j], of[conditionalMoments+2*j+1]
		switch {
		case varying != math.Trunc(varying) || varying < 0 || varying > of[conditionalInformative] || squares < 0:
			return s, ErrInconsistent
		case 0 < varying && varying < float64(least):
			return s, NoResult(fmt.Sprintf("%s varies in fewer than %d sets: leave it out", c.matrix.Names[1+j], least))
		}
		if spread := math.Sqrt(squares / of[conditionalInformativeRows]); spread > leastSpread {
			s.Scale[j] = c.half(j) * spread
		}
	}
	return s, nil
}
