package peer

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/message"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// TestWhoWaitsForATurnMayGo: a task behind a long one ends with its context.
func TestWhoWaitsForATurnMayGo(t *testing.T) {
	t.Parallel()
	p, id := &Peer{busy: map[protocol.ID]*turn{}}, message.Sum([]byte("q"))
	_, unlock, err := p.lock(t.Context(), id)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = p.lock(gone, id)
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	_, unlock, err = p.lock(t.Context(), id)
	require.NoError(t, err)
	unlock()
	require.Empty(t, p.busy)
}
