package peertest

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Trial is an approved trial and the keys of those who made it.
type Trial struct {
	Sponsor, Board, Researcher identity.Key
	Design                     trial.Design
	Registration               trial.Registration
}

// NewTrial returns a trial of the given nodes that was open for an hour at now.
func NewTrial(t testing.TB, nodes []identity.DID, policy disclosure.Policy, now time.Time) Trial {
	t.Helper()
	x := Trial{Sponsor: NewKey(t), Board: NewKey(t), Researcher: NewKey(t)}
	now = now.UTC().Truncate(time.Second)
	var kinds []string
	for _, k := range query.Kinds() {
		kinds = append(kinds, string(k))
	}
	x.Design = trial.Design{
		ID: "glucose-1", Title: "Glucose", Nodes: nodes, Researchers: []identity.DID{x.Researcher.DID()},
		Analyses: kinds, Disclosure: policy,
		Opens: now.Add(-time.Hour), Closes: now.Add(30 * 24 * time.Hour),
	}
	x.Registration = Approve(t, x.Design, x.Sponsor, x.Board, now.Add(-time.Minute))
	return x
}

// Approve signs a design and its approval.
func Approve(t testing.TB, design trial.Design, sponsor, board identity.Key, now time.Time) trial.Registration {
	t.Helper()
	signed, err := message.Seal(sponsor, trial.KindDesign, design, now, 30*24*time.Hour, rand.Reader)
	require.NoError(t, err)
	approval, err := message.Seal(board, trial.KindApproval, trial.Approval{Trial: design.ID, Design: signed.Digest()}, now, 30*24*time.Hour, rand.Reader)
	require.NoError(t, err)
	return trial.Registration{Design: signed, Approvals: []message.Envelope{approval}}
}

// Cohort is everybody with diabetes.
var Cohort = json.RawMessage(`{"ConceptSets":[{"id":0,"name":"d","expression":{"items":[{"concept":{"CONCEPT_ID":201826}}]}}],
	"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}],"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}}`)

// CountBySex counts the cohort's women and men.
func (x Trial) CountBySex() query.Request {
	return query.Request{Trial: x.Design.ID, Cohort: Cohort, Purpose: "test", Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex}}}
}

// MeanBySex asks for the mean systolic pressure by sex.
func (x Trial) MeanBySex() query.Request {
	r := x.CountBySex()
	r.Analysis.Kind = query.Moments
	r.Analysis.Variable = &query.Variable{Concept: Systolic, Unit: "mm[Hg]", Take: query.TakeLast, Low: 50, High: 250}
	return r
}

// Model asks for a logistic regression of who relapsed within a year on age, sex and
// systolic pressure.
func (x Trial) Model() query.Request {
	r := x.CountBySex()
	r.Analysis = query.Analysis{
		Kind:  query.GLM,
		Specs: query.Specs{GLM: &query.GLMSpec{Formula: "relapse ~ age + sex + pressure", Family: query.Binomial}},
		Columns: []query.Column{
			{Name: "relapse", From: query.FromEvent, Domain: cohort.ConditionOccurrence, Concepts: []int64{Relapse}, Window: &query.Window{From: 1, To: 365}},
			{Name: "age", From: query.FromAge},
			{Name: "sex", From: query.FromSex},
			{
				Name: "pressure", From: query.FromMeasurement, Concepts: []int64{Systolic}, Unit: "mm[Hg]", Take: query.TakeLast,
				Low: 50, High: 250, Window: &query.Window{From: -365},
			},
		},
	}
	return r
}

// Sign signs a request as the trial's researcher.
func (x Trial) Sign(t testing.TB, r query.Request, now time.Time) message.Envelope {
	t.Helper()
	e, err := message.Seal(x.Researcher, query.KindRequest, r, now, time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}
