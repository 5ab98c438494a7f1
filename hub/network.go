package hub

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// admissions remembers who is admitted, because the transport asks for every
// connection and must hear the answer from memory.
type admissions struct {
	reader *registry.Reader
	nodes  atomic.Pointer[map[identity.DID]bool]
}

// Admits reports whether a node is enrolled and not revoked.
func (a *admissions) Admits(did identity.DID) bool {
	nodes := a.nodes.Load()
	return nodes != nil && (*nodes)[did]
}

// refresh reads the admitted nodes again and returns those that are so no more.
func (a *admissions) refresh(ctx context.Context) ([]identity.DID, error) {
	list, err := a.reader.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	nodes := make(map[identity.DID]bool, len(list))
	var revoked []identity.DID
	for _, n := range list {
		nodes[n.Node] = !n.Revoked
		if n.Revoked && a.Admits(n.Node) {
			revoked = append(revoked, n.Node)
		}
	}
	a.nodes.Store(&nodes)
	return revoked, nil
}

// serve answers what nodes ask the hub.
func (h *Hub) serve(host *transport.Host) {
	host.HandleCall(entry.NetworkProtocol, func(ctx context.Context, from identity.DID, _ []byte) ([]byte, error) {
		network, err := h.network(ctx, from)
		if err != nil {
			return nil, err
		}
		return json.Marshal(network)
	})
	host.HandleCall(consent.EpochProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		envelope, err := message.Parse(raw)
		if err != nil {
			return nil, err
		}
		return h.recordConsents(ctx, from, envelope, registry.PublishEpoch{Envelope: envelope})
	})
	host.HandleCall(enrollment.AskProtocol, answering(h.lookUp))
	host.HandleCall(enrollment.PlacesProtocol, answering(h.places))
	host.HandleCall(enrollment.EnrollProtocol, answering(h.enroll))
	host.HandleCall(consent.ChangesProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		batch, err := consent.ParseBatch(raw)
		if err != nil {
			return nil, err
		}
		return h.recordConsents(ctx, from, batch.Envelope, registry.ChangeConsents{Batch: batch})
	})
	host.HandleCall(columns.Protocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		envelope, err := message.Parse(raw)
		if err != nil {
			return nil, err
		}
		return h.recordConsents(ctx, from, envelope, registry.CommitColumns{Envelope: envelope})
	})
}

// recordConsents proposes what a node says of its consents, or of columns.
func (h *Hub) recordConsents(ctx context.Context, from identity.DID, e message.Envelope, body registry.Body) ([]byte, error) {
	if e.Issuer != from {
		return nil, problem.Refusal("epoch.sender", "a node sends its own consent epochs and columns only")
	}
	outcome, err := h.Propose(ctx, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(consent.Recorded{LedgerIndex: outcome.LedgerIndex})
}

// network is what a node is told.
func (h *Hub) network(ctx context.Context, from identity.DID) (entry.Network, error) {
	nodes, err := h.Reader.Nodes(ctx)
	if err != nil {
		return entry.Network{}, err
	}
	circuits, err := h.Reader.Circuits(ctx)
	if err != nil {
		return entry.Network{}, err
	}
	network := entry.Network{Trust: h.Trust(), Circuits: circuits, Policy: h.cfg.Policy}
	if network.People, err = h.personKey(ctx); err != nil {
		return entry.Network{}, err
	}
	if network.Last, err = h.Reader.LastAccepted(ctx, from); err != nil {
		return entry.Network{}, err
	}
	for _, r := range h.cfg.Replicas {
		network.URLs = append(network.URLs, r.URL)
	}
	for _, n := range nodes {
		if !n.Revoked {
			network.Nodes = append(network.Nodes, n.Node)
		}
	}
	return network, nil
}

// Trust returns what readers of this network have to know beforehand.
func (h *Hub) Trust() entry.Trust {
	t := entry.Trust{Hub: h.key.DID(), Origin: h.cfg.Origin, LogKey: h.logKey}
	if h.anchor == nil {
		t.AccessLog = query.NoChain.Contract
		return t
	}
	if d := h.anchor.Deployment(); d != nil {
		t.ChainID, t.HubAnchor, t.ConsentRoots, t.AccessLog = d.ChainID, d.Anchor.Hex(), d.Roots.Hex(), d.Access.Hex()
	}
	return t
}
