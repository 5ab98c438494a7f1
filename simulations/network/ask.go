package network

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/population"
)

// Cohort defines everybody who was seen, since another day of the last century for every
// number from 0 to 30,000: other questions about the same persons, which no rule of the
// release gate minds.
func Cohort(number int) json.RawMessage {
	since := time.Date(1900, 1, 1+number, 0, 0, 0, 0, time.UTC)
	return json.RawMessage(fmt.Sprintf(`{"ConceptSets":[],"PrimaryCriteria":{
		"CriteriaList":[{"VisitOccurrence":{"OccurrenceStartDate":{"Value":"%s","Op":"gt"}}}],
		"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}}`, since.Format(time.DateOnly)))
}

// Count asks how many they are, Mean for their blood pressure, Logistic for a logistic
// regression of hypertension on age, and Survival for the time, up to half a year, until
// they come again, which about half of them do.
var (
	Count = query.Analysis{Kind: query.Count}
	Mean  = query.Analysis{Kind: query.Moments, Variable: &query.Variable{
		Concept: population.Systolic, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 260,
	}}
	Logistic = query.Analysis{
		Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "hypertension ~ age", Family: query.Binomial}},
		Columns: []query.Column{
			{Name: "hypertension", From: query.FromEvent, Concepts: []int64{population.Hypertension}, Domain: "ConditionOccurrence"},
			{Name: "age", From: query.FromAge},
		},
	}
	Survival = query.Analysis{
		Kind: query.KaplanMeier, Specs: query.Specs{KaplanMeier: &query.KaplanMeierSpec{
			Formula: "Surv(days, returned) ~ 1", Grid: query.Grid{Width: 10, Horizon: halfYear},
		}},
		Columns: []query.Column{untilVisit("days", query.FromFollowUp), untilVisit("returned", query.FromOutcome)},
	}
)

const halfYear = 180 // days

// untilVisit is a column of the follow-up from a person's first visit to their second.
func untilVisit(name string, from query.Origin) query.Column {
	return query.Column{
		Name: name, From: from, Domain: cohort.VisitOccurrence, Concepts: []int64{population.Outpatient}, Window: &query.Window{From: 1, To: halfYear},
	}
}

// ErrUnanswered reports a question to which not every node answered.
var ErrUnanswered = errors.New("not every node answered")

// questionTime is how long a question may take, and a request: on a machine that is busy
// with other things too, questions that come at once shall take long and not fail. From an
// hour on a question would wait for nodes that are away.
const questionTime = 45 * time.Minute

// Ask lets the i-th researcher ask and returns the answer, which all nodes gave.
func (n *Network) Ask(ctx context.Context, i int, request query.Request) (hubclient.Question, error) {
	r := n.researchers[i]
	request.Trial, request.Purpose = trialID, "simulation"
	e, err := message.Seal(r.key, query.KindRequest, request, time.Now(), time.Hour, rand.Reader)
	if err != nil {
		return hubclient.Question{}, err
	}
	id, err := r.client.Ask(ctx, e, questionTime)
	if err != nil {
		return hubclient.Question{}, err
	}
	return n.await(ctx, i, id)
}

// await waits for the result of a question.
func (n *Network) await(ctx context.Context, i int, id query.ID) (hubclient.Question, error) {
	for {
		q, err := n.researchers[i].client.Question(ctx, id.String(), hubclient.WaitResult, time.Minute)
		switch {
		case err != nil:
			return q, err
		case q.Result == nil:
			if time.Since(q.Asked) > questionTime {
				return q, fmt.Errorf("%w within %s", ErrUnanswered, questionTime)
			}
		case q.Result.State != query.Complete:
			return q, fmt.Errorf("%w: %s", ErrUnanswered, q.Result.Reason)
		default:
			return q, nil
		}
	}
}

// ErrUnproved reports an answer of which not every node has proved its part.
var ErrUnproved = errors.New("not every node proved its part")

// provedPause is how often it is looked whether the proofs of an answer are there.
const provedPause = 100 * time.Millisecond

// Proved waits until every node has proved its part of an answer, which the hub asks for
// once no question is under way.
func (n *Network) Proved(ctx context.Context, i int, id query.ID) error {
	over := time.NewTimer(questionTime)
	defer over.Stop()
	for {
		q, err := n.researchers[i].client.Question(ctx, id.String(), "", 0)
		if err != nil {
			return err
		}
		if q.Result != nil && (q.Result.Repeats != nil || len(q.Accesses) == len(q.Result.Answered)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return fmt.Errorf("%w within %s", ErrUnproved, questionTime)
		case <-time.After(provedPause):
		}
	}
}
