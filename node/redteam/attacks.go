package redteam

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// attacks are all of them, in order. What is asked about few persons is about three.
var attacks = []attack{
	{"a", "rebuild values from own vectors, means and covariances", ownVectors},
	{"b", "mean of a column times a one-hot vector", oneHot},
	{"c", "a subset that differs by one or two", nearSubset},
	{"d", "the same question seven times, to average noise away", sevenTimes},
	{"e", "the same question before and after a restart", afterRestart},
	{"f", "another tag, researcher or purpose on the same question", otherTag},
	{"g", "an unknown stratifier or measure", unknownWords},
	{"h", "a histogram with a bin for everybody", fineHistogram},
	{"i", "differencing neighbouring risk sets, as of a Cox model", riskSets},
	{"j", "a federation of two, where one subtracts its own", subtractOwn},
	{"k", "probing thresholds by limits of the attacker's own", probeLimits},
	{"l", "everybody but the few", complement},
	{"m", "a window of dates that slides by a day", slidingWindow},
	{"n", "concepts in another order, to be a new question", permuteConcepts},
	{"o", "two researchers who put their answers together", collude},
	{"p", "margins of a crossed table around a withheld cell", margins},
	{"q", "two cohorts and either of them, for those in both", eitherOf},
	{"r", "a covariance with a number that few have", products},
	{"s", "a histogram in rounds with bins narrower than people are apart", narrowBins},
	{"t", "the quantile that is the greatest value", greatest},
	{"u", "a survival curve whose steps are one person's", steps},
	{"v", "a Cox model whose risk sets differ by a person", neighbours},
	{"w", "an attrition with two rules between which few leave", fewLeave},
	{"x", "a weighted comparison with the weights of each day", weightsByDay},
	{"y", "everybody's rates less those of matched pairs, for the few who found none", unmatched},
	{"z", "three sums over four of six sites, which leave two", threeSums},
	{"aa", "numbers of events of one concept, and of that and a rare one", rarerConcept},
	{"ab", "the product of two numbers of events, for the few who have both", both},
	{"ac", "the ages of the same persons on another day of entry", otherDay},
	{"ad", "a number of rare events in place of the time at risk", eventsAsTime},
	{"ae", "the time at risk where nobody has the event and few left early", leftEarly},
	{"af", "a survival curve to a horizon a day later", dayLonger},
	{"ag", "the mean survival to each of three days", meanToADay},
	{"ah", "a histogram with a break moved past one person", movedBreak},
	{"ai", "a prediction fitted to a share moved past one person", movedShare},
	{"aj", "the moments of a number that is 4 at most, for who has 4", fewValues},
	{"ak", "the first bin of a histogram that somebody is in", leastValue},
	{"al", "the kurtosis of a column with one great value", greatValue},
	{"am", "quantiles of one column in two plausible ranges", movedRange},
	{"an", "a regression on a power of a value that is one person's alone", leverage},
	{"ao", "a model with a column more, which few lack, for the ages of those few", fewLack},
	{"ap", "a model with a column more over a site more, for that site's sums", columnMore},
	{"aq", "histograms of overlapping cohorts and of what is only in either, with a break moved", overlapping},
	{"ar", "a Cox model on a grid moved past one person's event", shiftedGrid},
	{"as", "clusters of all, and of all but some, between whose borders one person lies", shiftedBorder},
	{"at", "a step of a survival curve in which few are lost", fewLost},
	{"au", "a conditional model of pairs that are matched by a covariate but for one", oneSet},
	{"av", "a case series with a period of risk a day longer", longerRisk},
	{"aw", "a site's own estimates, taken out of an exchange of derivatives", ownEstimate},
	{"ax", "the mean of the sixth powers of a response, nearly all of which are one person's", sixthPowers},
	{"ay", "the intercept beside an offset, in whose exponential one person has most", offsetAlone},
	{"az", "clusters of the same persons, one more of them", clusterMore},
	{"ba", "a prediction with its columns in another order, and so fitted to others", otherOrder},
	{"bb", "strata of a propensity score by another power of its covariate", otherScore},
	{"bc", "as many models of other products of columns as there are persons, to solve them for a value", manyModels},
	{"bd", "two Cox models on grids of two widths, whose risk sets differ by few", twoGrids},
	{"be", "a histogram with a break beside the end of a group of age, and a table of the groups", otherKind},
	{"bf", "a cohort by age, and a histogram of all with a break a year beside", criterion},
	{"bg", "those left out by a range of the attacker's, outside of which few lie", tail},
	{"bh", "numbers of events that end at six, seven and eight, for who has seven", threeCaps},
	{"bi", "days of a watch of three lengths, whose second difference is who was lost on a day", threeWatches},
	{"bj", "strata of a propensity score, and of another for a comparison", twoScores},
	{"bk", "a logistic model of an offset beside whose step few persons lie", steepOffset},
	{"bl", "numbers of events before a day, after it, and of all, for who had one that day", thatDay},
	{"bm", "a conditional model beside an offset that decides all pairs but three", decidedPairs},
	{"bn", "a plausible range to a value, and a cohort by the next", rangeBeside},
	{"bo", "a plausible range that leaves few of a cohort out, beside its size", rangeOfAll},
	{"bp", "histograms of a value and of its copy in a data set, with a break moved", twoHistograms},
	{"bq", "the means of a value and of its copy in a data set, which few lack", twoMeans},
	{"br", "a Cox model beside an offset by which two persons have all of each risk set", steepRisk},
	{"bs", "descriptions of columns of which the attacker knows all but one, of a cohort and of eleven more, to solve them for the value", elevenMore},
	{"bt", "numbers of events that end at six and at eight, and their squares, for who has seven", twoCaps},
	{"bu", "the moments of a number that is 3 at most, but for few who have 4 or 5", rareValues},
	{"bv", "the first, the last and the mean of everybody's measurements, for those of who has a third", meanOfTwo},
}

