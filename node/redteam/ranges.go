package redteam

import (
	"context"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks choose the range outside of which a person has no value.

// mostOfRange is the greatest value within the range of the attacks, and few have the next.
const mostOfRange = 100

// within is a measurement with that range.
func within() query.Column { return measured("value", mostOfRange) }

// valueBeside is beyond the range for few by one, and for some others by more.
func valueBeside(place int) float64 {
	switch {
	case place < few:
		return mostOfRange + 1
	case place%2 == 0:
		return mostOfRange - float64(place%50)
	}
	return mostOfRange + 50 + float64(place%50)
}

// upToNext are the persons with a value in the range, or the next.
func (t *target) upToNext() (c cohort) {
	for _, place := range t.everybody() {
		if valueBeside(place) <= mostOfRange+1 {
			c = append(c, place)
		}
	}
	return c
}

// rangeBeside describes the values of all within a range, and the ages of a cohort whose criterion is a
// value beside the range: both say of how many.
func rangeBeside(ctx context.Context, t *target) (Finding, error) {
	return t.numbersOf(ctx, t.everybody(), t.upToNext())
}

// rangeOfAll describes both of that cohort.
func rangeOfAll(ctx context.Context, t *target) (Finding, error) {
	return t.numbersOf(ctx, t.upToNext(), t.upToNext())
}

// numbersOf describes the ages of some, and the values of others, and tells the numbers of both.
func (t *target) numbersOf(ctx context.Context, measured, aged cohort) (Finding, error) {
	ages, err := t.answerOf(ctx, aged, described(false, query.Column{Name: "age", From: query.FromAge}), func(place int) []float64 {
		return []float64{ageOf(place)}
	})
	if err != nil {
		return failed(err, "nothing")
	}
	values, err := t.answerOf(ctx, measured, described(false, within()), func(place int) []float64 { return []float64{valueBeside(place)} })
	if err != nil {
		return failed(err, "a mean of many")
	}
	return betweenCuts(ages.(*query.Description).N - values.(*query.Description).N), nil
}
