package redteam

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	site "github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// sites is over how many sites a method's sums are taken. The attacker reads the method's
// answer, and knows whatever he wants of the other sites.
const sites = 3

// watched is the follow-up of attacks on survival, in days: more than there are persons.
const watched = 2000

// answerTo asks a method in rounds of all persons, whose values row gives by place, and
// returns what it answers. A second result is the refusal, if it is refused.
func (t *target) answerTo(ctx context.Context, a query.Analysis, row func(place int) []float64) (any, error) {
	return t.answerOf(ctx, t.everybody(), a, row)
}

// answerOf is answerTo for some of the persons.
func (t *target) answerOf(ctx context.Context, c cohort, a query.Analysis, row func(place int) []float64) (any, error) {
	_, own, err := t.frameOf(ctx, c, a, row)
	if err != nil {
		return nil, err
	}
	return t.pooled(a, own)
}

// pooled is what a method answers of the frame that was let pass and those of the other sites,
// of which the attacker knows all: nobody is there, if nothing else is given.
func (t *target) pooled(a query.Analysis, own *analysis.Frame, others ...*analysis.Frame) (any, error) {
	method, err := analysis.InRounds(a, t.policy.MinCell)
	if err != nil {
		return nil, err
	}
	for len(others) < sites-1 {
		nobody, err := analysis.NewFrame(own.Columns())
		if err != nil {
			return nil, err
		}
		others = append(others, nobody)
	}
	answer, err := analysis.Local(method, append(others, own)...)
	return answer.Result, err
}

// frameOf asks a method in rounds of some persons, and returns the question and the frame that
// is let pass. What the gate hears of the frame is what the node tells it.
func (t *target) frameOf(ctx context.Context, c cohort, a query.Analysis, row func(place int) []float64) (asked release.Question, own *analysis.Frame, err error) {
	method, err := analysis.InRounds(a, t.policy.MinCell)
	if err != nil {
		return asked, nil, err
	}
	values := make([][]float64, len(a.Columns))
	persons := make([]omop.PersonID, len(c))
	for i, place := range c {
		persons[i] = t.persons[place]
		for column, v := range row(place) {
			values[column] = append(values[column], v)
		}
	}
	out, err := site.FrameAnswer(a, method, persons, values)
	if err != nil {
		return asked, nil, err
	}
	return t.pass(ctx, a, c, out)
}

// pass has the gate judge the answer about some persons.
func (t *target) pass(ctx context.Context, a query.Analysis, c cohort, out release.Answer) (asked release.Question, own *analysis.Frame, err error) {
	same, err := canonical.Marshal(a)
	if err != nil {
		return asked, nil, err
	}
	asked = release.Question{Same: message.Sum(fmt.Append(same, c)), Trial: "red-team", Researcher: "did:key:attacker", Policy: t.policy}
	if _, err := rand.Read(asked.ID[:]); err != nil {
		return asked, nil, err
	}
	released, err := t.gate.Release(ctx, asked, out, t.now)
	if err != nil {
		return asked, nil, err
	}
	own, err = released.Frame(out.Frame.Values.Columns())
	return asked, own, err
}

// failed returns the finding of a method that gave no answer.
func failed(err error, learned string) (Finding, error) {
	if none := analysis.NoResult(""); errors.As(err, &none) {
		return Finding{Outcome: Refused, Learned: learned}, nil
	}
	return refusal(err, learned)
}

// column returns a column of values that are numbers of events, up to high.
func column(name string, high float64) query.Column {
	return query.Column{Name: name, From: query.FromCount, Domain: "ConditionOccurrence", Concepts: []int64{1}, High: high}
}

