package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks ask about the same persons again and choose what is asked of them: other
// concepts, another day, other cuts.

// counted is a column of how many events of some concepts a person has.
func counted(name string, high float64, concepts ...int64) query.Column {
	c := column(name, high)
	c.Concepts = concepts
	return c
}

// described asks for the moments of columns. Pairwise changes nothing where nobody misses a
// value, and makes it another question.
func described(pairwise bool, columns ...query.Column) query.Analysis {
	spec := &query.DescribeSpec{Pairwise: pairwise}
	for _, c := range columns {
		spec.Values = append(spec.Values, c.Name)
	}
	return query.Analysis{Kind: query.Describe, Columns: columns, Specs: query.Specs{Describe: spec}}
}

// total is the sum of a described column's values.
func total(answer any, column int) float64 {
	d := answer.(*query.Description)
	return float64(d.N) * *d.Columns[column].All.Mean
}

// about reports whether a number was found out.
func about(got, want float64) bool { return math.Abs(got-want) < 1e-3*math.Max(1, math.Abs(want)) }

// differ asks two questions about everybody and compares a number of theirs.
func (t *target) differ(ctx context.Context, first, second query.Analysis, rows [2]func(int) []float64, number func(any) float64, learned string) (Finding, error) {
	var found [2]float64
	for i, a := range []query.Analysis{first, second} {
		answer, err := t.answerTo(ctx, a, rows[i])
		if err != nil {
			return failed(err, "that the two answers would differ by few, or might")
		}
		found[i] = number(answer)
	}
	if apart := math.Abs(found[1] - found[0]); apart < 1e-9 || apart > float64(t.top()) {
		return Finding{Outcome: Blunted, Learned: "numbers that do not differ by few"}, nil
	}
	return Finding{Outcome: Succeeded, Learned: learned}, nil
}

// ifBelow returns 1 for a place below an end, 0 for others.
func ifBelow(place, end int) float64 {
	if place < end {
		return 1
	}
	return 0
}

// rarerConcept counts events of one concept, then of that and a rare one.
func rarerConcept(ctx context.Context, t *target) (Finding, error) {
	return t.differ(ctx, described(false, counted("events", 1, 1)), described(false, counted("events", 1, 1, 2)),
		[2]func(int) []float64{
			func(place int) []float64 { return []float64{ifBelow(place, 100)} },
			func(place int) []float64 { return []float64{ifBelow(place, 100+few)} },
		}, func(answer any) float64 { return total(answer, 0) }, "how many have the rare concept")
}

