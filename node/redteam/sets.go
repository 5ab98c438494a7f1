package redteam

import (
	"context"
	"math"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	site "github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// These attacks are on likelihoods within sets of rows, and on estimates of one site's own.

// oneSet fits a conditional model to pairs of which those of one site are matched by age but for
// one. The coefficient tells whether the older person of that pair is the case.
func oneSet(ctx context.Context, t *target) (Finding, error) {
	a := query.Analysis{
		Kind: query.ConditionalLogistic, Specs: query.Specs{ConditionalLogistic: &query.ConditionalLogisticSpec{Formula: "ended ~ age + strata(set)"}},
		Columns: []query.Column{survivalOf("", query.Specs{}).Columns[1], {Name: "age", From: query.FromAge}, counted("set", query.MaxCount, 2)},
	}
	_, own, err := t.frameOf(ctx, t.everybody(), a, func(place int) []float64 {
		set := place / 2
		age := 20 + float64(set*7%70)
		if place == 1 {
			age++
		}
		return []float64{float64(place % 2), age, float64(set + 1)}
	})
	if err != nil {
		return failed(err, "that few sets differ by age")
	}
	known, err := analysis.NewFrame(own.Columns())
	if err != nil {
		return Finding{}, err
	}
	const older, younger = 20, 10 // the cases of so many pairs of each other site
	for set := range older + younger {
		for _, ended := range []float64{0, 1} {
			age := 50.0
			if (ended == 1) == (set < older) {
				age++
			}
			if err := known.Append([]float64{ended, age, float64(set + 1)}); err != nil {
				return Finding{}, err
			}
		}
	}
	answer, err := t.pooled(a, own, known, known)
	if err != nil {
		return failed(err, "nothing")
	}
	// Of pairs that differ by a year the odds are those of an older case.
	odds := math.Exp(*answer.(*query.Conditional).Coefficients[0].Estimate)
	if about(odds, float64(2*older+1)/float64(2*younger)) {
		return Finding{Outcome: Succeeded, Learned: "that the older of one pair is the case"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a coefficient of many sets"}, nil
}

// decidedPairs fits a conditional model to pairs of whom one is far older, beside an offset of age, but
// for three of one age: the coefficient and its error are those of the three.
func decidedPairs(ctx context.Context, t *target) (Finding, error) {
	a := query.Analysis{
		Kind: query.ConditionalLogistic, Specs: query.Specs{ConditionalLogistic: &query.ConditionalLogisticSpec{Formula: "ended ~ treated + offset(age) + strata(set)"}},
		Columns: []query.Column{
			survivalOf("", query.Specs{}).Columns[1],
			{Name: "treated", From: query.FromEvent, Domain: "DrugExposure", Concepts: []int64{1}},
			{Name: "age", From: query.FromAge},
			counted("set", query.MaxCount, 2),
		},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		set := place / 2
		older := float64((place + set/2) % 2) // who is the case
		row := []float64{older, float64((place + set/3) % 2), 20 + float64(set*7%30) + 40*older, float64(set + 1)}
		if set < few { // the treated one is, but in the first
			treated := float64(place % 2)
			row[0], row[1], row[2] = treated, treated, 20+float64(set*7%30)
			if set == 0 {
				row[0] = 1 - treated
			}
		}
		return row
	})
	if err != nil {
		return failed(err, "that an offset decides most")
	}
	if odds := math.Exp(*answer.(*query.Conditional).Coefficients[0].Estimate); about(odds, few-1) {
		return Finding{Outcome: Succeeded, Learned: "in how many of three pairs the treated is the case"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a coefficient of many sets"}, nil
}

// longerRisk asks a case series for a period of risk and for one of a day more. The likelihood
// without a risk tells how many events are in the period.
func longerRisk(ctx context.Context, t *target) (Finding, error) {
	const days, least = 100, 20
	var within [2]float64
	for i := range within {
		risk := least + i
		a := query.Analysis{
			Kind: query.CaseSeries, Columns: []query.Column{
				{Name: "events", From: query.FromDays, Domain: "ConditionOccurrence", Concepts: []int64{1}},
				{Name: "exposures", From: query.FromDays, Domain: "DrugExposure", Concepts: []int64{2}},
			},
			Specs: query.Specs{CaseSeries: &query.CaseSeriesSpec{
				Events: "events", Exposures: "exposures", Risks: []query.RiskPeriod{{Name: "risk", Window: query.Window{To: risk - 1}}},
			}},
		}
		lives := make([]site.Life, len(t.persons))
		for place, p := range t.persons {
			day := omop.Date(place % least) // within the shorter period, or well after the longer
			switch {
			case place == 0:
				day = least // the last day of the longer
			case place%2 == 1:
				day += 2 * least
			}
			lives[place] = site.Life{Person: p, To: days - 1, Events: []omop.Date{day}, Exposures: []omop.Date{0}}
		}
		out, err := site.SeriesAnswer(a, lives)
		if err != nil {
			return Finding{}, err
		}
		_, own, err := t.pass(ctx, a, t.everybody(), out)
		if err != nil {
			return failed(err, "that few have an event on a day, or may have")
		}
		answer, err := t.pooled(a, own)
		if err != nil {
			return failed(err, "nothing")
		}
		c := answer.(*query.Conditional)
		in, outside := math.Log(float64(risk)/days), math.Log(float64(days-risk)/days)
		within[i] = math.Round((c.NullLogLikelihood - float64(c.Events)*outside) / (in - outside))
	}
	if within[1]-within[0] == 1 {
		return Finding{Outcome: Succeeded, Learned: "how many have an event on a day"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "relative incidences of many"}, nil
}

// ownEstimate takes the estimates of sites that it knows out of the mean with which an exchange
// of derivatives begins. What is left is one site's own, of a column that few have: how many of
// them have the event.
func ownEstimate(ctx context.Context, t *target) (Finding, error) {
	columns := []query.Column{
		survivalOf("", query.Specs{}).Columns[1],
		{Name: "rare", From: query.FromEvent, Domain: "ConditionOccurrence", Concepts: []int64{3}},
	}
	a := query.Analysis{Kind: query.ODAL, Columns: columns, Specs: query.Specs{ODAL: &query.ODALSpec{Formula: "ended ~ rare"}}}
	_, own, err := t.frameOf(ctx, t.everybody(), a, func(place int) []float64 {
		return []float64{float64(place % 2), ifBelow(place, few)} // one of the few, the second, has the event
	})
	if err != nil {
		return failed(err, "that few have the rare column")
	}
	known, err := analysis.NewFrame(own.Columns())
	if err != nil {
		return Finding{}, err
	}
	for i := range 200 {
		if err := known.Append([]float64{float64(i % 2), float64(i / 2 % 2)}); err != nil {
			return Finding{}, err
		}
	}
	answer, err := t.pooled(a, own, known, known)
	if err != nil {
		return failed(err, "nothing")
	}
	fit := query.Analysis{Kind: query.GLM, Columns: columns, Specs: query.Specs{GLM: &query.GLMSpec{Formula: a.ODAL.Formula, Family: query.Binomial}}}
	alone, err := analysis.InRounds(fit, 0)
	if err != nil {
		return Finding{}, err
	}
	theirs, err := analysis.Local(alone, known)
	if err != nil {
		return Finding{}, err
	}
	var estimate, variance [2]float64 // of the one site: the intercept, and the rare column
	for j, mean := range answer.(*query.OneShot).Initial {
		their := theirs.Result.(*query.Regression).Coefficients[j]
		all, each := 1/(*mean.SE**mean.SE), 1/(*their.SE**their.SE)
		variance[j] = 1 / (all - 2*each)
		estimate[j] = (all**mean.Estimate - 2*each**their.Estimate) * variance[j]
	}
	share := 1 / (1 + math.Exp(-estimate[0]-estimate[1]))
	persons := 1 / ((variance[1] - variance[0]) * share * (1 - share))
	if about(persons, few) && about(persons*share, 1) {
		return Finding{Outcome: Succeeded, Learned: "how many have the rare column, and how many of them the event"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "estimates of a site's many"}, nil
}
