package consensus

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Network is what replicas reach each other by; transport.Host is one.
type Network interface {
	// Open opens a stream to a peer that handles the protocol.
	Open(ctx context.Context, to identity.DID, protocol string) (net.Conn, error)

	// Handle has handle called for every incoming stream of the protocol, with
	// the proven name of the peer. The stream is closed when handle returns.
	Handle(protocol string, handle func(ctx context.Context, from identity.DID, s net.Conn))
}

// Protocol names the streams between replicas.
const Protocol = "/trialmesh/raft/1"

// streamLayer gives raft's network transport its connections. A replica's
// address is its DID.
type streamLayer struct {
	network  Network
	self     identity.DID
	failure  *failure
	incoming chan net.Conn
	done     chan struct{}
	once     sync.Once
}

func newStreamLayer(cfg Config, f *failure) *streamLayer {
	l := &streamLayer{network: cfg.Network, self: cfg.ID, failure: f, incoming: make(chan net.Conn), done: make(chan struct{})}
	cfg.Network.Handle(Protocol, func(ctx context.Context, from identity.DID, s net.Conn) {
		// Nodes are enrolled peers too, but must not vote or append.
		if !slices.Contains(cfg.Replicas, from) {
			cfg.Log.WarnContext(ctx, "raft stream refused: not a replica", "peer", from)
			return
		}
		l.serve(ctx, s)
	})
	return l
}

// serve hands s to raft and keeps it until raft closes it.
func (l *streamLayer) serve(ctx context.Context, s net.Conn) {
	c := &link{Conn: s, failure: l.failure, closed: make(chan struct{})}
	select {
	case l.incoming <- c:
	case <-l.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-c.closed:
	case <-l.done:
	case <-ctx.Done():
	}
}

func (l *streamLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := l.network.Open(ctx, identity.DID(address), Protocol)
	if err != nil {
		return nil, fmt.Errorf("dial replica: %w", err)
	}
	return &link{Conn: s, failure: l.failure, closed: make(chan struct{})}, nil
}

func (l *streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *streamLayer) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *streamLayer) Addr() net.Addr { return replicaAddr(l.self) }

// replicaAddr is a DID as net.Addr; raft sends its text to the other replicas.
type replicaAddr identity.DID

func (replicaAddr) Network() string  { return "trialmesh" }
func (a replicaAddr) String() string { return string(a) }

// link is a stream that tells when it is closed. It carries nothing out of a
// replica that failed.
type link struct {
	net.Conn
	failure *failure
	closed  chan struct{}
	once    sync.Once
}

func (c *link) Write(p []byte) (int, error) {
	if err := c.failure.cause(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *link) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
