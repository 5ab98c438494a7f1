package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// rogue is a libp2p host with none of this package's manners.
func rogue(t *testing.T, key identity.Key, options ...libp2p.Option) host.Host {
	t.Helper()
	private, err := crypto.UnmarshalEd25519PrivateKey(key.Private())
	require.NoError(t, err)
	h, err := libp2p.New(append([]libp2p.Option{libp2p.Identity(private), libp2p.NoListenAddrs, libp2p.DisableMetrics()}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func infoOf(t *testing.T, h *Host) peer.AddrInfo {
	t.Helper()
	infos, err := peersOf(h.Addrs())
	require.NoError(t, err)
	return infos[0]
}

// dialAs connects a rogue host with an enrolled key to the hub.
func dialAs(t *testing.T, n *testNet, key identity.Key) host.Host {
	t.Helper()
	n.enrolled.add(key.DID())
	h := rogue(t, key)
	require.NoError(t, h.Connect(t.Context(), infoOf(t, n.hub)))
	return h
}

func TestUnenrolledKeyGetsNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	var ran atomic.Bool
	n.hub.HandleCall("/test/secret/1", func(context.Context, identity.DID, []byte) ([]byte, error) {
		ran.Store(true)
		return []byte("secret"), nil
	})
	for _, addr := range infoOf(t, n.hub).Addrs {
		stranger := rogue(t, newKey(t), libp2p.EnableRelay())
		info := peer.AddrInfo{ID: n.hub.host.ID(), Addrs: []multiaddr.Multiaddr{addr}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		// The handshake itself may succeed from the dialer's point of view.
		if err := stranger.Connect(ctx, info); err == nil {
			s, err := stranger.NewStream(ctx, info.ID, "/test/secret/1")
			if err == nil {
				_ = writeRequest(s, nil, time.Second)
				_, _, err = readResponse(s, 100)
			}
			require.Error(t, err, "%s", addr)
		}
		_, err := client.Reserve(ctx, stranger, info)
		require.Error(t, err, "no relay slot either")
		cancel()
		did, err := DIDOf(stranger.ID())
		require.NoError(t, err)
		require.False(t, n.hub.Connected(did))
	}
	require.False(t, ran.Load())
	require.Len(t, n.hub.Connections(), 1, "only the enrolled node")
}

func TestNothingIsServedBeforeRun(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	hub := newHub(t, e, nil)
	serveEcho(hub)
	key := newKey(t)
	e.add(key.DID())
	early := rogue(t, key)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	// Over QUIC the dialer learns of the refusal only after its handshake.
	if early.Connect(ctx, infoOf(t, hub)) == nil {
		s, err := early.NewStream(ctx, hub.host.ID(), echo)
		if err == nil {
			_ = writeRequest(s, nil, time.Second)
			_, _, err = readResponse(s, 100)
		}
		require.Error(t, err)
	}
	require.Empty(t, hub.Connections())
}

func TestRevokedPeerIsCutOff(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2)
	out, in := n.nodes[0], n.nodes[1]
	eventuallyCall(t, out, n.hub, "while enrolled")
	n.enrolled.remove(out.DID())
	_, err := out.Call(t.Context(), n.hub.DID(), echo, nil)
	require.ErrorIs(t, err, ErrUnreachable, "refused even on a connection that is still up")
	_, err = n.hub.Call(t.Context(), out.DID(), echo, nil)
	require.ErrorIs(t, err, ErrNotAdmitted)

	require.NoError(t, n.hub.Disconnect(out.DID()))
	require.Eventually(t, func() bool { return !n.hub.Connected(out.DID()) }, patience, 10*time.Millisecond)
	require.Never(t, func() bool { return n.hub.Connected(out.DID()) }, time.Second, 20*time.Millisecond, "it must not come back")
	eventuallyCall(t, in, n.hub, "the others stay")
	n.enrolled.add(out.DID())
	eventuallyCall(t, out, n.hub, "enrolled again")
}

func TestNobodySpeaksForAnotherDID(t *testing.T) {
	t.Parallel()
	t.Run("a caller is named by its key", func(t *testing.T) {
		t.Parallel()
		n := newNetwork(t, 2)
		claimed := string(n.nodes[1].DID())
		answer := eventuallyCall(t, n.nodes[0], n.hub, "from: "+claimed)
		require.True(t, strings.HasPrefix(answer, string(n.nodes[0].DID())))
	})
	t.Run("an impostor at the hub's address is not talked to", func(t *testing.T) {
		t.Parallel()
		e := &enrolled{}
		impostor := newHub(t, e, nil)
		serveEcho(impostor)
		run(t, impostor)
		real := newKey(t).DID()
		realID, err := PeerID(real)
		require.NoError(t, err)
		var addrs []string
		for _, addr := range impostor.Addrs() {
			bare, _, _ := strings.Cut(addr, "/p2p/")
			addrs = append(addrs, bare+"/p2p/"+realID.String())
		}
		node := newNode(t, e, addrs, nil)
		e.add(node.DID(), impostor.DID())
		run(t, node)
		require.Never(t, func() bool { return node.Connected(real) || len(impostor.Connections()) > 0 }, 1500*time.Millisecond, 20*time.Millisecond)
	})
}

func TestOversizedRequest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, err := n.nodes[0].Call(t.Context(), n.hub.DID(), echo, make([]byte, n.hub.cfg.Limits.MessageBytes+1))
	require.ErrorIs(t, err, ErrTooLarge, "refused before it is sent")

	attacker := dialAs(t, n, newKey(t))
	for _, length := range []uint32{uint32(n.hub.cfg.Limits.MessageBytes) + 1, 1<<32 - 1} {
		s, err := attacker.NewStream(t.Context(), n.hub.host.ID(), echo)
		require.NoError(t, err)
		head := binary.BigEndian.AppendUint32(nil, 1000)
		_, err = s.Write(binary.BigEndian.AppendUint32(head, length))
		require.NoError(t, err)
		require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
		_, refusal, err := readResponse(s, 100)
		require.NoError(t, err)
		require.ErrorIs(t, refusal, ErrTooLarge)
		_ = s.Reset()
	}
}

// A peer with a larger limit than ours may send what we do not take, and must
// learn why although we do not read it all.
func TestReceiversLimitCounts(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	hub := newHub(t, e, func(c *Config) { c.Limits.MessageBytes = 10_000 })
	serveEcho(hub)
	run(t, hub)
	node := newNode(t, e, hub.Addrs(), nil)
	e.add(node.DID())
	serveEcho(node)
	run(t, node)
	awaitReserved(t, hub, node)
	eventuallyCall(t, node, hub, "small")
	_, err := node.Call(t.Context(), hub.DID(), echo, make([]byte, 4<<20))
	require.ErrorIs(t, err, ErrTooLarge)

	node.HandleCall("/test/large/1", func(context.Context, identity.DID, []byte) ([]byte, error) { return make([]byte, 20_000), nil })
	_, err = hub.Call(t.Context(), node.DID(), "/test/large/1", nil)
	require.ErrorIs(t, err, ErrTooLarge)
	node.HandleCall("/test/huge/1", func(context.Context, identity.DID, []byte) ([]byte, error) { return make([]byte, 5<<20), nil })
	_, err = hub.Call(t.Context(), node.DID(), "/test/huge/1", nil)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestLargeMessagesPassEveryWay(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2)
	eventuallyCall(t, n.nodes[0], n.nodes[1], "warm up")
	body := strings.Repeat("x", n.hub.cfg.Limits.MessageBytes-len(n.hub.DID())-10)
	for _, to := range []*Host{n.hub, n.nodes[1]} {
		began := time.Now()
		answer, err := n.nodes[0].Call(t.Context(), to.DID(), echo, []byte(body))
		require.NoError(t, err)
		require.Len(t, answer, len(body)+len(n.hub.DID())+1)
		t.Logf("%d MB there and back in %v", len(body)>>20, time.Since(began).Round(time.Millisecond))
	}
}

func TestSlowRequestTimesOut(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	const readTime = 300 * time.Millisecond
	hub := newHub(t, e, func(c *Config) { c.Limits.ReadTime = readTime })
	var ran atomic.Bool
	hub.HandleCall("/test/slow/1", func(context.Context, identity.DID, []byte) ([]byte, error) {
		ran.Store(true)
		return nil, nil
	})
	run(t, hub)
	key := newKey(t)
	e.add(key.DID())
	attacker := rogue(t, key)
	require.NoError(t, attacker.Connect(t.Context(), infoOf(t, hub)))
	s, err := attacker.NewStream(t.Context(), hub.host.ID(), "/test/slow/1")
	require.NoError(t, err)
	head := binary.BigEndian.AppendUint32(nil, 60_000)
	_, err = s.Write(binary.BigEndian.AppendUint32(head, 1000))
	require.NoError(t, err)
	began := time.Now()
	// A byte now and then keeps no stream alive.
	require.Eventually(t, func() bool {
		_, err := s.Write([]byte{1})
		return err != nil
	}, patience, 50*time.Millisecond)
	require.Less(t, time.Since(began), 10*readTime)
	require.False(t, ran.Load())
}

func TestStreamsPerPeerAreLimited(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	const limit = 10
	hub := newHub(t, e, func(c *Config) { c.Limits.StreamsPerPeer, c.Limits.CircuitsPerPeer = limit, 1 })
	var open atomic.Int64
	hub.Handle("/test/hold/1", func(ctx context.Context, _ identity.DID, s net.Conn) {
		open.Add(1)
		defer open.Add(-1)
		_, _ = io.Copy(io.Discard, s)
	})
	serveEcho(hub)
	run(t, hub)
	key := newKey(t)
	e.add(key.DID())
	attacker := rogue(t, key)
	require.NoError(t, attacker.Connect(t.Context(), infoOf(t, hub)))
	for range 5 * limit {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if s, err := attacker.NewStream(ctx, hub.host.ID(), "/test/hold/1"); err == nil {
			_, _ = s.Write([]byte{1})
		}
		cancel()
	}
	require.Eventually(t, func() bool { return open.Load() > 0 }, patience, 10*time.Millisecond)
	require.LessOrEqual(t, open.Load(), int64(limit+1))

	// The others are not affected.
	node := newNode(t, e, hub.Addrs(), nil)
	e.add(node.DID())
	run(t, node)
	eventuallyCall(t, node, hub, "hello")
}

// A peer that announces large requests and does not send them holds memory that
// others need. It gets its share and no more.
func TestAnnouncedMemoryIsLimited(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	attacker := dialAs(t, n, newKey(t))
	limits := n.hub.cfg.Limits
	for i := 0; ; i++ {
		require.Less(t, i, limits.StreamsPerPeer, "1 GiB was granted")
		s, err := attacker.NewStream(t.Context(), n.hub.host.ID(), echo)
		require.NoError(t, err)
		head := binary.BigEndian.AppendUint32(nil, 60_000)
		_, err = s.Write(binary.BigEndian.AppendUint32(head, uint32(limits.MessageBytes)))
		require.NoError(t, err)
		// A refusal comes at once, a request that is waited for gets no answer.
		require.NoError(t, s.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, refusal, err := readResponse(s, 100)
		if err == nil {
			require.ErrorIs(t, refusal, errBusy)
			require.Greater(t, i, 8, "some at once are fine")
			break
		}
	}
	eventuallyCall(t, n.nodes[0], n.hub, "others are not affected")
}

func TestMalformedResponses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	attacker := dialAs(t, n, newKey(t))
	did, err := DIDOf(attacker.ID())
	require.NoError(t, err)
	for name, response := range map[string][]byte{
		"nothing":             {},
		"cut short":           {0, 0, 0, 0, 9, 1},
		"unknown status":      {7, 0, 0, 0, 0},
		"oversized":           {0, 0xff, 0xff, 0xff, 0xff},
		"oversized problem":   {1, 0, 1, 0, 0},
		"problem is not JSON": {1, 0, 0, 0, 1, '{'},
	} {
		attacker.SetStreamHandler("/test/malformed/1", func(s libp2pnet.Stream) {
			_, _, _ = readRequest(s, 1000, plenty)
			_, _ = s.Write(response)
			_ = s.Close()
		})
		_, err := n.hub.Call(t.Context(), did, "/test/malformed/1", nil)
		if name == "oversized" || name == "oversized problem" {
			require.ErrorIs(t, err, ErrTooLarge, name)
		} else {
			require.ErrorIs(t, err, ErrUnreachable, name)
		}
	}
	// A problem of a kind nobody knows stays a problem.
	attacker.SetStreamHandler("/test/malformed/1", func(s libp2pnet.Stream) {
		_, _, _ = readRequest(s, 1000, plenty)
		_ = writeResponse(s, statusProblem, []byte(`{"type":"urn:other","title":"odd"}`))
		_ = s.Close()
	})
	_, err = n.hub.Call(t.Context(), did, "/test/malformed/1", nil)
	var public *problem.Error
	require.ErrorAs(t, err, &public)
	require.Equal(t, problem.Internal, public.Kind)
}

func TestDIDOfRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	_, public, err := crypto.GenerateSecp256k1Key(rand.Reader)
	require.NoError(t, err)
	id, err := peer.IDFromPublicKey(public)
	require.NoError(t, err)
	_, err = DIDOf(id)
	require.ErrorContains(t, err, "no Ed25519 key")
}