// few is how many persons the attacker is after.
const few = 3

// everybody returns all places.
func (t *target) everybody() cohort { return from(0, len(t.persons)) }

// difference finds the number of persons by which two answers of one cell each differ.
func (t *target) difference(ctx context.Context, first, second question) (Finding, error) {
	a, err := t.count(ctx, first)
	if err != nil {
		return refusal(err, "nothing: the first question was refused")
	}
	b, err := t.count(ctx, second)
	if err != nil {
		return refusal(err, "that one of the answers would have told the other's difference")
	}
	if a[0].withheld || b[0].withheld {
		return Finding{Outcome: Blunted, Rule: release.ErrCells.Rule, Learned: "that a cell is withheld", Off: t.prior()}, nil
	}
	aLo, aHi := t.shown(a[0].n)
	bLo, bHi := t.shown(b[0].n)
	return t.judge(aLo-bHi, aHi-bLo), nil
}

// shown returns between which numbers of persons a shown count may come from.
func (t *target) shown(n int) (lo, hi int) {
	base := max(t.policy.Rounding, 1)
	spread := 3 * t.policy.NoiseScale
	return n - base/2 - spread, n - base/2 + base - 1 + spread
}

// top is the largest number of persons whom the policy hides, or by default should.
func (t *target) top() int {
	return max(t.policy.MinCell, t.policy.MinDifference, disclosure.Default().MinCell) - 1
}

// prior is how wrong a guess may be of whoever knows no more than the policy says.
func (t *target) prior() *float64 { return half(1, t.top()) }

func half(lo, hi int) *float64 {
	off := float64(hi-lo) / 2
	return &off
}

// judge returns the finding of somebody who knows between what the number of few
// persons lies. He has succeeded if that is narrower than the policy's interval.
func (t *target) judge(lo, hi int) Finding {
	f := Finding{Outcome: Blunted, Learned: "a range as wide as the policy's", Off: half(lo, hi)}
	if hi-lo < t.top()-1 {
		f.Outcome, f.Learned = Succeeded, fmt.Sprintf("how many they are, within %d", hi-lo)
	}
	return f
}

func oneHot(ctx context.Context, t *target) (Finding, error) {
	all := t.everybody()
	cells, err := t.count(ctx, question{about: "the one and the others", cells: []cohort{all[:1], all[1:]}})
	if err != nil {
		return refusal(err, "nothing")
	}
	if !cells[0].withheld {
		return Finding{Outcome: Succeeded, Learned: "the number of a cell of one"}, nil
	}
	if _, err := t.count(ctx, question{about: "all", cells: []cohort{all}}); err != nil {
		return refusal(err, "that the cell of one is not empty")
	}
	lo, hi := t.shown(0)
	return t.judge(lo, hi), nil
}

func nearSubset(ctx context.Context, t *target) (Finding, error) {
	all := t.everybody()
	for gone := 1; gone <= 2; gone++ {
		f, err := t.difference(ctx, question{about: "all", cells: []cohort{all}}, question{about: fmt.Sprint("all but ", gone), cells: []cohort{all[gone:]}})
		if err != nil || f.Outcome != Refused || gone == 2 {
			return f, err
		}
	}
	return Finding{}, errors.New("no subset was tried")
}

