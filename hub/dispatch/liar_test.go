package dispatch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// intercept lets a node hear only the tasks that heard accepts; to the others
// it is silent.
func (w *world) intercept(i int, heard func(query.Task) bool) {
	take := w.sites[i].Peer.Take
	w.ends[i].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		var task query.Task
		if err := json.Unmarshal(raw, &task); err != nil || !heard(task) {
			return nil, transport.ErrUnreachable
		}
		return take(ctx, from, raw)
	})
}

// lie lets a node change its answers to one step before it signs them.
func (w *world) lie(t *testing.T, i int, step query.Step, change func(a *query.Answer)) {
	take := w.sites[i].Peer.Take
	w.ends[i].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		reply, err := take(ctx, from, raw)
		if err != nil {
			return nil, err
		}
		envelope, err := message.Parse(reply)
		if err != nil {
			return nil, err
		}
		answer, err := message.Replay[query.Answer](envelope, query.KindAnswer)
		if err != nil || answer.Step != step {
			return reply, err
		}
		change(&answer)
		if envelope, err = message.Seal(w.sites[i].Key, query.KindAnswer, answer, time.Now(), time.Hour, rand.Reader); err != nil {
			return nil, err
		}
		return json.Marshal(envelope)
	})
}

// edit changes one field of a JSON object.
func edit(t *testing.T, raw json.RawMessage, field string, value any) json.RawMessage {
	t.Helper()
	var object map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &object))
	var err error
	object[field], err = json.Marshal(value)
	require.NoError(t, err)
	raw, err = json.Marshal(object)
	require.NoError(t, err)
	return raw
}

// within changes a field of an object that stands in another.
func within(t *testing.T, raw json.RawMessage, outer, field string, value any) json.RawMessage {
	t.Helper()
	var object map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &object))
	return edit(t, raw, outer, edit(t, object[outer], field, value))
}

// padding is a JSON text that is longer than any answer in these tests may be.
var padding = json.RawMessage(`"` + strings.Repeat("x", 128<<10) + `"`)

// TestLiarDoesNotStandInTheWay lets one node of four send what no honest node
// would; the other three are answered.
func TestLiarDoesNotStandInTheWay(t *testing.T) {
	t.Parallel()
	type change = func(t *testing.T, w *world, a *query.Answer)
	other := func(w *world) identity.DID { return w.sites[0].Key.DID() }
	for name, c := range map[string]struct {
		step   query.Step
		change change
		whole  bool // the liar's numbers were in before it lied
	}{
		"empty accept":        {query.StepAsk, func(_ *testing.T, _ *world, a *query.Answer) { a.Body = nil }, false},
		"accept is no object": {query.StepAsk, func(_ *testing.T, _ *world, a *query.Answer) { a.Body = json.RawMessage(`7`) }, false},
		"accept without keys": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "advertisement", 1) }, false},
		"accept in another's name": {query.StepAsk, func(t *testing.T, w *world, a *query.Answer) {
			a.Body = within(t, a.Body, "advertisement", "from", other(w))
		}, false},
		"consents that are on no ledger": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "epoch", message.Digest{1}) }, false},
		"another node's consents": {query.StepAsk, func(t *testing.T, w *world, a *query.Answer) {
			last, err := w.reader.LastEpochs(t.Context())
			require.NoError(t, err)
			i := slices.IndexFunc(last, func(digest message.Digest) bool {
				e, err := w.reader.Epoch(t.Context(), digest)
				require.NoError(t, err)
				return e.Node == other(w)
			})
			a.Body = edit(t, a.Body, "epoch", last[i])
		}, false},
		"policy that stops everybody":  {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = within(t, a.Body, "policy", "minSites", 1000) }, false},
		"policy out of range":          {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = within(t, a.Body, "policy", "rounding", -5) }, false},
		"policy looser than the hub's": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = within(t, a.Body, "policy", "minCell", 0) }, false},
		"refusal as long as a book": {query.StepAsk, func(_ *testing.T, _ *world, a *query.Answer) {
			a.Body, a.Refusal = nil, &problem.Document{Title: strings.Repeat("no", 1<<12), Rule: "trial.closed"}
		}, false},
		"refusal with a padded body": {query.StepAsk, func(_ *testing.T, _ *world, a *query.Answer) {
			a.Body, a.Refusal = padding, &problem.Document{Title: "no", Rule: "trial.closed"}
		}, false},
		"padded accept": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "note", "x") }, false},
		"padded policy": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) { a.Body = within(t, a.Body, "policy", "note", "x") }, false},
		"padded advertisement": {query.StepAsk, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = within(t, a.Body, "advertisement", "note", "x")
		}, false},
		"padded masked answer":       {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "note", "x") }, false},
		"padded vector":              {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = within(t, a.Body, "masked", "note", "x") }, false},
		"padded reveal":              {query.StepUnmask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "note", "x") }, true},
		"answer to another question": {query.StepAsk, func(_ *testing.T, _ *world, a *query.Answer) { a.Query[0] ^= 1 }, false},
		"answer to another step":     {query.StepMask, func(_ *testing.T, _ *world, a *query.Answer) { a.Step = query.StepUnmask }, false},
		"vector without shares": {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = within(t, a.Body, "masked", "boxes", []int{})
		}, false},
		"vector without commitments": {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = within(t, a.Body, "masked", "pairs", []int{})
		}, false},
		"vector in another's name": {query.StepMask, func(t *testing.T, w *world, a *query.Answer) { a.Body = within(t, a.Body, "masked", "from", other(w)) }, false},
		"vector too short": {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = within(t, a.Body, "masked", "vector", "AAAAAAAAAAA=")
		}, false},
		"vector of another session": {query.StepMask, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = within(t, a.Body, "masked", "session", message.Digest{1})
		}, false},
		"reveal in another's name":  {query.StepUnmask, func(t *testing.T, w *world, a *query.Answer) { a.Body = edit(t, a.Body, "from", other(w)) }, true},
		"reveal of nothing":         {query.StepUnmask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "shares", []int{}) }, true},
		"reveal of another session": {query.StepUnmask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "session", message.Digest{1}) }, true},
		"reveal is no object":       {query.StepUnmask, func(_ *testing.T, _ *world, a *query.Answer) { a.Body = json.RawMessage(`[]`) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, alike(4)...)
				liar := w.sites[2].Key.DID()
				w.lie(t, 2, c.step, func(a *query.Answer) { c.change(t, w, a) })
				w.run(t)
				id := w.put(t, w.trial.CountBySex(), 20*time.Second)
				r := w.result(t, id)
				answers, err := w.reader.Answers(t.Context(), id, c.step)
				require.NoError(t, err)
				require.Len(t, answers, 3)
				require.NotContains(t, answers, liar, "a lie is on record")
				if c.whole {
					require.Equal(t, query.Complete, r.State, r.Reason)
					require.EqualValues(t, 60, r.Cells[0].N)
					return
				}
				require.Equal(t, query.Partial, r.State, r.Reason)
				require.Equal(t, []query.Missing{{Node: liar, Step: c.step}}, r.Missing)
				require.EqualValues(t, 45, r.Cells[0].N)
				require.Equal(t, w.policy, r.Policy, "a liar's policy counts for nothing")
			})
		})
	}
}

