package redteam

import (
	"context"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// comparisonOf compares two arms by when the event came.
func comparisonOf(by query.Adjustment, of query.Estimand) query.Analysis {
	a := survivalOf(query.Compare, query.Specs{Comparison: &query.ComparisonSpec{
		Treatment: "treated ~ age", Outcome: "Surv(days, ended) ~ treated",
		Grid: query.Grid{Width: 1, Horizon: watched}, Adjustment: by, Estimand: of,
	}})
	a.Columns = append(a.Columns, query.Column{Name: "treated", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{1}})
	return a
}

// weightsByDay weights a comparison by inverse probabilities: a day's weight of one person
// tells that person's score.
func weightsByDay(ctx context.Context, t *target) (Finding, error) {
	answer, err := t.answerTo(ctx, comparisonOf(query.Weighting, query.ATE), func(place int) []float64 {
		return append(lifeOf(place), float64(place/2%2))
	})
	if err != nil {
		return failed(err, "nothing")
	}
	c := answer.(*query.Comparison)
	if c.Crude.Untreated.Rate.Events+c.Crude.Treated.Rate.Events < int64(c.Adjusted.Hazard.Times*t.top()) {
		return Finding{Outcome: Succeeded, Learned: "the weights of few persons on a day, and so their scores"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "weights of as many as the policy wants, by arm and event"}, nil
}

// unmatched makes pairs of all but two persons.
func unmatched(ctx context.Context, t *target) (Finding, error) {
	treated := len(t.persons)/2 - 1
	answer, err := t.answerTo(ctx, comparisonOf(query.Matching, query.ATT), func(place int) []float64 {
		life, arm := lifeOf(place), 0.0
		if place < treated {
			arm = 1
		}
		return append(life, arm)
	})
	if err != nil {
		return failed(err, "nothing")
	}
	if c := answer.(*query.Comparison); c.Crude != nil && c.Untreated.N-c.Untreated.Used < int64(t.top()) {
		return Finding{Outcome: Succeeded, Learned: "how many of the two had the event, and their time at risk"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "the rates of those in pairs alone"}, nil
}
