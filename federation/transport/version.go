package transport

import (
	"context"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Every libp2p host tells every other its "protocol version" on each new connection, as
// one of the first things said. Ours is the greeting of package version; programs from
// before it say libp2p's own. Calls wait for it and are refused, at both ends, between
// programs that share no version. The connection stands all the same, so that both can
// show why nothing comes of it; raw streams have versions of their own in their libraries.

// versionField is where libp2p keeps what a peer said.
const versionField = "ProtocolVersion"

// Speaks returns the versions that a directly connected peer said it speaks, and false
// while none was heard from it.
func (h *Host) Speaks(did identity.DID) (version.Range, bool) {
	id, err := PeerID(did)
	if err != nil || h.host.Network().Connectedness(id) != network.Connected {
		return version.Range{}, false
	}
	return h.speaks(id)
}

func (h *Host) speaks(id peer.ID) (version.Range, bool) {
	said, err := h.host.Peerstore().Get(id, versionField)
	text, isText := said.(string)
	if err != nil || !isText {
		return version.Range{}, false
	}
	return version.FromGreeting(text), true
}

// Mismatch returns why this program and a peer cannot work together, a refusal by
// [version.Rule] that names the one to update, or nil if they can or the peer is not there.
func (h *Host) Mismatch(did identity.DID) error {
	id, err := PeerID(did)
	if err != nil || h.host.Network().Connectedness(id) != network.Connected {
		return nil
	}
	return h.mismatch(id)
}

func (h *Host) mismatch(id peer.ID) error {
	spoken, known := h.speaks(id)
	if !known {
		return nil
	}
	self, other := "hub", "node"
	switch {
	case h.isNode() && id == h.hub.ID:
		self, other = "node", "hub"
	case h.isNode():
		self, other = "node", "other node"
	case h.isStatic(id):
		self, other = "replica", "other replica"
	}
	return version.Party{Name: self, Speaks: h.cfg.Speaks}.Check(version.Party{Name: other, Speaks: spoken})
}

// understood refuses a call between programs that share no version. A sign of life needs
// none.
func (h *Host) understood(ctx context.Context, s network.Stream, protocolName string) error {
	if protocolName == aliveProtocol {
		return nil
	}
	if ids, ok := h.host.(interface{ IDService() identify.IDService }); ok {
		select {
		case <-ids.IDService().IdentifyWait(s.Conn()):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return h.mismatch(s.Conn().RemotePeer())
}

// reportVersions logs, for every connection that comes up, that nothing will come of it,
// until ctx ends.
func (h *Host) reportVersions(ctx context.Context, identified event.Subscription) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-identified.Out():
			done, ok := e.(event.EvtPeerIdentificationCompleted)
			if !ok {
				continue
			}
			did, err := DIDOf(done.Peer)
			if err != nil {
				continue
			}
			if err := h.mismatch(done.Peer); err != nil {
				h.log.WarnContext(ctx, "peer speaks another protocol version, so nothing is asked of it or answered", "peer", did, "err", err)
			}
		}
	}
}
