package transport

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// settleTime is how long two connections of one peer may coexist: its dialer
// tries QUIC and TCP side by side and drops one of them by itself.
const settleTime = 2 * time.Second

// Connected reports whether a direct connection to the peer is up. At a node
// that is so only for its hub, and only with a relay slot reserved there;
// nodes reach each other through the relay.
func (h *Host) Connected(did identity.DID) bool {
	id, err := PeerID(did)
	return err == nil && h.connected(id)
}

func (h *Host) connected(id peer.ID) bool {
	if h.isNode() && (id != h.hub.ID || !h.standing.Load()) {
		return false
	}
	return h.host.Network().Connectedness(id) == network.Connected
}

// Connections returns the directly connected peers, sorted.
func (h *Host) Connections() []identity.DID {
	var dids []identity.DID
	for _, id := range h.host.Network().Peers() {
		if did, err := DIDOf(id); err == nil && h.connected(id) {
			dids = append(dids, did)
		}
	}
	slices.Sort(dids)
	return dids
}

// watch follows connections coming and going. libp2p calls it while holding
// its own locks, so it only takes notes; run tells the owner.
type watch struct {
	h     *Host
	dirty chan struct{} // capacity 1: changed is not empty

	mu      sync.Mutex
	changed []peer.ID
	waiting map[peer.ID]chan struct{} // closed when the peer is lost
}

func newWatch(h *Host) *watch {
	return &watch{h: h, dirty: make(chan struct{}, 1), waiting: map[peer.ID]chan struct{}{}}
}

// lost returns a channel that is closed when the last direct connection of id
// that exists or comes into being after this call is gone.
func (w *watch) lost(id peer.ID) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting[id] == nil {
		w.waiting[id] = make(chan struct{})
	}
	return w.waiting[id]
}

func (w *watch) note(id peer.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.changed, id) {
		w.changed = append(w.changed, id)
	}
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// run reports changes to Config.OnPeer until ctx ends.
func (w *watch) run(ctx context.Context) {
	known := map[peer.ID]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		}
		w.mu.Lock()
		ids := w.changed
		w.changed = nil
		w.mu.Unlock()
		for _, id := range ids {
			now := w.h.connected(id)
			did, err := DIDOf(id)
			if err != nil || now == known[id] {
				continue
			}
			if now {
				known[id] = true
			} else {
				delete(known, id)
			}
			w.h.log.DebugContext(ctx, "peer", "peer", did, "connected", now)
			if w.h.cfg.OnPeer != nil {
				w.h.cfg.OnPeer(did, now)
			}
		}
	}
}

func (w *watch) Connected(n network.Network, c network.Conn) {
	w.note(c.RemotePeer())
	if !w.h.isNode() {
		w.replace(n, c)
	}
}

// replace closes a node's earlier connections when a new one arrives. A node
// that lost its connection without a word to us (a cable, a firewall) would
// otherwise be called over the dead one until that times out.
func (w *watch) replace(n network.Network, latest network.Conn) {
	if w.h.isStatic(latest.RemotePeer()) || latest.Stat().Direction != network.DirInbound {
		return // replicas dial each other, and at the same time
	}
	for _, c := range n.ConnsToPeer(latest.RemotePeer()) {
		if c != latest && latest.Stat().Opened.Sub(c.Stat().Opened) > settleTime && w.h.begin() {
			go func() {
				defer w.h.tasks.Done()
				// Two nodes with one key would do this to each other for ever.
				w.h.log.Info("peer came back on another connection", "peer", c.RemotePeer())
				_ = c.Close()
			}()
		}
	}
}

func (w *watch) Disconnected(n network.Network, c network.Conn) {
	id := c.RemotePeer()
	w.note(id)
	if n.Connectedness(id) == network.Connected {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if lost := w.waiting[id]; lost != nil {
		close(lost)
		delete(w.waiting, id)
	}
}

func (w *watch) Listen(network.Network, multiaddr.Multiaddr)      {}
func (w *watch) ListenClose(network.Network, multiaddr.Multiaddr) {}