// TestWrongShareSpoilsTheSum makes a node reveal a share that is none: who lied
// cannot be told, so nothing is released and the question ends.
func TestWrongShareSpoilsTheSum(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(4)...)
		w.lie(t, 2, query.StepUnmask, func(a *query.Answer) {
			var reveal secagg.Reveal
			require.NoError(t, json.Unmarshal(a.Body, &reveal))
			slices.Reverse(reveal.Shares)
			var err error
			a.Body, err = json.Marshal(reveal)
			require.NoError(t, err)
		})
		w.run(t)
		r := w.result(t, w.put(t, w.trial.CountBySex(), 20*time.Second))
		require.Contains(t, []query.State{query.Complete, query.Withheld}, r.State)
		if r.State == query.Complete { // the liar's share was not needed
			require.EqualValues(t, 60, r.Cells[0].N)
			return
		}
		require.Contains(t, r.Reason, "a node may be faulty")
		require.Empty(t, r.Cells)
	})
}

// TestDropOutTakesEverybody: a node is silent once it is on the roster, so that all who sent
// numbers have to take their masks with it back. One that does so wrongly, or not at all,
// leaves no sum.
func TestDropOutTakesEverybody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step   query.Step
		change func(t *testing.T, w *world, a *query.Answer)
		reason string // none if there is an answer
	}{
		"everybody is honest": {query.StepProve, func(*testing.T, *world, *query.Answer) {}, ""},
		"padded confirmation": {query.StepConfirm, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "note", "x") }, ""},
		"confirmation in another's name": {query.StepConfirm, func(t *testing.T, w *world, a *query.Answer) {
			a.Body = edit(t, a.Body, "from", w.sites[0].Key.DID())
		}, ""},
		"confirmation that does not hold": {query.StepConfirm, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = edit(t, a.Body, "signature", make([]byte, 64))
		}, ""},
		"mask that is none": {query.StepUnmask, func(t *testing.T, _ *world, a *query.Answer) {
			a.Body = edit(t, a.Body, "seeds", []secagg.Seed{{1}})
		}, "a node may be faulty"},
		"mask kept": {query.StepUnmask, func(t *testing.T, _ *world, a *query.Answer) { a.Body = edit(t, a.Body, "seeds", []int{}) }, "cannot be taken off"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, alike(5)...)
				gone := w.sites[3].Key.DID()
				w.intercept(3, func(task query.Task) bool { return task.Step == query.StepAsk })
				w.lie(t, 2, c.step, func(a *query.Answer) { c.change(t, w, a) })
				w.run(t)
				r := w.result(t, w.put(t, w.trial.CountBySex(), 20*time.Second))
				require.Contains(t, r.Missing, query.Missing{Node: gone, Step: query.StepMask})
				if c.reason != "" {
					require.Equal(t, query.Withheld, r.State)
					require.Contains(t, r.Reason, c.reason)
					return
				}
				require.Equal(t, query.Partial, r.State, r.Reason)
				require.Len(t, r.Missing, 1)
				require.EqualValues(t, 60, r.Cells[0].N)
			})
		})
	}
}