func sevenTimes(ctx context.Context, t *target) (Finding, error) {
	return t.repeats(ctx, 7, func(int) (question, error) {
		return question{about: "half", cells: []cohort{from(0, len(t.persons)/2)}}, nil
	})
}

func afterRestart(ctx context.Context, t *target) (Finding, error) {
	return t.repeats(ctx, 3, func(i int) (question, error) {
		q := question{about: "half", cells: []cohort{from(0, len(t.persons)/2)}}
		if i == 0 {
			return q, nil
		}
		return q, t.restart(ctx)
	})
}

func otherTag(ctx context.Context, t *target) (Finding, error) {
	return t.repeats(ctx, 4, func(i int) (question, error) {
		about, err := questionOf(fmt.Sprintf("purpose %d of project %d", i, i), 201826, 4329847)
		return question{about: about, cells: []cohort{from(0, len(t.persons)/2)}, researcher: identity.DID(fmt.Sprint("did:key:tag", i))}, err
	})
}

func permuteConcepts(ctx context.Context, t *target) (Finding, error) {
	return t.repeats(ctx, 2, func(i int) (question, error) {
		concepts := []int64{201826, 4329847}
		about, err := questionOf("purpose", concepts[i], concepts[1-i])
		return question{about: about, cells: []cohort{from(0, len(t.persons)/2)}}, err
	})
}

// repeats asks what should be one question again and again.
func (t *target) repeats(ctx context.Context, times int, next func(i int) (question, error)) (Finding, error) {
	var first []cell
	for i := range times {
		q, err := next(i)
		if err != nil {
			return Finding{}, err
		}
		cells, err := t.count(ctx, q)
		if err != nil {
			return refusal(err, "nothing")
		}
		if i == 0 {
			first = cells
		} else if cells[0] != first[0] {
			return Finding{Outcome: Succeeded, Learned: "another answer to the same question"}, nil
		}
	}
	lo, hi := t.shown(first[0].n)
	return Finding{Outcome: Blunted, Learned: fmt.Sprintf("the same answer %d times", times), Off: half(lo, hi)}, nil
}

func fineHistogram(ctx context.Context, t *target) (Finding, error) {
	var cells []cohort
	for i := range 100 {
		cells = append(cells, from(i, i+1))
	}
	if _, err := t.count(ctx, question{about: "a bin for everybody", cells: cells}); err != nil {
		return refusal(err, "that all bins hold few")
	}
	return Finding{Outcome: Succeeded, Learned: "a bin of one"}, nil
}

func riskSets(ctx context.Context, t *target) (Finding, error) {
	return t.difference(ctx, question{about: "at risk at the first event", cells: []cohort{from(0, 200)}},
		question{about: "at risk at the second", cells: []cohort{from(1, 200)}})
}

func subtractOwn(ctx context.Context, t *target) (Finding, error) {
	if _, err := secagg.ForQuestion([32]byte{1}, []identity.DID{"did:key:a", "did:key:b"}, t.policy, 2); err == nil {
		return Finding{Outcome: Succeeded, Learned: "the other's numbers"}, nil
	}
	// Three are allowed; a fourth that joins for the same persons would be left over.
	asked, _, err := t.ask(ctx, question{about: "half", cells: []cohort{from(0, 200)}})
	if err != nil {
		return refusal(err, "nothing")
	}
	three := []identity.DID{"did:key:a", "did:key:b", "did:key:c"}
	if err := t.gate.Sum(ctx, asked.ID, three); err != nil {
		return refusal(err, "nothing")
	}
	again, _, err := t.ask(ctx, question{about: "half", cells: []cohort{from(0, 200)}})
	if err != nil {
		return refusal(err, "the sum of three")
	}
	if err := t.gate.Sum(ctx, again.ID, append(three, "did:key:d")); err != nil {
		return refusal(err, "the sum of three; two sites make none")
	}
	return Finding{Outcome: Succeeded, Learned: "one site's numbers"}, nil
}

func probeLimits(ctx context.Context, t *target) (Finding, error) {
	small := from(0, few)
	var last Finding
	for least := t.top() + 1; least < t.top()+4; least++ {
		_, err := t.count(ctx, question{about: "few and more", cells: []cohort{small, from(100, 200)}, change: func(p *disclosure.Policy) { p.MinCell = least }})
		var e *problem.Error
		switch {
		case errors.As(err, &e) && e.Rule == release.ErrLimits.Rule:
			return refusal(err, "that a cell is withheld under the first limits")
		case err != nil:
			return refusal(err, "nothing")
		}
		last = Finding{Outcome: Succeeded, Learned: "under which threshold the cell is shown"}
	}
	return last, nil
}

