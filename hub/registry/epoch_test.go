package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/consent"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// TestAccessNeedsAnEarlierEpoch: consent that is committed after the question
// proves nothing about it.
func TestAccessNeedsAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	e, ask := h.question(t)
	h.must(t, ask)
	epoch := h.epoch(t, h.nodes[0], func(*consent.Epoch) {})
	h.must(t, registry.PublishEpoch{Envelope: epoch})
	_, err := h.apply(t, registry.RecordAccess{Envelope: h.seal(t, h.nodes[0], query.KindAccess, h.answered(t, e.Digest(), epoch))})
	require.ErrorIs(t, err, registry.ErrEpochUnknown)
	h.replay(t)
}

// TestAnswersNeedTheNewestEpoch: someone may have withdrawn since an older one.
func TestAnswersNeedTheNewestEpoch(t *testing.T) {
	t.Parallel()
	for pause, want := range map[time.Duration]error{message.Skew - time.Second: nil, message.Skew + time.Second: registry.ErrEpochOld} {
		h := newHub(t).withTrial(t)
		node := h.nodes[0]
		first := h.epoch(t, node, func(*consent.Epoch) {})
		h.must(t, registry.PublishEpoch{Envelope: first})
		second := h.epoch(t, node, func(e *consent.Epoch) { e.Number, e.Revises = 2, first.Digest() })
		h.must(t, registry.PublishEpoch{Envelope: second})
		h.at = h.at.Add(pause - time.Second)
		e, ask := h.question(t)
		h.must(t, ask)
		q := must(h.reader.Question(t.Context(), e.Digest()))
		require.ErrorIs(t, h.reader.AnsweredUnder(t.Context(), q, node.DID(), first.Digest()), want, pause)
		require.NoError(t, h.reader.AnsweredUnder(t.Context(), q, node.DID(), second.Digest()))
		require.ErrorIs(t, h.reader.AnsweredUnder(t.Context(), q, h.nodes[1].DID(), second.Digest()), registry.ErrEpochUnknown)
		if want == nil {
			continue
		}
		_, err := h.apply(t, registry.RecordAccess{Envelope: h.seal(t, node, query.KindAccess, h.answered(t, e.Digest(), first))})
		require.ErrorIs(t, err, registry.ErrEpochOld)
		h.replay(t)
	}
}

// TestAnAnswerWithoutItsProofsIsUnfinished, until they will not come any more.
func TestAnAnswerWithoutItsProofsIsUnfinished(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	epoch := h.epoch(t, h.nodes[0], func(*consent.Epoch) {})
	h.must(t, registry.PublishEpoch{Envelope: epoch})
	e, ask := h.question(t)
	h.must(t, ask)
	h.answered(t, e.Digest(), epoch)
	require.Len(t, must(h.reader.Unfinished(t.Context(), start)), 1)
	require.Empty(t, must(h.reader.Unfinished(t.Context(), h.at.Add(time.Minute))), "it is too old for a proof to come")
}

// answered finishes a question with the first node's answer under an epoch and
// returns the node's access statement, without a proof.
func (h *hub) answered(t *testing.T, id query.ID, epoch message.Envelope) query.Access {
	t.Helper()
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: id, State: query.Complete, Answered: []query.Answered{
		{Node: h.nodes[0].DID(), Epoch: epoch.Digest(), AtLeast: 11},
	}}})
	scopes, err := h.trial.CountBySex().Scopes()
	require.NoError(t, err)
	return query.Access{
		Query: id, Node: h.nodes[0].DID(), Epoch: epoch.Digest(), Scopes: scopes, AtLeast: 11, Circuit: peertest.AccessCircuit().Digest(),
	}
}

// TestAccessFitsTheEpochsShards: a proof over shards of another size is about
// other trees.
func TestAccessFitsTheEpochsShards(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	small := circuits.Shape{ShardSize: 16, Shards: peertest.Shape.Shards, Slots: peertest.Shape.Slots}
	other := entry.Circuit{Shape: small.Access().String(), VerifyingKey: []byte("another"), Development: true}
	h.must(t, registry.RegisterCircuit{Circuit: other})
	epoch := h.epoch(t, h.nodes[0], func(*consent.Epoch) {})
	h.must(t, registry.PublishEpoch{Envelope: epoch})
	e, ask := h.question(t)
	h.must(t, ask)
	access := h.answered(t, e.Digest(), epoch)
	_, err := h.apply(t, registry.RecordAccess{Envelope: h.seal(t, h.nodes[0], query.KindAccess, access)})
	require.ErrorIs(t, err, registry.ErrAccessProof, "of the right size, but no proof")
	access.Circuit = message.Sum(other.VerifyingKey)
	_, err = h.apply(t, registry.RecordAccess{Envelope: h.seal(t, h.nodes[0], query.KindAccess, access)})
	require.ErrorIs(t, err, registry.ErrCircuitSize)
	h.replay(t)
}
