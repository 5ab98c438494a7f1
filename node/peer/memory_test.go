package peer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestQuestionsUsedLastStayInMemory(t *testing.T) {
	t.Parallel()
	var p Peer
	name := func(i int) query.ID { return query.ID{byte(i), byte(i >> 8)} }
	first := newRecent(question{id: name(0)})
	p.remember(first)
	for i := range maxRecent {
		require.Same(t, first, p.recalled(name(0)), "used between all others")
		p.remember(newRecent(question{id: name(1 + i)}))
	}
	require.Len(t, p.recent, maxRecent)
	require.Nil(t, p.recalled(name(1)), "not used for longest")
	require.NotNil(t, p.recalled(name(maxRecent)))

	again := newRecent(question{id: name(0)})
	p.remember(again)
	require.Same(t, again, p.recalled(name(0)), "in place of the one before")
	p.drop(name(0))
	require.Nil(t, p.recalled(name(0)))
	require.Len(t, p.recent, maxRecent-1)
}

// TestNotesBindOnceWritten, and within the step that made them.
func TestNotesBindOnceWritten(t *testing.T) {
	t.Parallel()
	session, value, other := message.Digest{1}, message.Digest{2}, message.Digest{3}
	n := &newRecent(question{}).notes
	require.True(t, n.none())
	require.NoError(t, n.Once(t.Context(), session, "vector", value))
	require.NoError(t, n.Once(t.Context(), session, "vector", value))
	require.ErrorIs(t, n.Once(t.Context(), session, "vector", other), secagg.ErrChanged)
	require.False(t, n.none())

	n.begin() // the step failed: nothing of it left the site
	require.True(t, n.none())
	require.NoError(t, n.Once(t.Context(), session, "vector", other))
	n.written()
	require.True(t, n.none())
	require.NoError(t, n.Once(t.Context(), session, "vector", other))
	require.True(t, n.none(), "known already")
	require.ErrorIs(t, n.Once(t.Context(), session, "vector", value), secagg.ErrChanged)
	require.NoError(t, n.Once(t.Context(), session, "survivors", value))
}