// products multiplies everybody's value with a number that only few have: the covariance is
// about the few.
func products(ctx context.Context, t *target) (Finding, error) {
	a := query.Analysis{
		Kind: query.Describe, Columns: []query.Column{{Name: "age", From: query.FromAge}, column("rare", 5)},
		Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"age", "rare"}}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		age := 20 + float64(place%70)
		if place < few {
			return []float64{age, 1}
		}
		return []float64{age, 0}
	})
	if err != nil {
		return failed(err, "that few have the rare event")
	}
	d := answer.(*query.Description)
	n, covariance := float64(d.N), *d.Pairs[0].Covariance
	// Σ age·rare = (n-1)·cov + n·mean·mean, the sum of the ages of the few.
	sum := (n-1)*covariance + n**d.Columns[0].All.Mean**d.Columns[1].All.Mean
	if want := 20.0 + 21 + 22; sum > want-0.5 && sum < want+0.5 {
		return Finding{Outcome: Succeeded, Learned: "the sum of the ages of the few"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a covariance of all"}, nil
}

// narrowBins asks for a histogram with a bin for everybody.
func narrowBins(ctx context.Context, t *target) (Finding, error) {
	breaks := make([]float64, 0, 101)
	for i := range 101 {
		breaks = append(breaks, float64(i*10))
	}
	a := query.Analysis{
		Kind: query.Histogram, Columns: []query.Column{column("value", 1000)},
		Specs: query.Specs{Histogram: &query.HistogramSpec{Value: "value", Breaks: breaks}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 { return []float64{float64(place*2) + 1} })
	if err != nil {
		return failed(err, "nothing")
	}
	for _, b := range answer.(*query.FrequencyTable).Bins {
		if 0 < b.Count && b.Count < int64(t.top()) {
			return Finding{Outcome: Succeeded, Learned: "where few persons' values lie"}, nil
		}
	}
	return Finding{Outcome: Blunted, Learned: "bins that hold as many as the policy wants", Off: half(1, t.top())}, nil
}

// greatest asks for the quantile that is one person's value.
func greatest(ctx context.Context, t *target) (Finding, error) {
	a := query.Analysis{
		Kind: query.Quantiles, Columns: []query.Column{column("value", 10_000)},
		Specs: query.Specs{Quantiles: &query.QuantilesSpec{Values: []string{"value"}, Probabilities: []float64{1}}},
	}
	answer, err := t.answerTo(ctx, a, func(place int) []float64 { return []float64{float64(place*3) + 1} })
	if err != nil {
		return failed(err, "nothing")
	}
	q := answer.(*query.QuantileTable).Columns[0].All[0]
	if q.Value != nil || *q.High-*q.Low < float64(3*(t.top()-1)) {
		return Finding{Outcome: Succeeded, Learned: "where the greatest value lies, which is one person's"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "a range in which as many persons lie as the policy wants"}, nil
}

// survivalOf asks about persons of whom each even one has the event on a day of its own.
func survivalOf(kind query.AnalysisKind, specs query.Specs) query.Analysis {
	window := &query.Window{From: 1, To: watched}
	return query.Analysis{Kind: kind, Specs: specs, Columns: []query.Column{
		{Name: "days", From: query.FromFollowUp, Domain: "ConditionOccurrence", Concepts: []int64{1}, Window: window},
		{Name: "ended", From: query.FromOutcome, Domain: "ConditionOccurrence", Concepts: []int64{1}, Window: window},
		{Name: "age", From: query.FromAge},
	}}
}

func lifeOf(place int) []float64 {
	return []float64{float64(place) + 1, float64((place + 1) % 2), 20 + float64(place*7%70)}
}

// steps looks for steps of a survival curve that are one person's.
func steps(ctx context.Context, t *target) (Finding, error) {
	a := survivalOf(query.KaplanMeier, query.Specs{KaplanMeier: &query.KaplanMeierSpec{
		Formula: "Surv(days, ended) ~ 1", Grid: query.Grid{Width: 1, Horizon: watched},
	}})
	a.Columns = a.Columns[:2]
	answer, err := t.answerTo(ctx, a, func(place int) []float64 { return lifeOf(place)[:2] })
	if err != nil {
		return failed(err, "nothing")
	}
	for _, p := range answer.(*query.Survival).Arms[0].Curve {
		if 0 < p.Events && p.Events < int64(t.top()) {
			return Finding{Outcome: Succeeded, Learned: "on which days few had the event"}, nil
		}
	}
	return Finding{Outcome: Blunted, Learned: "steps of as many events as the policy wants"}, nil
}

// fewLost looks for a step of a survival curve in which few are lost, by what is shown of them,
// by those at risk, and by those whom the steps leave over.
func fewLost(ctx context.Context, t *target) (Finding, error) {
	a := survivalOf(query.KaplanMeier, query.Specs{KaplanMeier: &query.KaplanMeierSpec{
		Formula: "Surv(days, ended) ~ 1", Grid: query.Grid{Width: 1, Horizon: watched},
	}})
	a.Columns = a.Columns[:2]
	const lost = 200 // from which place on
	answer, err := t.answerTo(ctx, a, func(place int) []float64 {
		life := lifeOf(place)[:2]
		if life[1] == 0 && (place < lost || place >= lost+2*few) {
			life[0] = watched
		}
		return life
	})
	if err != nil {
		return failed(err, "nothing")
	}
	arm := answer.(*query.Survival).Arms[0]
	tells := func(censored int64) bool { return 0 < censored && censored < int64(t.top()) }
	found, left, lostLater := false, arm.N, arm.N-arm.Events
	for i, p := range arm.Curve {
		if i > 0 {
			before := arm.Curve[i-1]
			found = found || tells(before.AtRisk-p.AtRisk-before.Events)
		}
		found = found || tells(p.Censored) || tells(left-p.AtRisk)
		left, lostLater = left-p.Events-p.Censored, lostLater-p.Censored
	}
	if found || tells(lostLater) {
		return Finding{Outcome: Succeeded, Learned: "between which days few were lost"}, nil
	}
	return Finding{Outcome: Blunted, Learned: "steps in which as many were lost as the policy wants, or nobody", Off: half(1, t.top())}, nil
}

// twoGrids fits a Cox model and its one-shot form on two grids, whose times merge at other places.
func twoGrids(ctx context.Context, t *target) (Finding, error) {
	grid := func(width float64) query.Grid { return query.Grid{Width: width, Horizon: watched} }
	for _, specs := range []query.Specs{
		{Cox: &query.CoxSpec{Formula: "Surv(days, ended) ~ age", Grid: grid(1)}}, {ODAC: &query.ODACSpec{Formula: "Surv(days, ended) ~ age", Grid: grid(7)}},
	} {
		kind := query.Cox
		if specs.ODAC != nil {
			kind = query.ODAC
		}
		a := survivalOf(kind, specs)
		_, own, err := t.frameOf(ctx, t.everybody(), a, lifeOf)
		if err == nil {
			_, err = t.pooled(a, own, own, own) // one shot wants estimates of all sites
		}
		if err != nil {
			return failed(err, "risk sets on one grid")
		}
	}
	return Finding{Outcome: Succeeded, Learned: "risk sets on two grids, some of which differ by few"}, nil
}

// neighbours fits a Cox model whose risk sets differ by one person each.
func neighbours(ctx context.Context, t *target) (Finding, error) {
	a := survivalOf(query.Cox, query.Specs{Cox: &query.CoxSpec{Formula: "Surv(days, ended) ~ age", Grid: query.Grid{Width: 1, Horizon: watched}}})
	answer, err := t.answerTo(ctx, a, lifeOf)
	if err != nil {
		return failed(err, "nothing")
	}
	h := answer.(*query.Hazards)
	if h.Events < int64(h.Times*t.top()) {
		return Finding{Outcome: Succeeded, Learned: fmt.Sprintf("sums over %d risk sets, of which two differ by few", h.Times)}, nil
	}
	return Finding{Outcome: Blunted, Learned: "risk sets that differ by as many as the policy wants"}, nil
}
