package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next goes from stage to stage.
func (m propensity) Next(s propensityState, pooled Pooled) (propensityState, any, error) {
	var err error
	switch s.Stage {
	case stageScore:
		s.Score, s.Fitted, err = fitted(m.score, s.Score, pooled, "treatment")
		if s.Fitted != nil {
			s.Stage = stageArms
		}
	case stageArms:
		s, err = m.arms(s, pooled)
	case stageCuts:
		s, err = m.cuts(s, pooled)
	case stageStrata:
		s, err = m.strata(s, pooled)
	case stageBalance:
		s, err = m.balance(s, pooled)
	case stageOutcome:
		s.Outcome, s.Effect, err = fitted(m.outcome, s.Outcome, pooled, "outcome")
		if s.Effect != nil {
			s.Stage = stageRobust
		}
	case stageRobust:
		return s, m.result(s, pooled), nil
	}
	return s, nil, err
}

// fitted takes a step of a model that is part of a method, and returns its result if there
// is one and it converged.
func fitted(g glm, s glmState, pooled Pooled, what string) (glmState, *query.Regression, error) {
	next, result, err := g.Next(s, pooled)
	var no NoResult
	if errors.As(err, &no) {
		return next, nil, NoResult("the model of the " + what + ": " + string(no))
	}
	r, _ := result.(*query.Regression)
	if r != nil && !r.Converged {
		return next, nil, NoResult("the model of the " + what + " did not converge")
	}
	return next, r, err
}

func (m propensity) arms(s propensityState, pooled Pooled) (propensityState, error) {
	counts, err := countsOf(pooled.Numbers[:2], pooled.Rows)
	if err != nil {
		return s, err
	}
	for arm, n := range counts {
		if n < max(m.MinCell, 1) {
			return s, NoResult(fmt.Sprintf("%d or more persons are needed of %s", max(m.MinCell, 1), armNames[arm]))
		}
	}
	if pooled.Numbers[armExtreme] > 0 {
		return s, NoResult(fmt.Sprintf("somebody's weight is above %g: the covariates nearly tell who is treated", maxWeight))
	}
	s.Arms, s.Stage = counts, stageBalance
	if m.Adjustment == query.Stratified || m.Truncate > 0 {
		s.Stage = stageCuts
	}
	if m.Caliper > 0 {
		n := float64(pooled.Rows)
		mean, square := pooled.Numbers[armScore]/n, pooled.Numbers[armSquare]/n
		variance := math.Max(0, square-mean*mean) * n / (n - 1)
		if s.Caliper = m.Caliper * scoreUnit * math.Sqrt(variance); s.Caliper == 0 {
			return s, NoResult("everybody has the same score")
		}
	}
	return s, nil
}

var armNames = []string{"the untreated", "the treated"}

func (m propensity) cuts(s propensityState, pooled Pooled) (propensityState, error) {
	search := m.search()
	next, done, err := search.next(s.Search, pooled.Numbers)
	s.Search = next
	if err != nil || !done {
		return s, err
	}
	if s.Cuts, err = lowerEnds(search.quantiles(next, 0)); err != nil {
		return s, err
	}
	s.Search, s.Stage = searchState{}, stageBalance
	if m.Adjustment == query.Stratified {
		s.Stage = stageStrata
	}
	return s, nil
}

func (m propensity) strata(s propensityState, pooled Pooled) (propensityState, error) {
	counts, err := countsOf(pooled.Numbers, pooled.Rows)
	if err != nil {
		return s, err
	}
	for k := range m.Strata {
		both := counts[2*k : 2*k+2]
		for arm, n := range both {
			if n < max(m.MinCell, 1) {
				return s, NoResult(fmt.Sprintf("stratum %d of %d has fewer than %d of %s: ask for fewer strata",
					k+1, m.Strata, max(m.MinCell, 1), armNames[arm]))
			}
		}
		s.Strata = append(s.Strata, both)
	}
	s.Stage = stageBalance
	return s, nil
}

