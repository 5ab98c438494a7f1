package redteam

import (
	"context"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks have values cut in two ways, of cohorts that let the two be compared.

// overlapping has the values of two cohorts cut at two breaks, between which one person lies who
// is in both; and, by the break of each, those of who is in it alone.
func overlapping(ctx context.Context, t *target) (Finding, error) {
	const one, value, low, high = 150, 205, 203, 207
	below := func(c cohort, at float64) (float64, error) {
		a := query.Analysis{
			Kind: query.Histogram, Columns: []query.Column{column("value", 1000)},
			Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: []float64{0, at, 1000}}},
		}
		answer, err := t.answerOf(ctx, c, a, func(place int) []float64 {
			if place == one {
				return []float64{value}
			}
			return []float64{float64(place%50)*10 + 1}
		})
		if err != nil {
			return 0, err
		}
		return float64(answer.(*query.FrequencyTable).Bins[0].Count), nil
	}
	var both [2]float64 // below each break, of those in both cohorts
	for i, c := range []struct {
		whole, alone cohort
		at           float64
	}{{from(0, 300), from(0, 100), low}, {from(100, 400), from(300, 400), high}} {
		for _, part := range []struct {
			of   cohort
			sign float64
		}{{c.whole, 1}, {c.alone, -1}} {
			n, err := below(part.of, c.at)
			if err != nil {
				return failed(err, "a histogram of either cohort")
			}
			both[i] += part.sign * n
		}
	}
	if both[1]-both[0] == 1 {
		return Finding{Outcome: Succeeded, Learned: "that the one's value lies between the breaks"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "two histograms of many"}, nil
}
