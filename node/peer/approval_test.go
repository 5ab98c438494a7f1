package peer_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// bringUntil takes an ask of a hub that knows of waiting to a site.
func bringUntil(t *testing.T, s *peertest.Site, a query.Ask) query.Answer {
	t.Helper()
	until := time.Now().Add(time.Hour)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: a.Request.Digest(), Step: query.StepAsk, Body: raw, Until: &until})
	require.NoError(t, err)
	reply, err := s.Peer.Take(t.Context(), s.Hub, task)
	require.NoError(t, err)
	e, err := message.Parse(reply)
	require.NoError(t, err)
	answer, err := message.Open[query.Answer](e, query.KindAnswer, s.Now())
	require.NoError(t, err)
	return answer
}

func requireWaits(t *testing.T, a query.Answer) {
	t.Helper()
	require.Equal(t, query.StepWait, a.Step, "%+v", a.Refusal)
	require.Empty(t, a.Body)
	require.Nil(t, a.Refusal)
}

// decide signs a verdict about the one question that waits at a site.
func decide(t *testing.T, s *peertest.Site, approver identity.Key, approve bool, public string) (approval.Item, message.Digest) {
	t.Helper()
	list, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	i := list[0]
	e, err := approval.Sign(approver, approval.Verdict{
		Approval: i.ID, Node: s.Key.DID(), Query: i.Input.Query, Gate: i.Gate, Policy: i.Policy, Numbers: i.Numbers,
		Approve: approve, Reason: "as agreed", Public: public,
	}, s.Now(), rand.Reader)
	require.NoError(t, err)
	i, err = s.Desk.Record(t.Context(), i.ID, e)
	require.NoError(t, err)
	return i, e.Digest()
}

// gated returns the first of a trial's three sites, with an approver and a policy of
// its own; the other two are names only.
func gated(t *testing.T, policy string) (*field, *peertest.Site, identity.Key) {
	t.Helper()
	f, approver := &field{hub: peertest.NewKey(t)}, peertest.NewKey(t)
	key := peertest.NewKey(t)
	f.trial = peertest.NewTrial(t, []identity.DID{key.DID(), peertest.NewKey(t).DID(), peertest.NewKey(t).DID()}, disclosure.Policy{}, time.Now())
	cfg := peertest.Config{
		Key: key, Hub: f.hub.DID(), Trial: f.trial, Policy: disclosure.Default(), People: peertest.People(13, 13), Approvers: []identity.DID{approver.DID()},
	}
	if policy != "" {
		cfg.ApprovalPolicy = t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(cfg.ApprovalPolicy, "site.rego"), []byte("package trialmesh.approval\ndecision := "+policy), 0o600))
	}
	s := peertest.NewSite(t, cfg)
	s.Publish(t, func(consent.Draft) int64 { f.index++; return f.index })
	f.sites = []*peertest.Site{s}
	return f, s, approver
}

// TestAskWaitsForApproval: nothing is released before a person has approved.
func TestAskWaitsForApproval(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, "")
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	s.Reopen(t)
	requireWaits(t, bringUntil(t, s, a))
	_, found, err := s.Gate.Recall(t.Context(), a.Request.Digest())
	require.NoError(t, err)
	require.False(t, found, "the release gate has not seen it")

	item, verdict := decide(t, s, approver, true, "")
	require.Equal(t, approval.Uncounted, item.Input.Size, "nothing was evaluated before")
	s.Reopen(t) // killed between decision and answer
	var accept query.Accept
	first := bringUntil(t, s, a)
	require.NoError(t, json.Unmarshal(accepted(t, first), &accept))
	require.Equal(t, &query.Leave{Policy: item.Policy, Verdicts: []message.Digest{verdict}}, accept.Leave)
	s.Reopen(t)
	require.JSONEq(t, string(first.Body), string(accepted(t, bringUntil(t, s, a))), "the answer stays the same")
}

// TestHubFromBeforeApprovals gets what it knows: "not now" while a person decides,
// and an answer without a field that it would refuse.
func TestHubFromBeforeApprovals(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, "")
	a := f.ask(t)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: a.Request.Digest(), Step: query.StepAsk, Body: raw})
	require.NoError(t, err)
	_, err = s.Peer.Take(t.Context(), s.Hub, task)
	require.ErrorIs(t, err, approval.ErrWaiting)
	require.Equal(t, problem.Unavailable, approval.ErrWaiting.Kind, "which a hub tries again")
	decide(t, s, approver, true, "")
	require.NotContains(t, string(accepted(t, bring(t, s, a.Request.Digest(), query.StepAsk, a))), "leave")
}

