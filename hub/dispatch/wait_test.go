package dispatch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// runPatiently drives questions until the test ends, with few looks at the registry.
func (w *world) runPatiently(t *testing.T) {
	t.Helper()
	d, err := dispatch.New(dispatch.Config{
		Registry: w.reader, Log: w.log, Network: w.end, Speaks: w.speaks, Policy: w.policy, Grace: time.Second, Poll: 5 * time.Second, ProofWait: 5 * time.Second,
	})
	require.NoError(t, err)
	w.drive(t, d)
}

// gate gives a site an approver, who has to see every question.
func (w *world) gate(t *testing.T, i int) identity.Key {
	t.Helper()
	approver := peertest.NewKey(t)
	w.sites[i].Approvers = []identity.DID{approver.DID()}
	w.sites[i].Reopen(t)
	w.ends[i].HandleCall(query.TaskProtocol, w.sites[i].Peer.Take)
	return approver
}

// decide approves the one question that waits at a site.
func (w *world) decide(t *testing.T, site int, approver identity.Key) message.Digest {
	t.Helper()
	s := w.sites[site]
	list, err := s.Desk.Items(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	e, err := approval.Sign(approver, approval.Verdict{
		Approval: list[0].ID, Node: s.Key.DID(), Query: list[0].Input.Query, Gate: list[0].Gate, Policy: list[0].Policy, Approve: true, Reason: "as agreed",
	}, time.Now(), rand.Reader)
	require.NoError(t, err)
	_, err = s.Desk.Record(t.Context(), list[0].ID, e)
	require.NoError(t, err)
	return e.Digest()
}

// waiting waits until nodes are on record as waiting.
func (w *world) waiting(t *testing.T, id query.ID, want ...identity.DID) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := w.reader.Waiting(t.Context(), id)
		require.NoError(t, err)
		return len(list) == len(want) && (len(want) == 0 || list[0] == want[0])
	}, time.Minute, 100*time.Millisecond)
}

// TestQuestionStaysOpenForApproval beyond the time of its step. A node that was off when
// it came, and comes back while another waits for its people, takes part.
func TestQuestionStaysOpenForApproval(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(4)...)
		approver := w.gate(t, 2)
		w.ends[1].HandleCall(query.TaskProtocol, func(context.Context, identity.DID, []byte) ([]byte, error) {
			return nil, errors.New("it is off")
		})
		id := w.put(t, w.trial.CountBySex(), 10*time.Minute)
		w.runPatiently(t)
		w.waiting(t, id, w.sites[2].Key.DID())
		time.Sleep(4 * time.Minute) // the step's share of the question's time is two
		w.waiting(t, id, w.sites[2].Key.DID())
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, q.Result, "three can answer without it")

		w.ends[1].HandleCall(query.TaskProtocol, w.sites[1].Peer.Take)
		verdict := w.decide(t, 2, approver)
		time.Sleep(30 * time.Second)
		result := w.result(t, id)
		require.Equal(t, query.Complete, result.State)
		leaves := make(map[identity.DID]*query.Leave)
		for _, a := range result.Answered {
			require.NotNil(t, a.Leave)
			require.NoError(t, a.Leave.Validate())
			leaves[a.Node] = a.Leave
		}
		require.Equal(t, []message.Digest{verdict}, leaves[w.sites[2].Key.DID()].Verdicts)
		require.Empty(t, leaves[w.sites[0].Key.DID()].Verdicts, "its policy decided alone")
		w.waiting(t, id)
		w.replay(t)
	})
}

// TestNobodyDecides: the answer comes before the deadline, without the site, and says
// so. A node that waits and says more besides is not believed and not waited for.
func TestNobodyDecides(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.gate(t, 0)
		liar := w.sites[1].Key
		w.ends[1].HandleCall(query.TaskProtocol, func(_ context.Context, _ identity.DID, raw []byte) ([]byte, error) {
			var task query.Task
			if err := json.Unmarshal(raw, &task); err != nil {
				return nil, err
			}
			e, err := message.Seal(liar, query.KindAnswer, query.Answer{Query: task.Query, Step: query.StepWait, Body: json.RawMessage(`[7]`)}, time.Now(), time.Hour, rand.Reader)
			if err != nil {
				return nil, err
			}
			return json.Marshal(e)
		})
		id := w.put(t, w.trial.CountBySex(), 10*time.Minute)
		w.runPatiently(t)
		time.Sleep(4*time.Minute + 55*time.Second)
		w.waiting(t, id, w.sites[0].Key.DID())
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, q.Result)
		result := w.result(t, id)
		require.Equal(t, query.Withheld, result.State, "one of three nodes is too few")
		require.ElementsMatch(t, []query.Missing{{Node: w.sites[0].Key.DID(), Step: query.StepWait}, {Node: liar.DID(), Step: query.StepAsk}}, result.Missing)
		require.True(t, result.Finished.Before(q.Deadline))
	})
}

