package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks ask for a value by two names: the tables hold it, and a data set as well.

// copied is a column of a data set.
func copied(name string) query.Column {
	return query.Column{Name: name, From: query.FromDataset, Dataset: "clinic", Column: name, Kind: query.NumericValues, Domain: "Measurement", Unit: "mg/dL", High: 1000}
}

// twoHistograms cut a value of the tables at a break, and its copy at another, between which few lie.
func twoHistograms(ctx context.Context, t *target) (Finding, error) {
	below := func(value query.Column, at float64) (int64, error) {
		value.High = 1000
		answer, err := t.answerTo(ctx, query.Analysis{
			Kind: query.Histogram, Columns: []query.Column{value},
			Specs: query.Specs{Histogram: &query.HistogramSpec{Value: value.Name, Breaks: []float64{0, at, 1000}}},
		}, func(place int) []float64 { return []float64{valueBeside(place)} })
		if err != nil {
			return 0, err
		}
		return answer.(*query.FrequencyTable).Bins[0].Count, nil
	}
	first, err := below(within(), mostOfRange)
	if err != nil {
		return failed(err, "nothing")
	}
	second, err := below(copied("value"), mostOfRange+2)
	if err != nil {
		return failed(err, "a histogram of all")
	}
	return betweenCuts(second - first), nil
}

// twoMeans are of a value of the tables, and of its copy that few lack.
func twoMeans(ctx context.Context, t *target) (Finding, error) {
	sum := func(value query.Column, from int) (float64, error) {
		value.High = 1000
		answer, err := t.answerTo(ctx, described(false, value), func(place int) []float64 {
			if place < from {
				return []float64{math.NaN()}
			}
			return []float64{spreadOf(place)}
		})
		if err != nil {
			return 0, err
		}
		return total(answer, 0), nil
	}
	all, err := sum(within(), 0)
	if err != nil {
		return failed(err, "nothing")
	}
	most, err := sum(copied("value"), few)
	if err != nil {
		return failed(err, "a mean of all")
	}
	if want := spreadOf(0) + spreadOf(1) + spreadOf(2); math.Abs(all-most-want) < 0.5 {
		return Finding{Outcome: Succeeded, Learned: "the sum of the values of those who lack the copy"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "two means"}, nil
}
