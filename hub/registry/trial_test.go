package registry_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// approve returns a board's approval of the trial's design from at on.
func (h *hub) approve(t *testing.T, board identity.Key, at time.Time, life time.Duration) message.Envelope {
	t.Helper()
	approval := trial.Approval{Trial: h.trial.Design.ID, Design: h.trial.Registration.Design.Digest(), Statement: "again"}
	e, err := message.Seal(board, trial.KindApproval, approval, at, life, rand.Reader)
	require.NoError(t, err)
	return e
}

// TestApprovalsAreRenewed: what lasts longer takes the place of the same
// board's, as an entry of the ledger; nothing else changes a trial.
func TestApprovalsAreRenewed(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	design, first, other := h.trial.Registration.Design, h.trial.Registration.Approvals[0], peertest.NewKey(t)
	register := func(approvals ...message.Envelope) registry.Outcome {
		return h.must(t, registry.RegisterTrial{Registration: trial.Registration{Design: design, Approvals: approvals}})
	}
	require.True(t, register(first).Existed)
	require.True(t, register(h.approve(t, h.trial.Board, h.at, time.Hour)).Existed, "it ends earlier than the one in force")

	second := h.approve(t, other, h.at, time.Hour)
	require.Positive(t, register(second).LedgerIndex)
	longer := h.approve(t, h.trial.Board, h.at, 60*24*time.Hour)
	out := register(first, longer)
	require.False(t, out.Existed)
	require.Positive(t, out.LedgerIndex)
	require.True(t, register(first, longer, second).Existed)
	_, _, err := h.reader.Trial(t.Context(), "other")
	require.EqualError(t, err, "no such trial: the trials are "+string(h.trial.Design.ID))
	_, _, err = h.reader.Trial(t.Context(), h.trial.Design.ID+"s")
	require.EqualError(t, err, "no such trial: did you mean "+string(h.trial.Design.ID)+"?")
	got, _, err := h.reader.Trial(t.Context(), h.trial.Design.ID)
	require.NoError(t, err)
	require.Equal(t, []message.Digest{second.Digest(), longer.Digest()}, []message.Digest{got.Approvals[0].Digest(), got.Approvals[1].Digest()},
		"nodes that trust the other board still find its word")

	h.must(t, registry.RevokeNode{Revocation: entry.Revocation{Node: h.nodes[0].DID(), Reason: "left"}})
	require.False(t, register(h.approve(t, other, h.at, 2*time.Hour)).Existed, "a node that left does not end the trial")
	h.at = first.Expires
	_, ask := h.question(t)
	h.must(t, ask)

	_, err = h.apply(t, registry.RegisterTrial{Registration: trial.Registration{
		Design: design, Approvals: []message.Envelope{h.approve(t, h.trial.Board, h.at.Add(time.Hour), 90*24*time.Hour)},
	}})
	require.ErrorIs(t, err, message.ErrEarly, "until then there would be none")
	for range trial.MaxApprovals - 2 {
		register(h.approve(t, peertest.NewKey(t), h.at, time.Hour))
	}
	_, err = h.apply(t, registry.RegisterTrial{Registration: trial.Registration{
		Design: design, Approvals: []message.Envelope{h.approve(t, peertest.NewKey(t), h.at, time.Hour)},
	}})
	require.ErrorIs(t, err, registry.ErrApprovals)
	h.replay(t)
}
