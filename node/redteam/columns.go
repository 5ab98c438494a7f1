package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// columnAttacks ask two models, of which the second has a column more.
var columnAttacks = []attack{
	{"z", "a model with a column more, which few lack, for the ages of those few", fewLack},
	{"aa", "a model with a column more over a site more, for that site's sums", columnMore},
}

// models are one of age, and one with a column more.
func models() (less, more query.Analysis) {
	age, other := query.Column{Name: "age", From: query.FromAge}, column("other", 1000)
	describe := func(columns ...query.Column) query.Analysis {
		a := query.Analysis{Kind: query.Describe, Columns: columns, Specs: query.Specs{Describe: &query.DescribeSpec{}}}
		for _, c := range columns {
			a.Describe.Values = append(a.Describe.Values, c.Name)
		}
		return a
	}
	return describe(age), describe(age, other)
}

func ageOf(place int) float64 { return 20 + float64(place*7%70) }

// fewLack takes the sum of the ages of those who have another column from that of all.
func fewLack(ctx context.Context, t *target) (Finding, error) {
	less, more := models()
	sum := func(a query.Analysis, row func(place int) []float64) (float64, error) {
		answer, err := t.answerTo(ctx, a, row)
		if err != nil {
			return 0, err
		}
		d := answer.(*query.Description)
		return float64(d.N) * *d.Columns[0].All.Mean, nil
	}
	all, err := sum(less, func(place int) []float64 { return []float64{ageOf(place)} })
	if err != nil {
		return failed(err, "nothing")
	}
	most, err := sum(more, func(place int) []float64 {
		if place < few {
			return []float64{ageOf(place), math.NaN()}
		}
		return []float64{ageOf(place), float64(place % 900)}
	})
	if err != nil {
		return failed(err, "that few lack the other column")
	}
	if want := ageOf(0) + ageOf(1) + ageOf(2); math.Abs(all-most-want) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the sum of the ages of the few"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "two means"}, nil
}

// columnMore has the first model summed over three sites and the other over four.
func columnMore(ctx context.Context, t *target) (Finding, error) {
	less, more := models()
	three := []identity.DID{"did:key:a", "did:key:b", "did:key:c"}
	first, _, err := t.frameOf(ctx, less, func(place int) []float64 { return []float64{ageOf(place)} })
	if err != nil {
		return failed(err, "nothing")
	}
	if err := t.gate.Sum(ctx, first.ID, three, t.policy.MinSites); err != nil {
		return refusal(err, "nothing")
	}
	second, _, err := t.frameOf(ctx, more, func(place int) []float64 { return []float64{ageOf(place), float64(place % 900)} })
	if err != nil {
		return failed(err, "the sum of three")
	}
	if err := t.gate.Sum(ctx, second.ID, append(three, "did:key:d"), t.policy.MinSites); err != nil {
		return refusal(err, "the sum of three; two models make none of one site")
	}
	return Finding{Outcome: Succeeded, Learned: "one site's sum of ages"}, nil
}
