package transport

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/version"
)

// saidLog is a log that is written and read by several goroutines.
type saidLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *saidLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *saidLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// versioned is a hub and a node that is connected to it.
type versioned struct {
	hub, node         *Host
	hubSaid, nodeSaid saidLog
}

func newVersioned(t *testing.T, ofHub, ofNode version.Range) *versioned {
	t.Helper()
	v := new(versioned)
	e := &enrolled{}
	v.hub = newHub(t, e, func(c *Config) { c.Speaks, c.Log = ofHub, slog.New(slog.NewTextHandler(&v.hubSaid, nil)) })
	v.node = newNode(t, e, v.hub.Addrs(), func(c *Config) { c.Speaks, c.Log = ofNode, slog.New(slog.NewTextHandler(&v.nodeSaid, nil)) })
	e.add(v.node.DID())
	for _, h := range []*Host{v.hub, v.node} {
		serveEcho(h)
		run(t, h)
	}
	awaitReserved(t, v.hub, v.node)
	return v
}

func TestTheVersionBeforeIsServedAndKnown(t *testing.T) {
	t.Parallel()
	ours, before := version.Range{Oldest: 3, Newest: 4}, version.Range{Oldest: 2, Newest: 3}
	for name, sides := range map[string][2]version.Range{"newer hub": {ours, before}, "newer node": {before, ours}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVersioned(t, sides[0], sides[1])
			eventuallyCall(t, v.hub, v.node, "hello")
			eventuallyCall(t, v.node, v.hub, "hello")
			said, known := v.hub.Speaks(v.node.DID())
			require.True(t, known)
			require.Equal(t, sides[1], said)
			said, known = v.node.Speaks(v.hub.DID())
			require.True(t, known)
			require.Equal(t, sides[0], said)
			require.NoError(t, v.hub.Mismatch(v.node.DID()))
			_, known = v.hub.Speaks(newKey(t).DID())
			require.False(t, known)
		})
	}
}

func TestOtherVersionsAreRefusedAtBothEnds(t *testing.T) {
	t.Parallel()
	v := newVersioned(t, version.Range{Oldest: 3, Newest: 4}, version.Range{Oldest: 1, Newest: 2})
	const hubWords = "this hub speaks protocol 4 and 3, the node speaks 2 and 1: update the node"
	const nodeWords = "this node speaks protocol 2 and 1, the hub speaks 4 and 3: update the node"
	_, err := v.hub.Call(t.Context(), v.node.DID(), echo, nil)
	require.ErrorContains(t, err, hubWords)
	_, err = v.node.Call(t.Context(), v.hub.DID(), echo, nil)
	require.ErrorContains(t, err, nodeWords)
	require.ErrorContains(t, v.hub.Mismatch(v.node.DID()), hubWords)
	require.ErrorContains(t, v.node.Mismatch(v.hub.DID()), nodeWords)
	require.Eventually(t, func() bool {
		return bytes.Contains([]byte(v.hubSaid.String()), []byte(hubWords)) && bytes.Contains([]byte(v.nodeSaid.String()), []byte(nodeWords))
	}, patience, 10*time.Millisecond, "both logs name whom to update")
	require.NoError(t, v.node.probe(t.Context()), "the connection stands")

	// A program that does not look at versions hears it from the other end.
	for _, ends := range [][2]*Host{{v.hub, v.node}, {v.node, v.hub}} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		id, err := PeerID(ends[1].DID())
		require.NoError(t, err)
		s, err := ends[0].host.NewStream(ctx, id, protocol.ID(echo))
		require.NoError(t, err)
		require.NoError(t, writeRequest(s, nil, patience))
		_, refusal, err := readResponse(s, 1<<10)
		require.NoError(t, err)
		require.ErrorContains(t, refusal, "update the node")
	}
}

// TestAProgramFromBeforeVersionsSpeaksTheFirst: what such programs say is libp2p's own.
func TestAProgramFromBeforeVersionsSpeaksTheFirst(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	id, err := PeerID(n.nodes[0].DID())
	require.NoError(t, err)
	eventuallyCall(t, n.hub, n.nodes[0], "hello")
	require.NoError(t, n.hub.host.Peerstore().Put(id, versionField, "ipfs/0.1.0"))
	said, known := n.hub.Speaks(n.nodes[0].DID())
	require.True(t, known)
	require.Equal(t, version.Unsaid, said)
}
