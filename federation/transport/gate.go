package transport

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// admits reports whether id may connect to us, and we to it.
func (h *Host) admits(id peer.ID) bool {
	if h.isNode() && id == h.hub.ID {
		return true
	}
	did, err := DIDOf(id)
	return err == nil && h.cfg.Admit(did)
}

// Disconnect ends every connection of a peer. Call it when a peer's enrollment
// is revoked: Admit keeps it from coming back, and streams it still holds end here.
func (h *Host) Disconnect(did identity.DID) error {
	id, err := PeerID(did)
	if err != nil {
		return err
	}
	return h.host.Network().ClosePeer(id)
}

// gate lets enrolled peers through. The handshake has proven who they are by
// the time InterceptSecured asks.
type gate struct{ h *Host }

func (g gate) InterceptPeerDial(id peer.ID) bool { return g.h.admits(id) }

func (g gate) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool { return true }

func (g gate) InterceptAccept(network.ConnMultiaddrs) bool {
	return g.h.serving.Load() && !g.h.withdrawn.Load()
}

func (g gate) InterceptSecured(direction network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return g.h.admits(id) && (direction == network.DirOutbound || !g.h.withdrawn.Load())
}

func (g gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// AllowReserve and AllowConnect make gate the relay's access list as well: a
// peer whose enrollment ended while it was connected gets no new circuit.
func (g gate) AllowReserve(id peer.ID, _ multiaddr.Multiaddr) bool { return g.h.admits(id) }

func (g gate) AllowConnect(src peer.ID, _ multiaddr.Multiaddr, dest peer.ID) bool {
	return g.h.admits(src) && g.h.admits(dest)
}

func (h *Host) newRelay() (*relay.Relay, error) {
	return relay.New(h.host,
		relay.WithACL(gate{h}),
		relay.WithResources(h.cfg.Limits.relay()),
		// Nodes know their hub's address already, and it may be a private one.
		relay.WithReservationAddressFilter(func(multiaddr.Multiaddr) bool { return true }),
	)
}