// both multiplies two numbers that many have, of whom few have both.
func both(ctx context.Context, t *target) (Finding, error) {
	answer, err := t.answerTo(ctx, described(false, counted("a", 1, 1), counted("b", 1, 2)), func(place int) []float64 {
		return []float64{ifBelow(place, 100), ifBelow(place, 200) - ifBelow(place, 100-few)}
	})
	if err != nil {
		return failed(err, "that few have both")
	}
	d := answer.(*query.Description)
	n := float64(d.N)
	if about((n-1)**d.Pairs[0].Covariance+total(answer, 0)*total(answer, 1)/n, few) {
		return Finding{Outcome: Succeeded, Learned: "how many have both"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a covariance of all"}, nil
}

// otherDay asks for the ages in two cohorts of the same persons, of whom few enter one of them
// a year later.
func otherDay(ctx context.Context, t *target) (Finding, error) {
	age := query.Column{Name: "age", From: query.FromAge}
	at := func(place int) float64 { return 20 + float64(place%70) }
	return t.differ(ctx, described(false, age), described(true, age), [2]func(int) []float64{
		func(place int) []float64 { return []float64{at(place)} },
		func(place int) []float64 { return []float64{at(place) + ifBelow(place, few)} },
	}, func(answer any) float64 { return total(answer, 0) }, "how many have an event that would have let them enter a year earlier")
}

// rates asks for events by time at risk.
func rates(time, events query.Column) query.Analysis {
	return query.Analysis{Kind: query.Incidence, Columns: []query.Column{events, time}, Specs: query.Specs{
		Incidence: &query.IncidenceSpec{Events: events.Name, Time: time.Name},
	}}
}

// eventsAsTime takes a number of rare events for the time at risk.
func eventsAsTime(ctx context.Context, t *target) (Finding, error) {
	ended := query.Column{Name: "ended", From: query.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{3}}
	answer, err := t.answerTo(ctx, rates(counted("rare", 1, 1), ended), func(place int) []float64 {
		return []float64{ifBelow(place, 200), ifBelow(place, few)}
	})
	if err != nil {
		return failed(err, "that few have the rare event")
	}
	if about(*answer.(*query.Rates).All.Time, few) {
		return Finding{Outcome: Succeeded, Learned: "how many have the rare event"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a time of all"}, nil
}

// leftEarly asks for the time at risk of an event that nobody has: what is missing is that of
// the few whose observation ended.
func leftEarly(ctx context.Context, t *target) (Finding, error) {
	a := survivalOf("", query.Specs{})
	answer, err := t.answerTo(ctx, rates(a.Columns[0], a.Columns[1]), func(place int) []float64 {
		return []float64{0, watched - 100*ifBelow(place, few)}
	})
	if err != nil {
		return failed(err, "that few left early")
	}
	r := answer.(*query.Rates)
	if about(float64(r.N)*watched-*r.All.Time, 100*few) {
		return Finding{Outcome: Succeeded, Learned: "when the few left"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a time of all"}, nil
}

// curve asks for the survival of persons of whom each even one has the event on a day of its own.
func curve(horizon, restriction float64) query.Analysis {
	a := survivalOf(query.KaplanMeier, query.Specs{KaplanMeier: &query.KaplanMeierSpec{
		Formula: "Surv(days, ended) ~ 1", Grid: query.Grid{Width: 1, Horizon: horizon}, Restriction: restriction,
	}})
	a.Columns = a.Columns[:2]
	return a
}

func daysOf(place int) []float64 { return lifeOf(place)[:2] }

// dayLonger watches everybody for a day more.
func dayLonger(ctx context.Context, t *target) (Finding, error) {
	return t.differ(ctx, curve(100, 0), curve(101, 0), [2]func(int) []float64{daysOf, daysOf}, func(answer any) float64 {
		return float64(answer.(*query.Survival).Arms[0].Events)
	}, "how many had the event on a day")
}

// meanToADay takes the mean survival up to each of three days, whose second difference is who
// had the event on the day between.
func meanToADay(ctx context.Context, t *target) (Finding, error) {
	var means []float64
	var persons float64
	for _, day := range []float64{100, 101, 102} {
		answer, err := t.answerTo(ctx, curve(watched, day), daysOf)
		if err != nil {
			return failed(err, "nothing")
		}
		arm := answer.(*query.Survival).Arms[0]
		means, persons = append(means, *arm.Mean), float64(arm.N)
	}
	if fell := 2*means[1] - means[0] - means[2]; 0.1/persons < fell && fell < float64(t.top())/persons {
		return Finding{Outcome: Succeeded, Learned: "how many had the event on a day"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "days on which many had the event"}, nil
}

// threeCaps counts events up to each of three numbers, and takes the second difference of the sums.
func threeCaps(ctx context.Context, t *target) (Finding, error) {
	return t.secondDifference(ctx, func(most int) (query.Analysis, func(int) []float64) {
		return described(false, counted("events", float64(most), 1)), func(place int) []float64 {
			switch {
			case place < few:
				return []float64{float64(min(7, most))}
			case place < len(t.persons)/8:
				return []float64{float64(most)}
			}
			return []float64{float64(place % 6)}
		}
	}, 6, "how many have seven")
}

// threeWatches describes how long persons were watched, up to each of three days.
func threeWatches(ctx context.Context, t *target) (Finding, error) {
	const lost = 201
	return t.secondDifference(ctx, func(to int) (query.Analysis, func(int) []float64) {
		days := survivalOf("", query.Specs{}).Columns[0]
		days.Window = &query.Window{From: 1, To: to}
		return described(false, days), func(place int) []float64 {
			switch {
			case place < few:
				return []float64{math.Min(lost, float64(to))}
			case place < len(t.persons)/3:
				return []float64{float64(to)}
			}
			return []float64{float64(place % 190)}
		}
	}, lost-1, "how many were lost on a day")
}

// thatDay counts events of the days before one, of those after it and of all, and takes the first two
// sums off the third.
func thatDay(ctx context.Context, t *target) (Finding, error) {
	const day, last = 100, 200
	found := 0.0
	for _, asked := range []struct {
		from, to int
		of       func(before, after, then float64) float64
		sign     float64
	}{
		{0, day - 1, func(before, _, _ float64) float64 { return before }, -1},
		{day + 1, last, func(_, after, _ float64) float64 { return after }, -1},
		{0, last, func(before, after, then float64) float64 { return before + after + then }, 1},
	} {
		events := counted("events", 100, 1)
		events.Window = &query.Window{From: asked.from, To: asked.to}
		answer, err := t.answerTo(ctx, described(false, events), func(place int) []float64 {
			return []float64{asked.of(float64(place%6), float64(place/6%7), ifBelow(place, few))}
		})
		if err != nil {
			return failed(err, "that few had an event that day")
		}
		found += asked.sign * total(answer, 0)
	}
	if about(found, few) {
		return Finding{Outcome: Succeeded, Learned: "how many had an event on a day"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "sums of all"}, nil
}

// secondDifference asks for the sums of a column that ends at each of three numbers. What the second
// difference tells is how many have the one between.
func (t *target) secondDifference(ctx context.Context, endingAt func(int) (query.Analysis, func(int) []float64), first int, learned string) (Finding, error) {
	var sums [3]float64
	for i := range sums {
		a, row := endingAt(first + i)
		answer, err := t.answerTo(ctx, a, row)
		if err != nil {
			return failed(err, "that so many lie between two ends")
		}
		sums[i] = total(answer, 0)
	}
	if about(2*sums[1]-sums[0]-sums[2], few) {
		return Finding{Outcome: Succeeded, Learned: learned}, nil
	}
	return Finding{Outcome: Blunted, Learned: "sums of all"}, nil
}

// meanOfTwo describes the first of everybody's measurements, the last, and their mean, of which twice is the
// sum of the others but for who has been measured a third time.
func meanOfTwo(ctx context.Context, t *target) (Finding, error) {
	found, left := 0.0, 0.0
	for _, asked := range []struct {
		take string
		of   func(first, between, last float64, third bool) float64
		sign float64
	}{
		{query.TakeFirst, func(first, _, _ float64, _ bool) float64 { return first }, -1},
		{query.TakeLast, func(_, _, last float64, _ bool) float64 { return last }, -1},
		{query.TakeMean, func(first, between, last float64, third bool) float64 {
			if third {
				return (first + between + last) / 3
			}
			return (first + last) / 2
		}, 2},
	} {
		column := measured("value", 500)
		column.Take = asked.take
		answer, err := t.answerTo(ctx, described(false, column), func(place int) []float64 {
			first := 60 + float64(place*37%801)/10
			last := first + 1 + float64(place*13%203)/10
			v := asked.of(first, last+100, last, place < few)
			if place < few {
				left += asked.sign * v
			}
			return []float64{v}
		})
		if err != nil {
			return failed(err, "that few were measured more often than others")
		}
		found += asked.sign * total(answer, 0)
	}
	if about(found, left) {
		return Finding{Outcome: Succeeded, Learned: "the values of the few who were measured a third time"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "sums of all"}, nil
}

// movedBreak asks for a histogram and moves one of its breaks past one person.
func movedBreak(ctx context.Context, t *target) (Finding, error) {
	with := func(at float64) query.Analysis {
		return query.Analysis{
			Kind: query.Histogram, Columns: []query.Column{column("value", 1000)},
			Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: []float64{0, at, 1000}}},
		}
	}
	row := func(place int) []float64 { return []float64{float64(place*2) + 1} }
	return t.differ(ctx, with(200), with(202), [2]func(int) []float64{row, row}, func(answer any) float64 {
		return float64(answer.(*query.FrequencyTable).Bins[0].Count)
	}, "how many have a value between the two breaks")
}

// movedRange finds the quantiles of a column twice, of which a search cuts two ranges, and so at
// other values.
func movedRange(ctx context.Context, t *target) (Finding, error) {
	for _, high := range []float64{300, 303} {
		a := query.Analysis{
			Kind: query.Quantiles, Specs: query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"value"}, Probabilities: []float64{0.25, 0.5}}},
			Columns: []query.Column{{Name: "value", From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mm[Hg]", Take: query.TakeLast, High: high}},
		}
		if _, err := t.answerTo(ctx, a, func(place int) []float64 { return []float64{float64(place) / 2} }); err != nil {
			return failed(err, "where quantiles lie by one way of cutting")
		}
	}
	return Finding{Outcome: Succeeded, Learned: "how many lie between a value and one nearby"}, nil
}

// leastValue looks for the first of many narrow bins that somebody is in.
func leastValue(ctx context.Context, t *target) (Finding, error) {
	var breaks []float64
	for at := 0.0; at <= 1000; at += 10 {
		breaks = append(breaks, at)
	}
	a := query.Analysis{
		Kind: query.Histogram, Columns: []query.Column{column("value", 1000)},
		Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: breaks}},
	}
	const least = 25
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		if place == 0 {
			return []float64{least}
		}
		return []float64{500 + float64(place)}
	})
	if err != nil {
		return failed(err, "nothing")
	}
	for _, b := range answer.(*query.FrequencyTable).Bins {
		if b.Count > 0 {
			if least-b.Low < 10 {
				return Finding{Outcome: Succeeded, Learned: "where the least value lies, which is one person's"}, nil
			}
			break
		}
	}
	return Finding{Outcome: Blunted, Learned: "a bin that begins anywhere below it"}, nil
}

// movedShare moves the share of persons that a model is fitted to past one whose covariates the
// attacker knows, and so the hash that decides.
func movedShare(ctx context.Context, t *target) (Finding, error) {
	with := func(share float64) query.Analysis {
		return query.Analysis{
			Kind: query.Predict, Columns: []query.Column{survivalOf("", query.Specs{}).Columns[1], column("value", 1000)},
			Specs: query.Specs{Predict: &query.PredictSpec{Formula: "ended ~ value", Share: share, Groups: 2}},
		}
	}
	row := func(place int) []float64 { return []float64{float64(place / 3 % 2), float64(place)} }
	return t.differ(ctx, with(0.5), with(0.515), [2]func(int) []float64{row, row}, func(answer any) float64 {
		return float64(answer.(*query.Prediction).N)
	}, "whether one person had the event")
}

// fewValues takes the moments of a number of events, which is 4 at most: they tell how many
// have 4.
func fewValues(ctx context.Context, t *target) (Finding, error) {
	answer, err := t.answerTo(ctx, described(false, counted("events", 4, 1)), func(place int) []float64 {
		if place < few {
			return []float64{4}
		}
		return []float64{float64(place % 4)}
	})
	if err != nil {
		return failed(err, "that few have some number of events")
	}
	if about(fourOrMore(answer), 24*few) { // what is 24 for 4
		return Finding{Outcome: Succeeded, Learned: "how many have four events"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "moments of all"}, nil
}

// fourOrMore is the sum of x(x-1)(x-2)(x-3) over the first described column, which is 0 for whole numbers
// up to 3.
func fourOrMore(answer any) float64 {
	m := answer.(*query.Description).Columns[0].All
	n, mean := float64(m.N), *m.Mean
	second := *m.Variance * (n - 1) / n
	third := *m.Skewness.Type1 * math.Pow(second, 1.5)
	fourth := (*m.Kurtosis.Type1 + 3) * second * second
	square := second + mean*mean
	cube := third + 3*mean*square - 2*mean*mean*mean
	power := fourth + 4*mean*cube - 6*mean*mean*square + 3*mean*mean*mean*mean
	return n * (power - 6*cube + 11*square - 6*mean)
}

// rareValues takes the moments of a number that is 3 at most, but for few who have 4 and more: all else
// is taken off.
func rareValues(ctx context.Context, t *target) (Finding, error) {
	answer, err := t.answerTo(ctx, described(false, counted("events", 9, 1)), func(place int) []float64 {
		if place < few {
			return []float64{float64(4 + place%2)}
		}
		return []float64{float64(place % 4)}
	})
	if err != nil {
		return failed(err, "that few have many events")
	}
	if about(fourOrMore(answer), 24*(few-1)+120) { // what is 120 for 5
		return Finding{Outcome: Succeeded, Learned: "that two have four events and one has five"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "moments of all"}, nil
}

// twoCaps counts events up to six and up to eight. The sums and the sums of squares differ by how many
// have seven, and how many more.
func twoCaps(ctx context.Context, t *target) (Finding, error) {
	var apart, squares float64
	for most, sign := range map[float64]float64{6: -1, 8: 1} {
		answer, err := t.answerTo(ctx, described(false, counted("events", most, 1)), func(place int) []float64 {
			switch {
			case place < few:
				return []float64{math.Min(7, most)}
			case place < len(t.persons)/8:
				return []float64{most}
			}
			return []float64{float64(place % 6)}
		})
		if err != nil {
			return failed(err, "that so many lie between two ends")
		}
		m := answer.(*query.Description).Columns[0].All
		n := float64(m.N)
		apart += sign * total(answer, 0)
		squares += sign * ((n-1)**m.Variance + n**m.Mean**m.Mean)
	}
	const seven, more = 7*7 - 6*6, 8*8 - 6*6
	if about((more*apart-2*squares)/(more-2*seven), few) {
		return Finding{Outcome: Succeeded, Learned: "how many have seven"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "sums of all"}, nil
}

// greatValue takes the fourth powers of the distances from a mean, nearly all of which are one
// person's, who has a small share of the values themselves.
func greatValue(ctx context.Context, t *target) (Finding, error) {
	const great = 400
	answer, err := t.answerTo(ctx, described(false, counted("value", 1000, 1)), func(place int) []float64 {
		if place == 0 {
			return []float64{great}
		}
		return []float64{20 + float64(place%40)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	m := answer.(*query.Description).Columns[0].All
	n := float64(m.N)
	second := *m.Variance * (n - 1) / n
	guess := *m.Mean + math.Pow(n*(*m.Kurtosis.Type1+3)*second*second, 0.25)
	if math.Abs(guess-great) < 0.01*great {
		return Finding{Outcome: Succeeded, Learned: "one person's value, within one percent"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "moments of all"}, nil
}

// leverage fits a line through a high power of a value, of which one person has a great one: the
// line meets the person's response.
func leverage(ctx context.Context, t *target) (Finding, error) {
	const great = 400
	value := query.Column{Name: "value", From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mm[Hg]", Take: query.TakeLast, High: 500}
	a := query.Analysis{
		Kind: query.GLM, Columns: []query.Column{counted("event", 1, 2), value},
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "event ~ I(value^6)", Family: query.Gaussian}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		if place == 0 {
			return []float64{1, great}
		}
		return []float64{float64(place % 2), 20 + float64(place%40)}
	})
	if err != nil {
		return failed(err, "that one person's value is far from the others")
	}
	line := answer.(*query.Regression).Coefficients
	if math.Abs(*line[0].Estimate+*line[1].Estimate*math.Pow(great, 6)-1) < 0.01 {
		return Finding{Outcome: Succeeded, Learned: "whether the person with the greatest value had the event"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a line through all"}, nil
}

// threeSums asks the same of three choices of four sites out of six, by which two are left over.
func threeSums(ctx context.Context, t *target) (Finding, error) {
	for _, sites := range [][]identity.DID{{"did:key:a", "did:key:b", "did:key:c", "did:key:d"}, {"did:key:a", "did:key:b", "did:key:e", "did:key:f"}} {
		asked, _, err := t.ask(ctx, question{about: "half", cells: []cohort{from(0, 200)}})
		if err != nil {
			return refusal(err, "nothing")
		}
		if err := t.gate.Sum(ctx, asked.ID, sites); err != nil {
			return refusal(err, "the sum over four sites")
		}
	}
	// The third sum, over c, d, e and f, each of which was in one before, is like the second.
	return Finding{Outcome: Succeeded, Rule: release.ErrSites.Rule, Learned: "the sum over two sites"}, nil
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
	first, _, err := t.frameOf(ctx, t.everybody(), less, func(place int) []float64 { return []float64{ageOf(place)} })
	if err != nil {
		return failed(err, "nothing")
	}
	if err := t.gate.Sum(ctx, first.ID, three); err != nil {
		return refusal(err, "nothing")
	}
	second, _, err := t.frameOf(ctx, t.everybody(), more, func(place int) []float64 { return []float64{ageOf(place), float64(place % 900)} })
	if err != nil {
		return failed(err, "the sum of three")
	}
	if err := t.gate.Sum(ctx, second.ID, append(three, "did:key:d")); err != nil {
		return refusal(err, "the sum of three; two models make none of one site")
	}
	return Finding{Outcome: Succeeded, Learned: "one site's sum of ages"}, nil
}

// tail describes a measurement within a range, outside of which few lie, to read how many from those who
// are left out.
func tail(ctx context.Context, t *target) (Finding, error) {
	const high = 186.5
	value := query.Column{Name: "value", From: query.FromMeasurement, Concepts: []int64{1}, Unit: "mm[Hg]", Take: query.TakeLast, High: high}
	answer, err := t.answerTo(ctx, described(false, value), func(place int) []float64 {
		if place < few {
			return []float64{math.NaN()} // as whoever lies outside
		}
		return []float64{90 + float64(place%90)}
	})
	if err != nil {
		return failed(err, "nothing")
	}
	if d := answer.(*query.Description); d.Omitted != nil {
		return Finding{Outcome: Succeeded, Learned: "how many have a greater value, or none"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "that there are some, and fewer than the policy wants", Off: half(1, t.top())}, nil
}