func complement(ctx context.Context, t *target) (Finding, error) {
	all := t.everybody()
	return t.difference(ctx, question{about: "all but the few", cells: []cohort{all[few:]}}, question{about: "all", cells: []cohort{all}})
}

// slidingWindow takes in one person a day and lets one go.
func slidingWindow(ctx context.Context, t *target) (Finding, error) {
	var answered int
	var last error
	for day := range 60 {
		_, err := t.count(ctx, question{about: fmt.Sprint("window ", day), cells: []cohort{from(day, day+200)}})
		if err == nil {
			answered++
			continue
		}
		var e *problem.Error
		if !errors.As(err, &e) {
			return Finding{}, err
		}
		last = err
	}
	// Any two windows differ at both ends by as many persons as days lie between them.
	if apart := (t.top() + 2) / 2; answered > 60/apart+1 {
		return Finding{Outcome: Succeeded, Learned: "who came and went within a few days"}, nil
	}
	return refusal(last, "windows that differ by as many as the policy wants")
}

func collude(ctx context.Context, t *target) (Finding, error) {
	all := t.everybody()
	return t.difference(ctx, question{about: "all", cells: []cohort{all}, researcher: "did:key:one"},
		question{about: "all but the few", cells: []cohort{all[few:]}, researcher: "did:key:two"})
}

// margins asks by two things crossed, then by each, and takes what is shown of the
// larger from what is shown of its parts.
func margins(ctx context.Context, t *target) (Finding, error) {
	parts := []cohort{from(0, few), from(100, 140), from(200, 230), from(300, 350)} // two by two
	crossed, err := t.count(ctx, question{about: "crossed", cells: parts})
	if err != nil {
		return refusal(err, "nothing")
	}
	if !crossed[0].withheld {
		return Finding{Outcome: Succeeded, Learned: "the small cell itself"}, nil
	}
	join := func(a, b int) cohort { return append(append(cohort{}, parts[a]...), parts[b]...) }
	rows, err := t.count(ctx, question{about: "rows", cells: []cohort{join(0, 1), join(2, 3)}})
	if err != nil {
		return refusal(err, "that the small cell is not empty")
	}
	columns, err := t.count(ctx, question{about: "columns", cells: []cohort{join(0, 2), join(1, 3)}})
	if err != nil {
		return refusal(err, "that the small cell is not empty")
	}
	found := Finding{Outcome: Blunted, Rule: release.ErrDifference.Rule, Learned: "that margins around the small cell are withheld too", Off: t.prior()}
	for _, m := range []struct {
		margin cell
		other  int
	}{{rows[0], 1}, {columns[0], 2}} {
		if m.margin.withheld || crossed[m.other].withheld {
			continue
		}
		lo, hi := t.shown(m.margin.n)
		otherLo, otherHi := t.shown(crossed[m.other].n)
		if found = t.judge(max(lo-otherHi, 1), hi-otherLo); found.Outcome == Succeeded {
			return found, nil
		}
	}
	return found, nil
}

func eitherOf(ctx context.Context, t *target) (Finding, error) {
	for _, q := range []question{
		{about: "a", cells: []cohort{from(0, 100)}},
		{about: "b", cells: []cohort{from(100-few, 200)}},
	} {
		if _, err := t.count(ctx, q); err != nil {
			return refusal(err, "nothing")
		}
	}
	if _, err := t.count(ctx, question{about: "a or b", cells: []cohort{from(0, 200)}}); err != nil {
		return refusal(err, "that some are in both")
	}
	// Of three counts each may be off.
	lo, hi := t.shown(0)
	return t.judge(few+3*lo, few+3*hi), nil
}

// fewLeave asks for the attrition of a cohort with a rule that lets all pass but the few,
// then for what is left as a count.
func fewLeave(ctx context.Context, t *target) (Finding, error) {
	steps := []cohort{t.everybody(), from(0, 300), from(few, 300), from(100, 300)}
	cells, err := t.count(ctx, question{about: "attrition", cells: steps, nested: true})
	if err != nil {
		return refusal(err, "that few leave at some step")
	}
	for i := 1; i <= 2; i++ {
		if !cells[i].withheld {
			continue
		}
		again, err := t.count(ctx, question{about: fmt.Sprint("step ", i), cells: steps[i : i+1]})
		if err != nil {
			return refusal(err, "that few leave at some step")
		}
		cells[i] = again[0]
	}
	lo, hi := t.shown(cells[1].n)
	nextLo, nextHi := t.shown(cells[2].n)
	return t.judge(max(lo-nextHi, 1), hi-nextLo), nil
}
