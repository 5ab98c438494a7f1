package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// steepRisk fits a Cox model beside an age as offset. Beside the two oldest, who are watched to the end, nobody
// counts in any risk set: the model is one of the two, whose values' difference is what its error rests on.
// That, and the mean value of those with the event, tells both.
func steepRisk(ctx context.Context, t *target) (Finding, error) {
	const high, low = 150.5, 75.25
	value := func(place int) float64 {
		switch place {
		case 0:
			return high
		case 1:
			return low
		}
		return spreadOf(place)
	}
	a := survivalOf(query.Cox, query.Specs{Cox: &query.CoxSpec{
		Formula: "Surv(days, ended) ~ value + offset(age)", Ties: query.Breslow, Grid: query.Grid{Width: 1, Horizon: watched},
	}})
	a.Columns = append(a.Columns, measured("value", 1000))
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		life := lifeOf(place)
		life[2] = 20 + float64(place*7%10)
		if place < 2 {
			life = []float64{watched, 0, 44}
		}
		return append(life, value(place))
	})
	if err != nil {
		return failed(err, "nothing")
	}
	ended := described(false, measured("value", 1000))
	ended.Columns = append(ended.Columns, a.Columns[1])
	ended.Describe.By = "ended"
	means, err := t.answerTo(ctx, ended, func(place int) []float64 {
		if place < 2 {
			return []float64{value(place), 0}
		}
		return []float64{value(place), lifeOf(place)[1]}
	})
	if err != nil {
		return failed(err, "a model of two")
	}
	h := answer.(*query.Hazards)
	beta, se := h.Coefficients[0].Estimate, h.Coefficients[0].SE
	if beta == nil || se == nil {
		return Finding{Outcome: Blunted, Learned: "a model without an estimate"}, nil
	}
	mean := *means.(*query.Description).Columns[0].Groups[1].Mean
	// The information is events·p·(1-p)·apart², where p is the first one's share of the risk.
	share := func(apart float64) float64 { return 1 / (1 + math.Exp(-*beta*apart)) }
	from, to := 0.0, 2/math.Abs(*beta)
	for range 100 {
		apart := (from + to) / 2
		if p := share(apart); float64(h.Events)*p*(1-p)*apart*apart < 1/(*se**se) {
			from = apart
		} else {
			to = apart
		}
	}
	p := share(from)
	first, second := mean+(1-p)*from, mean-p*from
	if math.Abs(first-high) < 0.01 && math.Abs(second-low) < 0.01 {
		return Finding{Outcome: Succeeded, Learned: "the values of the two oldest"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a model of many"}, nil
}
