package redteam

import (
	"context"
	"math"

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

// shiftedGrid fits a Cox model on two grids of two times each, the second two days wider. Nobody
// is censored between them, so the likelihood without terms tells how many events came by the first
// time.
func shiftedGrid(ctx context.Context, t *target) (Finding, error) {
	persons := len(t.persons)
	width := float64(persons * 3 / 4)
	var by [2]float64
	for i := range by {
		grid := query.Grid{Width: width + float64(2*i), Horizon: 2 * (width + float64(2*i))}
		a := survivalOf(query.Cox, query.Specs{Cox: &query.CoxSpec{Formula: "Surv(days, ended) ~ age", Ties: query.Breslow, Grid: grid}})
		answer, err := t.answerTo(ctx, a, func(place int) []float64 {
			life := lifeOf(place)
			if life[1] == 0 {
				life[0] = math.Floor(1.9 * width)
			}
			return life
		})
		if err != nil {
			return failed(err, "nothing")
		}
		h := answer.(*query.Hazards)
		best := math.Inf(1)
		for early := range h.Events + 1 {
			late := float64(h.Events - early)
			likelihood := -float64(early)*math.Log(float64(h.N)) - late*math.Log(float64(h.N-early))
			if off := math.Abs(likelihood - h.NullLogLikelihood); off < best {
				best, by[i] = off, float64(early)
			}
		}
	}
	if by[1]-by[0] == 1 {
		return Finding{Outcome: Succeeded, Learned: "how many had the event on a day"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "two models of all"}, nil
}

// shiftedBorder asks for clusters of everybody, and of everybody but some whose values are low,
// and so by a border that lies higher, past one person.
func shiftedBorder(ctx context.Context, t *target) (Finding, error) {
	const one, gone = 1, 30
	a := query.Analysis{
		Kind: query.KMeans, Columns: []query.Column{column("value", 1000)},
		Specs: query.Specs{KMeans: &query.KMeansSpec{Values: []string{"value"}, Clusters: 2, Steps: 1}},
	}
	all := t.everybody()
	row := func(place int) float64 {
		switch {
		case place >= len(all)-gone:
			return 50
		case place%2 == 0:
			return 100 + float64(place%20)
		}
		return 500 + float64(place%20)
	}
	var sum, low float64
	for place := range all {
		sum += row(place)
	}
	low = 50 * gone
	n := float64(len(all))
	between := (sum/n + (sum-low)/(n-gone)) / 2 // of the two means, where the first borders lie
	var below [2]int64
	for i, c := range []cohort{all, all[:len(all)-gone]} {
		answer, err := t.answerOf(ctx, c, a, func(place int) []float64 {
			if place == one {
				return []float64{between}
			}
			return []float64{row(place)}
		})
		if err != nil {
			return failed(err, "clusters of everybody")
		}
		below[i] = answer.(*query.Clusters).Clusters[0].N
	}
	if below[0]-below[1] == gone-1 {
		return Finding{Outcome: Succeeded, Learned: "that the one's value lies between the borders"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "clusters of many"}, nil
}
