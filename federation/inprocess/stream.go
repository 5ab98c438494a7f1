package inprocess

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Handle serves a protocol's streams, as transport.Host.Handle.
func (e *Endpoint) Handle(protocol string, handle func(ctx context.Context, from identity.DID, s net.Conn)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams[protocol] = handle
}

// Open opens a stream, as transport.Host.Open. Streams are not buffered: a
// write waits for its reader. Partitions break them; Inject does not see them.
func (e *Endpoint) Open(ctx context.Context, to identity.DID, protocol string) (net.Conn, error) {
	s, err := e.open(ctx, to, protocol)
	if err != nil {
		return nil, fmt.Errorf("inprocess: open %s to %s: %w", protocol, to, err)
	}
	return s, nil
}

func (e *Endpoint) open(ctx context.Context, to identity.DID, protocol string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, err)
	}
	target, err := e.n.peer(e, to)
	if err != nil {
		return nil, err
	}
	target.mu.Lock()
	handle := target.streams[protocol]
	target.mu.Unlock()
	if handle == nil {
		return nil, fmt.Errorf("%w: %w", transport.ErrUnreachable, errNoHandler)
	}
	ours, theirs := newPipe(e.n, e.did, to)
	err = target.start(func() {
		defer func() { _ = theirs.Close() }()
		handle(target.ctx, e.did, theirs)
	})
	if err == nil {
		// Whatever changed since the check above must break this stream too.
		var now *Endpoint
		if now, err = e.n.peer(e, to); err == nil && now != target {
			err = transport.ErrUnreachable
		}
	}
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	return ours, nil
}

// conn is one end of a stream between two peers.
type conn struct {
	net.Conn
	n             *Network
	local, remote identity.DID
	once          sync.Once
}

func newPipe(n *Network, from, to identity.DID) (ours, theirs *conn) {
	a, b := net.Pipe()
	ours = &conn{Conn: a, n: n, local: from, remote: to}
	theirs = &conn{Conn: b, n: n, local: to, remote: from}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[ours], n.conns[theirs] = struct{}{}, struct{}{}
	return ours, theirs
}

func (c *conn) LocalAddr() net.Addr  { return transport.Addr{DID: c.local} }
func (c *conn) RemoteAddr() net.Addr { return transport.Addr{DID: c.remote} }

func (c *conn) Close() error {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	c.n.mu.Unlock()
	c.closePipe()
	return nil
}

// closePipe is Close for callers that hold n.mu.
func (c *conn) closePipe() { c.once.Do(func() { _ = c.Conn.Close() }) }
