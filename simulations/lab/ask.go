package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Cohort definitions as ATLAS exports them.
var (
	cohortSinusitis = fmt.Sprintf(`{"ConceptSets":[{"id":0,"name":"Viral sinusitis","expression":{"items":[
		{"concept":{"CONCEPT_ID":%d,"CONCEPT_NAME":"Viral sinusitis"},"isExcluded":false,"includeDescendants":false,"includeMapped":false}]}}],
		"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}],
		"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}}`, conceptSinusitis)
	cohortSeen = `{"ConceptSets":[],"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}],
		"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}}`
)

// deadline of a question.
const deadline = time.Minute

// ask signs a question, sends it and waits for the answer.
func (d *demo) ask(request query.Request) (hubclient.Question, error) {
	e, err := message.Seal(d.researcher, query.KindRequest, request, time.Now(), time.Hour, rand.Reader)
	if err != nil {
		return hubclient.Question{}, err
	}
	c, err := d.client("researcher")
	if err != nil {
		return hubclient.Question{}, err
	}
	defer c.Close()
	started := time.Now()
	id, err := c.Ask(d.ctx, e, deadline)
	if err != nil {
		return hubclient.Question{}, err
	}
	q, err := c.Question(d.ctx, id.String(), hubclient.WaitResult, deadline)
	switch {
	case err != nil:
		return q, err
	case q.Result == nil:
		return q, fmt.Errorf("no answer after %s", deadline)
	case !q.Result.State.Released():
		return q, errors.New("nothing was released: " + q.Result.Reason)
	}
	d.say("   question %.12s answered by %d hospitals in %s", id, len(q.Result.Answered), time.Since(started).Round(time.Millisecond))
	if q.Result.Repeats != nil {
		d.say("   it was asked before: the same answer again, that of %.12s", *q.Result.Repeats)
	}
	return q, nil
}

// askCount asks for a count with a breakdown.
func (d *demo) askCount() error {
	var err error
	d.count, err = d.ask(query.Request{
		Trial: trialID, Cohort: json.RawMessage(cohortSeen), Purpose: "How many patients were seen, by age at the first visit?",
		Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.ByAgeGroup}},
	})
	if err != nil {
		return err
	}
	if d.pooled, err = poolRaw(d.ctx, d.consented); err != nil {
		return err
	}
	r := d.count.Result
	d.say("   patients seen, by age at the first visit:   released | pooled raw data")
	for _, c := range r.Cells {
		exact := d.pooled.byAge[strings.Join(c.Levels, ", ")]
		if c.Withheld {
			d.say("     %-8s withheld, %d hospitals have too few | %d", c.Levels[0], c.SitesWithheld, exact)
			continue
		}
		d.say("     %-8s %34d | %d", c.Levels[0], c.N, exact)
		d.outcome.Count.Pooled += int64(exact)
		if diff := math.Abs(float64(c.N - int64(exact))); diff > r.MaxRoundingError {
			return fmt.Errorf("the released count of %s is %g away from the exact one, rounding explains %g", c.Levels[0], diff, r.MaxRoundingError)
		}
	}
	d.say("   a hospital withholds what is below %d or would round to less, and rounds to %d before masking,", r.Policy.MinCell, r.Policy.Rounding)
	d.say("   so a count is within %g of the exact one", r.MaxRoundingError)
	d.outcome.Count.Value, d.outcome.Count.WithheldCells = r.Total.N, r.WithheldCells
	return nil
}

// askMean asks for mean and standard deviation of a vital sign.
func (d *demo) askMean() error {
	var err error
	d.mean, err = d.ask(query.Request{
		Trial: trialID, Cohort: json.RawMessage(cohortSinusitis), Purpose: "What is the systolic blood pressure of those who had viral sinusitis, by sex?",
		Analysis: query.Analysis{Kind: query.Moments, By: []query.Stratifier{query.BySex}, Variable: &query.Variable{
			Concept: conceptSystolic, Unit: "mm[Hg]", Take: query.TakeLast, Low: systolicLow, High: systolicHigh,
		}},
	})
	if err != nil {
		return err
	}
	d.say("   last systolic blood pressure of those who had viral sinusitis, mm[Hg]:   released mean (sd) | pooled raw data")
	var all []float64
	for _, c := range d.mean.Result.Cells {
		values := d.pooled.bySex[c.Levels[0]]
		if c.Mean == nil || c.SD == nil || len(values) < 2 {
			continue
		}
		mean, sd := meanSD(values)
		d.say("     %-8s %.9f (%.9f) | %.9f (%.9f)", c.Levels[0], *c.Mean, *c.SD, mean, sd)
		all = append(all, values...)
	}
	mean, sd := meanSD(all)
	total := d.mean.Result.Total
	if total == nil || total.Mean == nil || total.SD == nil {
		return errors.New("the mean is missing")
	}
	d.say("     %-8s %.9f (%.9f) | %.9f (%.9f)", "all", *total.Mean, *total.SD, mean, sd)
	d.outcome.Mean = meanOutcome{Value: *total.Mean, Pooled: mean, SD: *total.SD}
	if math.Abs(*total.Mean-mean) > exact*math.Abs(mean) || math.Abs(*total.SD-sd) > exact*sd {
		return errors.New("the released mean or standard deviation is not that of the pooled data")
	}
	return nil
}

// exact is how close, relatively, a released mean must be to the pooled one.
const exact = 1e-8