// TestProofThatLies lets one node send a proof that is not its answer's.
func TestProofThatLies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world, a *query.Access)
		rule   string
	}{
		"other records":       {func(_ *testing.T, _ *world, a *query.Access) { a.Used[5] ^= 1 }, "access.commitment"},
		"other epoch":         {func(_ *testing.T, w *world, a *query.Access) { a.Epoch = message.Digest{1} }, "access.commitment"},
		"other scopes":        {func(_ *testing.T, _ *world, a *query.Access) { a.Scopes = 1 }, "access.commitment"},
		"fewer records":       {func(_ *testing.T, _ *world, a *query.Access) { a.AtLeast-- }, "access.count"},
		"more than were used": {func(_ *testing.T, _ *world, a *query.Access) { a.AtLeast = 1000 }, "access.proof"},
		"damaged proof":       {func(_ *testing.T, _ *world, a *query.Access) { a.Proof[17] ^= 1 }, "access.proof"},
		"short proof":         {func(_ *testing.T, _ *world, a *query.Access) { a.Proof = a.Proof[:32] }, "access.proof"},
		"unknown circuit":     {func(_ *testing.T, _ *world, a *query.Access) { a.Circuit[0] ^= 1 }, "registry.circuit"},
		"another node's":      {func(_ *testing.T, w *world, a *query.Access) { a.Node = w.sites[0].Key.DID() }, "registry.not-asked"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, alike(3)...)
				w.lie(t, 2, query.StepProve, func(a *query.Answer) {
					envelope, err := message.Parse(a.Body)
					require.NoError(t, err)
					access, err := message.Replay[query.Access](envelope, query.KindAccess)
					require.NoError(t, err)
					c.change(t, w, &access)
					envelope, err = message.Seal(w.sites[2].Key, query.KindAccess, access, time.Now(), time.Hour, rand.Reader)
					require.NoError(t, err)
					a.Body, err = json.Marshal(envelope)
					require.NoError(t, err)
				})
				w.run(t)
				id := w.put(t, w.trial.CountBySex(), 20*time.Second)
				require.Equal(t, query.Complete, w.result(t, id).State)
				w.proofs(t, id, 2)
				require.Eventually(t, func() bool { return w.log.refused(c.rule) }, time.Minute, 200*time.Millisecond, "no refusal by rule %s", c.rule)
				w.replay(t)
			})
		})
	}
}

// TestProofOfAnotherQuestion lets one node send the proof of its first answer
// for its second, under a statement that fits the second.
func TestProofOfAnotherQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.run(t)
		first := w.put(t, w.trial.CountBySex(), 20*time.Second)
		w.proofs(t, first, 3)
		known, err := w.reader.Accesses(t.Context(), first)
		require.NoError(t, err)
		i := slices.IndexFunc(known, func(a registry.Access) bool { return a.Node == w.sites[2].Key.DID() })
		w.lie(t, 2, query.StepProve, func(a *query.Answer) {
			envelope, err := message.Parse(a.Body)
			require.NoError(t, err)
			access, err := message.Replay[query.Access](envelope, query.KindAccess)
			require.NoError(t, err)
			access.Proof = known[i].Access.Proof
			envelope, err = message.Seal(w.sites[2].Key, query.KindAccess, access, time.Now(), time.Hour, rand.Reader)
			require.NoError(t, err)
			a.Body, err = json.Marshal(envelope)
			require.NoError(t, err)
		})
		second := w.put(t, w.trial.MeanBySex(), 20*time.Second)
		w.proofs(t, second, 2)
		require.Eventually(t, func() bool { return w.log.refused("access.proof") }, time.Minute, 200*time.Millisecond, "the reused proof was not refused")
	})
}
