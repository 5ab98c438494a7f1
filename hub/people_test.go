package hub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// TestPlacesAreForTheNodesOfTheTrial: they tell how many consents each site has.
func TestPlacesAreForTheNodesOfTheTrial(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	db := sqltest.SQLite(t)
	require.NoError(t, registry.Migrate(t.Context(), db))
	member, other := newDID(t), newDID(t)
	design := peertest.NewTrial(t, []identity.DID{member}, disclosure.Policy{}, now)
	design.Design.Participants = &trial.Participants{Identifier: "urn:test"}
	machine := registry.NewMachine(db, newDID(t), peertest.Proofs{})
	for i, body := range []registry.Body{
		registry.InviteNode{Name: "member", Organization: "Hospital"},
		registry.EnrollNode{Node: member, Name: "member"},
		registry.InviteNode{Name: "other", Organization: "Hospital"},
		registry.EnrollNode{Node: other, Name: "other"},
		registry.RegisterTrial{Registration: peertest.Approve(t, design.Design, design.Sponsor, design.Board, now)},
	} {
		data, err := registry.Encode(body, now)
		require.NoError(t, err)
		_, err = machine.Apply(t.Context(), uint64(i+1), data)
		require.NoError(t, err)
	}
	h := &Hub{Reader: registry.NewReader(db)}
	_, err := h.places(t.Context(), member, enrollment.Where{Trial: design.Design.ID})
	require.NoError(t, err)
	_, err = h.places(t.Context(), other, enrollment.Where{Trial: design.Design.ID})
	require.ErrorIs(t, err, trial.ErrNode)
}