// TestApprovalIsNotForOtherLimits: a hub that has a question approved under strict limits
// and brings it under none waits again.
func TestApprovalIsNotForOtherLimits(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, "")
	a := f.ask(t)
	a.Hub = disclosure.Policy{MinCell: 1000, MinSites: 3}
	requireWaits(t, bringUntil(t, s, a))
	decide(t, s, approver, true, "")
	a.Hub = disclosure.Policy{}
	requireWaits(t, bringUntil(t, s, a))
	decide(t, s, approver, true, "")
	accepted(t, bringUntil(t, s, a))
}

// TestPolicyDecidesBySize: the question is evaluated first where the policy needs that.
func TestPolicyDecidesBySize(t *testing.T) {
	t.Parallel()
	f, s, _ := gated(t, `{"decision": "automatic", "reason": "large"} if { input.size == "11 to 100" } else := {"decision": "refuse", "reason": "small"}`)
	accepted(t, bringUntil(t, s, f.ask(t)))
}

// TestSizeForWhoDecides counts persons with consent, and nothing passes the gate by it.
func TestSizeForWhoDecides(t *testing.T) {
	t.Parallel()
	f, s, _ := gated(t, "")
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	list, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, approval.Uncounted, list[0].Input.Size)
	band, err := s.Desk.Size(t.Context(), list[0], func(ctx context.Context, r query.Request) (n int, err error) {
		n, err = s.Peer.Size(ctx, r)
		require.Equal(t, 26, n)
		return n, err
	})
	require.NoError(t, err)
	require.Equal(t, approval.Under101, band)
	trail, err := audit.Open(t.Context(), s.DB, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	records, err := trail.Latest(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, audit.Record{At: records[0].At, Event: audit.ApprovalSized, Subject: a.Request.Digest().String(), Rule: "run"}, records[0])
	_, found, err := s.Gate.Recall(t.Context(), a.Request.Digest())
	require.NoError(t, err)
	require.False(t, found)
	requireWaits(t, bringUntil(t, s, a))
}

func TestRefusalOfAPersonIsTheAnswer(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, "")
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	decide(t, s, approver, false, "please ask within the protocol")
	refused := bringUntil(t, s, a)
	requireRule(t, "approval.refused", refused)
	require.Contains(t, refused.Refusal.Title, "please ask within the protocol")
	_, found, err := s.Gate.Recall(t.Context(), a.Request.Digest())
	require.NoError(t, err)
	require.False(t, found)
}

// TestReleaseWaitsForApproval: a person sees what would leave, after suppression,
// before the site takes part in the sum.
func TestReleaseWaitsForApproval(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, `{"decision": "human", "gates": ["release"], "reason": "numbers are looked at", "publishApprovers": true}`)
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	requireRule(t, "peer.unasked", bring(t, s, a.Request.Digest(), query.StepMask, query.Round{}))
	list, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	released, found, err := s.Gate.Recall(t.Context(), a.Request.Digest())
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, released.Digest(), list[0].Numbers)
	cells, err := approval.Cells(list[0].Request, released.Words(), false, false)
	require.NoError(t, err)
	require.Equal(t, []approval.Cell{
		{Levels: []string{"female"}, N: 15}, {Levels: []string{"male"}, N: 15}, {Levels: []string{"other or unknown"}},
	}, cells, "13 of each, rounded")

	_, verdict := decide(t, s, approver, true, "")
	var accept query.Accept
	require.NoError(t, json.Unmarshal(accepted(t, bringUntil(t, s, a)), &accept))
	require.Equal(t, []message.Digest{verdict}, accept.Leave.Verdicts)
	require.Equal(t, []identity.DID{approver.DID()}, accept.Leave.Approvers)
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	f, s, _ := gated(t, `{"decision": "refuse", "reason": "no questions in August"}`)
	refused := bringUntil(t, s, f.ask(t))
	requireRule(t, "approval.policy", refused)
	require.Contains(t, refused.Refusal.Title, "no questions in August")
}

// TestADecisionIsOnRecordWithoutAnAnswer of a policy that lets every question pass.
func TestADecisionIsOnRecordWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	f, s, _ := gated(t, `{"decision": "automatic", "reason": "all may pass"}`)
	a := f.ask(t)
	a.LedgerIndex = 0
	requireRule(t, "consent.no-epoch", bringUntil(t, s, a))
	known, err := s.Desk.Cancel(t.Context(), a.Request.Digest(), a.Request.Issuer, false)
	require.NoError(t, err)
	require.True(t, known)
}

// TestQuestionExpiresWhileItWaits as it would without waiting.
func TestQuestionExpiresWhileItWaits(t *testing.T) {
	t.Parallel()
	f, s, _ := gated(t, "")
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	s.Config.Now = func() time.Time { return a.Request.Expires }
	s.Reopen(t)
	requireRule(t, "message.expired", bringUntil(t, s, a))
}
