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

// ages is a histogram of ages with a break.
func ages(at float64) query.Analysis {
	return query.Analysis{
		Kind: query.Histogram, Columns: []query.Column{{Name: "age", From: query.FromAge}},
		Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "age", Breaks: []float64{0, at, query.MaxAge}}},
	}
}

// oldestOfGroup is the greatest age of a group of age, which few of the persons under attack have.
const oldestOfGroup = 39

// ageOfFew returns ages from 18 to 38 for a half, and over 39 for the others but few.
func ageOfFew(place int) float64 {
	switch {
	case place < few:
		return oldestOfGroup
	case place%2 == 0:
		return 18 + float64(place/2%21)
	}
	return 45 + float64(place/2%40)
}

// otherKind asks for a histogram of ages with a break a year below the end of a group of age, and
// for a table of those groups by sex, of the same persons.
func otherKind(ctx context.Context, t *target) (Finding, error) {
	table := query.Analysis{
		Kind: query.CrossTab, Columns: []query.Column{{Name: "group", From: query.FromAgeGroup}, {Name: "sex", From: query.FromSex}},
		Specs: query.Specs{CrossTab: &query.CrossTabSpec{Factors: []string{"group", "sex"}}},
	}
	bins, err := t.answerTo(ctx, ages(oldestOfGroup-1), func(place int) []float64 { return []float64{ageOfFew(place)} })
	if err != nil {
		return failed(err, "nothing")
	}
	cells, err := t.answerTo(ctx, table, func(place int) []float64 {
		group := 1 + ifBelow(oldestOfGroup, int(ageOfFew(place))) + ifBelow(64, int(ageOfFew(place)))
		return []float64{group, float64(place / 2 % 2)}
	})
	if err != nil {
		return failed(err, "a histogram of all")
	}
	below := -bins.(*query.FrequencyTable).Bins[0].Count
	sexes := len(query.BySex.Levels())
	for _, n := range cells.(*query.ContingencyTable).Counts[sexes : 2*sexes] {
		below += n
	}
	return betweenCuts(below), nil
}

// criterion asks for a histogram of ages with a break a year from the age of a cohort's criterion,
// and for the cohort.
func criterion(ctx context.Context, t *target) (Finding, error) {
	var older cohort
	for _, place := range t.everybody() {
		if ageOfFew(place) >= oldestOfGroup {
			older = append(older, place)
		}
	}
	cells, err := t.count(ctx, question{about: "older", cells: []cohort{older}})
	if err != nil {
		return refusal(err, "nothing")
	}
	bins, err := t.answerTo(ctx, ages(oldestOfGroup), func(place int) []float64 { return []float64{ageOfFew(place)} })
	if err != nil {
		return failed(err, "a count of many")
	}
	return betweenCuts(int64(cells[0].n) - bins.(*query.FrequencyTable).Bins[1].Count), nil
}

func betweenCuts(persons int64) Finding {
	if persons == few {
		return Finding{Outcome: Succeeded, Learned: "how many are of one age"}
	}
	return Finding{Outcome: Blunted, Learned: "numbers that do not differ by few"}
}
