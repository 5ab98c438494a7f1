package version

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTheVersionBeforeIsServed(t *testing.T) {
	t.Parallel()
	require.NoError(t, Party{"hub", Spoken()}.Check(Party{"node", Range{Oldest - 1, Oldest}}))
	require.NoError(t, Party{"node", Range{Oldest - 1, Oldest}}.Check(Party{"hub", Spoken()}))
	require.True(t, Spoken().Knows(Basics))
	require.True(t, Unsaid.Knows(Basics), "the guards of the first version may go")
	require.False(t, Unsaid.Knows(Cancellation))
}

func TestTheRefusalNamesWhomToUpdate(t *testing.T) {
	t.Parallel()
	hub, node := Party{"hub", Range{3, 4}}, Party{"node", Range{1, 2}}
	require.EqualError(t, hub.Check(node), "this hub speaks protocol 4 and 3, the node speaks 2 and 1: update the node (rule protocol.version)")
	require.EqualError(t, node.Check(hub), "this node speaks protocol 2 and 1, the hub speaks 4 and 3: update the node (rule protocol.version)")
	hub.Speaks = Unsaid
	node.Speaks = Range{2, 5}
	require.EqualError(t, hub.Check(node), "this hub speaks protocol 1, the node speaks 5 to 2: update the hub (rule protocol.version)")
	require.EqualError(t, Party{"node", Unsaid}.Lacks(Specs), "the node speaks protocol 1, and this needs 2: update the node (rule protocol.version)")
}

func TestAGreetingIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	require.Equal(t, "trialmesh/1-2", Range{1, 2}.Greeting())
	rapid.Check(t, func(t *rapid.T) {
		r := Range{Oldest: Version(rapid.IntRange(1, highest).Draw(t, "oldest"))}
		r.Newest = Version(rapid.IntRange(int(r.Oldest), highest).Draw(t, "newest"))
		require.Equal(t, r, FromGreeting(r.Greeting()))
	})
	for _, text := range []string{"", "ipfs/0.1.0", "trialmesh/", "trialmesh/2", "trialmesh/2-1", "trialmesh/0-1", "trialmesh/1-10000", "trialmesh/1-2-3", "trialmesh/x-y"} {
		require.Equal(t, Unsaid, FromGreeting(text), text)
	}
}

// TestRefusalsAreMutual: never does one side go on with another that refuses it.
func TestRefusalsAreMutual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Party {
			oldest := rapid.IntRange(1, 6).Draw(t, name)
			return Party{name, Range{Version(oldest), Version(oldest + rapid.IntRange(0, 3).Draw(t, name+" more"))}}
		}
		a, b := draw("hub"), draw("node")
		require.Equal(t, a.Check(b) == nil, b.Check(a) == nil)
	})
}
