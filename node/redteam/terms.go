package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks choose what a method makes of the values.

// measured is a column of measurements up to high.
func measured(name string, high float64) query.Column {
	return query.Column{Name: name, From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mg/dL", Take: query.TakeLast, High: high}
}

// sixthPowers takes the mean of the sixth powers of a measurement, in which the one great value
// has nearly all, and a small share of the values themselves.
func sixthPowers(ctx context.Context, t *target) (Finding, error) {
	const great = 29
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{measured("value", 30)},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "I(value^6) ~ 1", Family: query.Gaussian}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		if place == 0 {
			return []float64{great}
		}
		return []float64{float64(place % 9)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	r := answer.(*query.Regression)
	if found := math.Pow(float64(r.N)**r.Coefficients[0].Estimate, 1.0/6); math.Abs(found-great) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the greatest value"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a mean of all"}, nil
}

// offsetAlone fits the intercept of a Poisson model with a measurement as offset: the ratio of the
// sum of the response and the sum of the exponentials of the offset, which is the greatest.
func offsetAlone(ctx context.Context, t *target) (Finding, error) {
	const great = 38
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{{Name: "age", From: query.FromAge}, measured("value", 40)},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "age ~ offset(value)", Family: query.Poisson}},
	}
	ages := 0.0
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		age := ageOf(place)
		ages += age
		if place == 0 {
			return []float64{age, great}
		}
		return []float64{age, float64(1 + place*7%33)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	if found := math.Log(ages) - *answer.(*query.Regression).Coefficients[0].Estimate; math.Abs(found-great) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the greatest value"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a sum over all"}, nil
}