// TestNodesFromBeforeApprovals know nothing of waiting and of leaves.
func TestNodesFromBeforeApprovals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		for i, site := range w.sites {
			w.ends[i].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
				var task query.Task
				if err := json.Unmarshal(raw, &task); err != nil {
					return nil, err
				}
				task.Until = nil // as they read it
				old, err := json.Marshal(task)
				if err != nil {
					return nil, err
				}
				return site.Peer.Take(ctx, from, old)
			})
		}
		id := w.put(t, w.trial.CountBySex(), time.Minute)
		w.runPatiently(t)
		result := w.result(t, id)
		require.Equal(t, query.Complete, result.State)
		for _, a := range result.Answered {
			require.Nil(t, a.Leave)
		}
	})
}

// askFor submits a question whose signature lasts as long as its deadline.
func (w *world) askFor(t *testing.T, r query.Request, wait time.Duration) query.ID {
	t.Helper()
	e, err := message.Seal(w.trial.Researcher, query.KindRequest, r, time.Now(), wait+time.Hour, rand.Reader)
	require.NoError(t, err)
	w.propose(t, registry.AskQuestion{Envelope: e, Deadline: time.Now().Add(wait)})
	return e.Digest()
}

// TestNodesThatAreAwayForDays pick up what is pending when they are back, although they and
// the hub were restarted meanwhile; so does one whose people take a week.
func TestNodesThatAreAwayForDays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(4)...)
		approver := w.gate(t, 2)
		w.net.Partition([]identity.DID{w.sites[1].Key.DID()})
		ctx, die := context.WithCancel(t.Context())
		done := make(chan error, 1)
		first := w.patient(t, 10*time.Minute)
		go func() { done <- first.Run(ctx) }()
		id := w.askFor(t, w.trial.CountBySex(), 10*24*time.Hour)
		first.Wake()
		w.waiting(t, id, w.sites[2].Key.DID())
		time.Sleep(2 * time.Hour)
		p, nodes := w.states(t, id)
		require.Equal(t, query.StepAsk, p.Step)
		require.Equal(t, query.NodeWorking, nodes[w.sites[1].Key.DID()].State, "of whom nothing was heard")
		die()
		require.NoError(t, <-done)

		time.Sleep(8 * 24 * time.Hour) // nothing runs
		w.drive(t, w.patient(t, 10*time.Minute))
		w.sites[1].Reopen(t)
		w.ends[1].HandleCall(query.TaskProtocol, w.sites[1].Peer.Take)
		time.Sleep(time.Hour)
		w.net.Heal()
		time.Sleep(15 * time.Minute)
		_, nodes = w.states(t, id)
		require.Equal(t, query.NodeAnswered, nodes[w.sites[1].Key.DID()].State, "it is back")
		time.Sleep(2 * time.Hour)
		w.decide(t, 2, approver)
		time.Sleep(15 * time.Minute)
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.NotNil(t, q.Result, "its people have decided")
		require.Equal(t, query.Complete, q.Result.State, "%+v", q.Result)
		require.EqualValues(t, 60, q.Result.Cells[0].N)
		w.proofs(t, id, 4)
		w.replay(t)
	})
}

// patient is a dispatcher that looks at the registry rarely, as a hub that nobody wakes.
func (w *world) patient(t *testing.T, poll time.Duration) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(dispatch.Config{Registry: w.reader, Log: w.log, Network: w.end, Policy: w.policy, Poll: poll})
	require.NoError(t, err)
	return d
}

// TestDeadlineNamesWhoIsMissing: after days the answer comes without the node that never
// came back and the one whose people never decided.
func TestDeadlineNamesWhoIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(5)...)
		w.gate(t, 0)
		gone := w.sites[1].Key.DID()
		w.net.Partition([]identity.DID{gone})
		id := w.askFor(t, w.trial.CountBySex(), 2*24*time.Hour)
		ctx, die := context.WithTimeout(t.Context(), time.Minute)
		defer die()
		require.NoError(t, w.patient(t, time.Minute).Run(ctx))
		time.Sleep(47 * time.Hour)
		w.drive(t, w.patient(t, time.Minute))
		time.Sleep(53 * time.Minute)
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, q.Result, "three of five are too few, and two have time")
		time.Sleep(10 * time.Minute)
		r := w.result(t, id)
		require.ElementsMatch(t, []query.Missing{{Node: w.sites[0].Key.DID(), Step: query.StepWait}, {Node: gone, Step: query.StepAsk}}, r.Missing)
		require.False(t, r.Finished.After(q.Deadline), "in time")
	})
}
