// Package inprocess is a network inside one process, for tests of everything
// distributed.
//
// A [Network] joins [Endpoint] values whose Call, HandleCall, Open and Handle
// behave as those of transport.Host: the sender is named by its DID, errors
// cross as problem documents, message sizes are limited, a handler's context
// ends with the caller's. What the real network does by accident this one does
// on request: [Network.Inject] loses, delays and repeats calls, and
// [Network.Partition] splits the endpoints into groups that cannot talk.
package inprocess

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// MessageBytes is the largest request or response, the default of
// transport.Limits.
const MessageBytes = 4 << 20

// Network joins endpoints. The zero value is not ready; use [New].
type Network struct {
	mu        sync.Mutex
	endpoints map[identity.DID]*Endpoint
	group     map[identity.DID]int // nil when whole; absent peers are in group 0
	inject    func(Message) Fault
	calls     int
	conns     map[*conn]struct{}
}

// New returns a network without faults.
func New() *Network {
	return &Network{endpoints: map[identity.DID]*Endpoint{}, conns: map[*conn]struct{}{}}
}

// Join adds a peer, or replaces one that was closed. It panics if did is
// already there, which is a mistake in the test.
func (n *Network) Join(did identity.DID) *Endpoint {
	e := &Endpoint{n: n, did: did, calls: map[string]callHandler{}, streams: map[string]streamHandler{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[did] != nil {
		panic(fmt.Sprintf("inprocess: %s joined twice", did))
	}
	n.endpoints[did] = e
	return e
}

// Partition splits the network: peers reach each other only within a group,
// and those not listed form a group of their own. Open streams between groups
// break at once, calls under way get no answer.
func (n *Network) Partition(groups ...[]identity.DID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = map[identity.DID]int{}
	for i, group := range groups {
		for _, did := range group {
			n.group[did] = i + 1
		}
	}
	for c := range n.conns {
		if n.group[c.local] != n.group[c.remote] {
			c.closePipe()
			delete(n.conns, c)
		}
	}
}

// Heal ends a partition.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = nil
}

// peer returns the endpoint to, if from can reach it now.
func (n *Network) peer(from *Endpoint, to identity.DID) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	target := n.endpoints[to]
	switch {
	case n.endpoints[from.did] != from:
		return nil, fmt.Errorf("%w: endpoint is closed", transport.ErrUnreachable)
	case target == nil:
		return nil, fmt.Errorf("%w: not on the network", transport.ErrUnreachable)
	case n.group[from.did] != n.group[to]:
		return nil, fmt.Errorf("%w: partitioned", transport.ErrUnreachable)
	}
	return target, nil
}

type (
	callHandler   = func(ctx context.Context, from identity.DID, request []byte) ([]byte, error)
	streamHandler = func(ctx context.Context, from identity.DID, s net.Conn)
)

// Endpoint is one peer's end of a [Network].
type Endpoint struct {
	n      *Network
	did    identity.DID
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows
	closed  bool
	calls   map[string]callHandler
	streams map[string]streamHandler
	tasks   sync.WaitGroup // handlers
}

// DID returns the peer's name.
func (e *Endpoint) DID() identity.DID { return e.did }

// Close takes the peer off the network, as a crash would: its streams break,
// its handlers' contexts end. It waits for the handlers.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.n.mu.Lock()
	if e.n.endpoints[e.did] == e {
		delete(e.n.endpoints, e.did)
		for c := range e.n.conns {
			if c.local == e.did || c.remote == e.did {
				c.closePipe()
				delete(e.n.conns, c)
			}
		}
	}
	e.n.mu.Unlock()
	e.tasks.Wait()
	return nil
}

var errNoHandler = errors.New("the peer does not serve this protocol")

// start runs task on a goroutine that Close waits for.
func (e *Endpoint) start(task func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return transport.ErrUnreachable
	}
	e.tasks.Go(task)
	return nil
}
