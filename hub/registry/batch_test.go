package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// TestEntriesKeepTheirOrder: a replica leads whose clock is ten minutes behind that of the one before.
func TestEntriesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	before := h.at
	h.at = h.at.Add(-10 * time.Minute)
	h.must(t, registry.InviteNode{Name: "late", Organization: "Org"})
	out := h.must(t, registry.EnrollNode{Node: h.key.DID(), Name: "late"})
	var raw []byte
	require.NoError(t, h.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		raw, err = ledger.Entry(t.Context(), tx, out.LedgerIndex)
		return err
	}))
	e, err := entry.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, before, e.At, "as the entry before it")
	h.replay(t)
	h.replayTogether(t)
}

func TestWhatAReplicaMayForward(t *testing.T) {
	t.Parallel()
	data, err := registry.Encode(registry.InviteNode{Name: "north", Organization: "Org"}, start)
	require.NoError(t, err)
	require.NoError(t, registry.CheckForwarded(data, start))
	require.NoError(t, registry.CheckForwarded(data, start.Add(message.Skew)))
	require.ErrorIs(t, registry.CheckForwarded(data, start.Add(message.Skew+time.Second)), registry.ErrForwarded)
	require.ErrorIs(t, registry.CheckForwarded(data, start.Add(-time.Hour)), registry.ErrForwarded)
	require.ErrorIs(t, registry.CheckForwarded([]byte(`{"kind":60000,"at":"2026-11-21T12:00:00Z","body":{}}`), start), registry.ErrForwarded)
	require.ErrorIs(t, registry.CheckForwarded([]byte(`{`), start), registry.ErrForwarded)
}