func (m propensity) balance(s propensityState, pooled Pooled) (propensityState, error) {
	p := m.score.matrix.Width()
	arms := [2][]float64{pooled.Numbers[:balanceNumbers*(1+p)], pooled.Numbers[balanceNumbers*(1+p):]}
	for arm, numbers := range arms {
		used, weight := numbers[balanceUsed], numbers[balanceWeight]
		if used < 0 || used > float64(s.Arms[arm]) || used != math.Trunc(used) {
			return s, ErrInconsistent
		}
		if used < float64(max(m.MinCell, 1)) {
			return s, NoResult(fmt.Sprintf("%d or more of %s must be comparable with somebody: widen the caliper", max(m.MinCell, 1), armNames[arm]))
		}
		s.Used = append(s.Used, int64(used))
		s.Effective = append(s.Effective, weight*weight/numbers[balanceSquare])
	}
	for j, name := range m.score.matrix.Names {
		if m.score.matrix.Intercept && j == 0 {
			continue
		}
		b := query.Balance{Name: name}
		var means, after, variances [2]float64
		for arm, numbers := range arms {
			n, column := float64(s.Arms[arm]), numbers[balanceNumbers*(1+j):]
			square := column[1] / n
			means[arm], after[arm] = column[0]/n, column[2]/numbers[balanceWeight]
			if v := square - means[arm]*means[arm]; v > cancelled*square {
				variances[arm] = v
			}
			if !m.score.matrix.level(j) && n > 1 {
				variances[arm] *= n / (n - 1)
			}
		}
		sd := math.Sqrt(variances[1])
		if m.Estimand == query.ATE {
			sd = math.Sqrt((variances[0] + variances[1]) / 2)
		}
		if sd > 0 {
			b.Before, b.After = ptr((means[1]-means[0])/sd), ptr((after[1]-after[0])/sd)
		}
		s.Balance = append(s.Balance, b)
	}
	s.Stage = stageOutcome
	return s, nil
}

// level reports whether a column has but 0 and 1, being of levels.
func (m Matrix) level(column int) bool {
	for _, p := range m.columns[column] {
		if !p.indicator {
			return false
		}
	}
	return len(m.columns[column]) > 0
}

func (m propensity) result(s propensityState, pooled Pooled) *query.PropensityEffect {
	r := &query.PropensityEffect{
		Adjustment: m.Adjustment, Estimand: m.Estimand, N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted),
		Score: *s.Fitted, Balance: s.Balance, Strata: m.strataTold(s), Outcome: *s.Effect,
		Untreated: query.PropensityArm{N: s.Arms[0], Used: s.Used[0], Effective: s.Effective[0]},
		Treated:   query.PropensityArm{N: s.Arms[1], Used: s.Used[1], Effective: s.Effective[1]},
	}
	if m.Truncate > 0 {
		r.Truncated = &s.Cuts[0]
	}
	if m.Caliper > 0 {
		r.Caliper = &s.Caliper
	}
	r.Outcome.Formula = m.Outcome.String()
	r.Outcome.Dispersion, r.Outcome.AIC, r.Outcome.Coefficients = nil, nil, nil
	variances := m.outcome.robust(s.Outcome, pooled.Numbers)
	for j, c := range s.Effect.Coefficients {
		c.SE, c.Statistic, c.P = nil, nil, nil
		if c.Estimate != nil && variances[j] > 0 {
			c.SE = ptr(math.Sqrt(variances[j]))
			c.Statistic = ptr(*c.Estimate / *c.SE)
			c.P = ptr(math.Erfc(math.Abs(*c.Statistic) / math.Sqrt2))
		}
		r.Outcome.Coefficients = append(r.Outcome.Coefficients, c)
	}
	return r
}

// strataTold are the strata with their ends.
func (m propensity) strataTold(s propensityState) []query.PropensityStratum {
	var out []query.PropensityStratum
	for k, n := range s.Strata {
		one := query.PropensityStratum{High: 1, Untreated: n[0], Treated: n[1]}
		if k > 0 {
			one.Low = s.Cuts[k-1]
		}
		if k < len(s.Cuts) {
			one.High = s.Cuts[k]
		}
		out = append(out, one)
	}
	return out
}
