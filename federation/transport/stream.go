package transport

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// ErrUnreachable reports that no answer was had from a peer: it is not
// connected, the connection broke or time ran out. A request that ends so may
// have been carried out; repeat it only if that does no harm.
var ErrUnreachable = problem.New(problem.Unavailable, "the peer cannot be reached")

// ErrNotAdmitted reports a peer that Config.Admit refuses.
var ErrNotAdmitted = problem.New(problem.Forbidden, "the peer is not enrolled")

// Open opens a stream to a peer that handles the protocol, a name like
// "/trialmesh/raft/1". A hub reaches a node over the connection that the node
// keeps standing, a node another node through the hub's relay. Opening is
// bounded by ctx and by 10 s; what follows is bounded by the deadlines the
// caller sets on the stream. Errors match [ErrUnreachable] or [ErrNotAdmitted].
func (h *Host) Open(ctx context.Context, to identity.DID, protocolName string) (net.Conn, error) {
	s, err := h.open(ctx, to, protocolName)
	if err != nil {
		return nil, fmt.Errorf("transport: open %s to %s: %w", protocolName, to, err)
	}
	return &stream{s: s, local: h.self, remote: to}, nil
}

func (h *Host) open(ctx context.Context, to identity.DID, protocolName string) (network.Stream, error) {
	id, err := PeerID(to)
	if err != nil {
		return nil, err
	}
	if !h.admits(id) {
		return nil, ErrNotAdmitted
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if h.isNode() && id != h.hub.ID {
		if ctx, err = h.throughRelay(ctx, id); err != nil {
			return nil, err
		}
	} else if h.isNode() || !h.isStatic(id) {
		// Only stand dials the hub, and nobody can dial a node.
		ctx = network.WithNoDial(ctx, "standing connection only")
	}
	s, err := h.host.NewStream(ctx, id, protocol.ID(protocolName))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return s, nil
}

// throughRelay lets ctx dial the node id by way of the hub.
func (h *Host) throughRelay(ctx context.Context, id peer.ID) (context.Context, error) {
	if !h.connected(h.hub.ID) {
		return nil, fmt.Errorf("%w: no connection to the hub", ErrUnreachable)
	}
	ctx = network.WithAllowLimitedConn(ctx, "relayed through the hub")
	circuit, err := multiaddr.NewMultiaddr("/p2p/" + h.hub.ID.String() + "/p2p-circuit")
	if err != nil {
		return nil, err
	}
	if err := h.host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return ctx, nil
}

// Handle serves a protocol's streams, each on a goroutine of its own. The
// handler owns the stream until it returns; then the stream is closed. Its
// context ends when the host closes. from is proven by the handshake.
func (h *Host) Handle(protocolName string, handle func(ctx context.Context, from identity.DID, s net.Conn)) {
	h.host.SetStreamHandler(protocol.ID(protocolName), func(s network.Stream) {
		from, err := DIDOf(s.Conn().RemotePeer())
		// Enrollment may have ended since the connection came up.
		if err != nil || !h.admits(s.Conn().RemotePeer()) || !h.begin() {
			_ = s.Reset()
			return
		}
		defer h.tasks.Done()
		c := &stream{s: s, local: h.self, remote: from}
		defer func() { _ = c.Close() }()
		stop := context.AfterFunc(h.ctx, func() { _ = s.Reset() })
		defer stop()
		handle(h.ctx, from, c)
	})
}

// stream is a libp2p stream as a net.Conn between two DIDs.
type stream struct {
	s             network.Stream
	local, remote identity.DID
}

func (c *stream) Read(b []byte) (int, error)         { return c.s.Read(b) }
func (c *stream) Write(b []byte) (int, error)        { return c.s.Write(b) }
func (c *stream) Close() error                       { return c.s.Close() }
func (c *stream) SetDeadline(t time.Time) error      { return c.s.SetDeadline(t) }
func (c *stream) SetReadDeadline(t time.Time) error  { return c.s.SetReadDeadline(t) }
func (c *stream) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }
func (c *stream) LocalAddr() net.Addr                { return Addr{c.local} }
func (c *stream) RemoteAddr() net.Addr               { return Addr{c.remote} }

// Addr is the end of a stream, as net.Conn wants one.
type Addr struct{ DID identity.DID }

// Network returns "trialmesh".
func (Addr) Network() string { return "trialmesh" }

func (a Addr) String() string { return string(a.DID) }
