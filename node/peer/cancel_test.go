package peer_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// cancel is the word of somebody that an asked question is cancelled.
func (f *field) cancel(t *testing.T, a query.Ask, by identity.Key) query.Cancel {
	t.Helper()
	e, err := message.Seal(by, query.KindCancellation, query.Cancellation{Query: a.Request.Digest()}, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	return query.Cancel{Cancellation: e, Request: a.Request, Trial: a.Trial}
}

// secrets counts the questions whose masks a site still knows.
func secrets(t *testing.T, s *peertest.Site) (n int) {
	t.Helper()
	require.NoError(t, s.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM peer_question WHERE length(secret) > 0`).Scan(&n)
	}))
	return n
}

// TestCancellationEndsAnEvaluation that is under way, without waiting for it.
func TestCancellationEndsAnEvaluation(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]string{
		"that is for an answer": `{"decision": "automatic", "reason": "all"}`,
		"that counts persons":   `{"decision": "automatic", "reason": "large"} if { input.size == "11 to 100" } else := {"decision": "refuse", "reason": "small"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testCancelledEvaluation(t, policy)
		})
	}
}

func testCancelledEvaluation(t *testing.T, policy string) {
	t.Helper()
	f, s, _ := gated(t, policy)
	begun := make(chan struct{})
	var once bool
	s.Evaluating = func(ctx context.Context) {
		if !once {
			once = true
			close(begun)
			<-ctx.Done()
		}
	}
	s.Reopen(t)
	a := f.askAbout(t, f.trial.MeanBySex())
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: a.Request.Digest(), Step: query.StepAsk, Body: raw})
	require.NoError(t, err)
	done := make(chan error, 1)
	var reply []byte
	go func() {
		var err error
		reply, err = s.Peer.Take(t.Context(), s.Hub, task)
		done <- err
	}()
	<-begun
	require.Nil(t, bring(t, s, a.Request.Digest(), query.StepCancel, f.cancel(t, a, f.trial.Researcher)).Refusal)
	require.NoError(t, <-done)
	envelope, err := message.Parse(reply)
	require.NoError(t, err)
	answer, err := message.Open[query.Answer](envelope, query.KindAnswer, s.Now())
	require.NoError(t, err)
	requireRule(t, "approval.cancelled", answer)
	s.Reopen(t)
	requireRule(t, "approval.cancelled", bring(t, s, a.Request.Digest(), query.StepAsk, a))
}

// TestCancelledQuestionGetsNoFurtherStep, and its masks are forgotten.
func TestCancelledQuestionGetsNoFurtherStep(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	s, a := f.sites[0], f.ask(t)
	id := a.Request.Digest()
	accepted(t, bring(t, s, id, query.StepAsk, a))
	require.Equal(t, 1, secrets(t, s))
	for range 2 { // a hub that is not sure tells again
		require.Nil(t, bring(t, s, id, query.StepCancel, f.cancel(t, a, f.trial.Sponsor)).Refusal)
	}
	require.Zero(t, secrets(t, s))
	for _, step := range []query.Step{query.StepAsk, query.StepMask, query.StepConfirm, query.StepUnmask} {
		requireRule(t, "approval.cancelled", bring(t, s, id, step, a))
	}
	requireRule(t, "peer.unasked", bring(t, f.sites[1], id, query.StepCancel, f.cancel(t, a, f.trial.Sponsor)))
}

// TestNobodyIsAskedAboutACancelledQuestion any more.
func TestNobodyIsAskedAboutACancelledQuestion(t *testing.T) {
	t.Parallel()
	f, s, approver := gated(t, "")
	a := f.ask(t)
	requireWaits(t, bringUntil(t, s, a))
	list, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Nil(t, bring(t, s, a.Request.Digest(), query.StepCancel, f.cancel(t, a, f.trial.Researcher)).Refusal)
	left, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, left)
	all, err := s.Desk.Items(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, approval.Cancelled, all[0].State)
	e, err := approval.Sign(approver, approval.Verdict{
		Approval: list[0].ID, Node: s.Key.DID(), Query: a.Request.Digest(), Gate: list[0].Gate, Policy: list[0].Policy, Approve: true, Reason: "too late",
	}, s.Now(), rand.Reader)
	require.NoError(t, err)
	_, err = s.Desk.Record(t.Context(), list[0].ID, e)
	require.ErrorIs(t, err, approval.ErrOver)
}

// TestWhoMayNotCancel: a hub cannot make a cancellation up.
func TestWhoMayNotCancel(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	s, a, other := f.sites[0], f.ask(t), f.ask(t)
	id := a.Request.Digest()
	accepted(t, bring(t, s, id, query.StepAsk, a))
	good := f.cancel(t, a, f.trial.Researcher)
	change := func(fn func(c *query.Cancel)) query.Cancel { c := good; fn(&c); return c }
	own := peertest.NewTrial(t, f.trial.Design.Nodes, f.trial.Design.Disclosure, time.Now())
	own.Design.ID = "another-1"
	own.Registration = peertest.Approve(t, own.Design, own.Sponsor, own.Board, time.Now())
	for name, c := range map[string]struct {
		body any
		rule string
	}{
		"the hub":                  {f.cancel(t, a, f.hub), "query.canceller"},
		"another question's":       {change(func(c *query.Cancel) { c.Cancellation = f.cancel(t, other, f.trial.Researcher).Cancellation }), "query.cancels-other"},
		"of another trial":         {change(func(c *query.Cancel) { c.Trial = own.Registration }), "query.cancels-other"},
		"under another signature":  {change(func(c *query.Cancel) { c.Cancellation.Issuer = f.trial.Sponsor.DID() }), "message.signature"},
		"with another request":     {change(func(c *query.Cancel) { c.Request = other.Request }), "peer.task"},
		"with an altered question": {change(func(c *query.Cancel) { c.Request.Body = json.RawMessage(`{}`) }), "peer.task"},
		"no cancellation":          {change(func(c *query.Cancel) { c.Cancellation = a.Request }), "message.kind"},
		"nothing":                  {nil, "peer.task"},
	} {
		t.Run(name, func(t *testing.T) {
			requireRule(t, c.rule, bring(t, s, id, query.StepCancel, c.body))
			require.Equal(t, 1, secrets(t, s), "nothing has changed")
		})
	}
}
