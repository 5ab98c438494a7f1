package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// desk is a real one without a release gate.
type desk struct {
	*approval.Desk
	shown approval.Shown
}

func (d desk) Shown(context.Context, approval.Item) (approval.Shown, error) { return d.shown, nil }

func (d desk) Size(context.Context, approval.Item) (approval.Band, error) {
	return approval.Under101, nil
}

// TestVerdictsComeSigned: the token of the site shows what waits, and decides nothing.
func TestVerdictsComeSigned(t *testing.T) {
	t.Parallel()
	anna, other, node := newKey(t), newKey(t), newKey(t).DID()
	var d desk
	s := newSite(t)
	policy, err := approval.Load(t.Context(), "")
	require.NoError(t, err)
	mean := 128.5
	d.shown = approval.Shown{
		Reading: approval.Reading{Words: "in the site's words", Otherwise: 1, Places: []approval.Place{{What: "concept set", Name: "flu", Reach: 7, Concepts: []approval.Concept{{
			Concept: vocab.Concept{ID: 439727, Name: "Human immunodeficiency virus infection", Domain: "Condition", Standard: true}, Known: true, Theirs: "Influenza", Otherwise: true,
		}}}}},
		History: approval.History{Asked: 3, Verdicts: []approval.Past{{Earlier: approval.Earlier{Gate: approval.Run}, Approver: anna.DID(), Reason: "too broad"}}},
		Cells:   []approval.Cell{{Levels: []string{"female"}, N: 15, Mean: &mean}, {Levels: []string{"male"}, Withheld: true}, {Together: []string{"age", "sex"}, Size: approval.Under101}},
	}
	d.Desk, err = approval.Open(t.Context(), approval.Config{
		DB: s.db, Node: node, Policy: policy, Trail: s.trail, Approvers: []identity.DID{anna.DID()}, Now: func() time.Time { return start },
	})
	require.NoError(t, err)
	s = newSite(t, func(c *Config) { c.Approvals = d })

	request := query.Request{
		Trial: "bp-trial", Purpose: "feasibility", Analysis: query.Analysis{Kind: query.Count},
		Cohort: json.RawMessage(`{"PrimaryCriteria": {"CriteriaList": [{"VisitOccurrence": {}}]}}`),
	}
	asked, err := message.Seal(other, query.KindRequest, request, start, time.Hour, rand.Reader)
	require.NoError(t, err)
	question := approval.Case{Query: asked.Digest(), Envelope: asked, Request: request, Until: start.Add(time.Hour)}
	_, err = d.Decide(t.Context(), question, nil) // the default policy does not decide by size
	require.NoError(t, err)
	require.ErrorIs(t, d.Pass(t.Context(), question, approval.Run, message.Digest{}), approval.ErrWaiting)

	_, _, text := s.send(http.MethodGet, "/v1/approvals", "", nil)
	list := decode[AllApprovals](t, text).Approvals
	require.Len(t, list, 1)
	a := list[0]
	require.Equal(t, approval.Waiting, a.State)
	require.Equal(t, approval.Uncounted, a.Size)
	require.Contains(t, a.Words, "enter with this event, called the index event:\n  - a visit")
	require.Empty(t, a.Cells, "a list shows no numbers")
	path := "/v1/approvals/" + a.ID.String()[:8]
	_, _, text = s.send(http.MethodGet, path, "", nil)
	one := decode[Approval](t, text)
	require.Equal(t, []ApprovalCell{
		{Levels: []string{"female"}, N: 15, Mean: &mean}, {Levels: []string{"male"}, Withheld: true}, {Levels: []string{}, Together: []string{"age", "sex"}, Size: approval.Under101},
	}, one.Cells)
	require.Equal(t, "in the site's words", one.Words)
	require.Equal(t, []ApprovalPlace{{What: "concept set", Name: "flu", Reach: 7, Concepts: []ApprovalConcept{{
		ID: 439727, Known: true, Name: "Human immunodeficiency virus infection", Domain: "Condition", Standard: true, Theirs: "Influenza", Otherwise: true,
	}}}}, one.Named)
	require.Equal(t, 1, one.Otherwise)
	require.Equal(t, &ApprovalPast{Asked: 3, Verdicts: []ApprovalPastDecision{{Gate: approval.Run, Approver: anna.DID(), Reason: "too broad"}}}, one.Before)
	require.Empty(t, one.SizeNow, "nothing is counted that nobody asks for")
	_, _, text = s.send(http.MethodGet, path+"?size=true", "", nil)
	require.Equal(t, approval.Under101, decode[Approval](t, text).SizeNow)

	bring := func(key identity.Key, verdict approval.Verdict) (int, string) {
		e, err := approval.Sign(key, verdict, start, rand.Reader)
		require.NoError(t, err)
		raw, err := json.Marshal(VerdictInput{Verdict: e})
		require.NoError(t, err)
		status, _, text := s.send(http.MethodPost, path, "application/json", bytes.NewReader(raw))
		return status, text
	}
	verdict := approval.Verdict{Approval: a.ID, Node: node, Query: a.Query, Gate: a.Gate, Policy: a.Policy, Approve: true, Reason: "as agreed"}
	status, text := bring(other, verdict)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, approval.ErrApprover.Rule)
	status, text = bring(anna, verdict)
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, approval.Approved, decode[Approval](t, text).State)
	_, _, text = s.send(http.MethodGet, "/v1/approvals", "", nil)
	require.Empty(t, decode[AllApprovals](t, text).Approvals)
	_, _, text = s.send(http.MethodGet, "/v1/approvals?all=true", "", nil)
	require.Len(t, decode[AllApprovals](t, text).Approvals, 1)
	for path, want := range map[string]int{"/v1/approvals/00000000": http.StatusNotFound, "/v1/approvals/zz": http.StatusUnprocessableEntity} {
		status, _, _ := s.send(http.MethodGet, path, "", nil)
		require.Equal(t, want, status, path)
	}
}

func newKey(t *testing.T) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}
