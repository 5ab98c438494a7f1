package analysis

import (
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// scoreResult is the answer as far as it is about the score.
func (c comparison) scoreResult(s propensityState, pooled Pooled) *query.Comparison {
	r := &query.Comparison{
		Adjustment: c.Adjustment, Estimand: c.Estimand, Ties: c.Ties, N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted),
		Score: *s.Fitted, Balance: s.Balance, Strata: c.score.strataTold(s),
		Untreated: query.PropensityArm{N: s.Arms[0], Used: s.Used[0], Effective: s.Effective[0]},
		Treated:   query.PropensityArm{N: s.Arms[1], Used: s.Used[1], Effective: s.Effective[1]},
	}
	if c.Truncate > 0 {
		r.Truncated = &s.Cuts[0]
	}
	if c.Caliper > 0 {
		r.Caliper = &s.Caliper
	}
	return r
}

// compared are the arms of a table, with the hazard ratio of who counts one each.
func (c comparison) compared(arms [2]lifeTable) (*query.ComparedArms, error) {
	h, log, variance, err := hazardOf([][]armTimes{pointwise(arms)}, c.Ties)
	if err != nil {
		return nil, err
	}
	out := &query.ComparedArms{Untreated: c.arm(0, arms[0]), Treated: c.arm(1, arms[1]), Hazard: told(h, log, variance, nil)}
	out.Detectable = detectable(float64(out.Untreated.Rate.N), float64(out.Treated.Rate.N), float64(out.Untreated.Rate.Events+out.Treated.Rate.Events))
	return out, nil
}

// arm describes one arm, in the unit of the times.
func (c comparison) arm(arm int, l lifeTable) *query.ComparedArm {
	k := kaplanMeier{KaplanMeier: KaplanMeier{Restriction: c.Grid.Horizon, MinAtRisk: int(c.MinCell)}, survival: c.survival}
	out := &query.ComparedArm{Survival: k.curve(c.score.score.response.column.levels()[arm], l)}
	time := 0.0
	for point := range l.events {
		time += c.grid.time(point) * float64(l.events[point]+l.censored[point])
	}
	n, events := l.total()
	out.Rate = query.Rate{N: n, Events: events, Time: ptr(time)}
	if time > 0 {
		limits := poissonLimits(float64(events))
		out.Rate.Estimate = ptr(float64(events) / time)
		out.Rate.Exact = &query.Limits{Lower: limits.Lower / time, Upper: limits.Upper / time}
	}
	return out
}

// zPower is R's qnorm(0.8).
const zPower = 0.8416212335729143

// detectable returns the relative risk that a two-sided test at 5 % finds with a power of
// 80 %. Source: Schoenfeld, "Sample-size formula for the proportional-hazards regression
// model", Biometrics 39 (1983).
func detectable(untreated, treated, events float64) *float64 {
	share := treated / (untreated + treated)
	return finite(math.Exp((z95 + zPower) / math.Sqrt(events*share*(1-share))))
}
