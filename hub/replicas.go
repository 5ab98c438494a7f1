package hub

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Replica is one of several machines that are the hub together. Only its keys are its own:
// to nodes and readers the hub has one name, whoever of them leads.
type Replica struct {
	// DID is its own key's: its vote and its cosignature.
	DID identity.DID `json:"did" koanf:"did"`

	// URL is the origin of its HTTPS API.
	URL string `json:"url" koanf:"url"`

	// Nodes are the multiaddresses at which nodes find it while it leads.
	Nodes []string `json:"nodes" koanf:"nodes"`

	// Address is the multiaddress at which the other replicas find it.
	Address string `json:"address" koanf:"address"`

	// Account signs for it on the chain.
	Account string `json:"account" koanf:"account"`
}

// validate names what is wrong with a replica.
func (r Replica) validate() error {
	if _, err := r.DID.PublicKey(); err != nil {
		return errors.New("replicas: did: not a did:key")
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("replicas: url of %s: want https://host:port", r.DID)
	case len(r.Nodes) == 0 || r.Address == "":
		return fmt.Errorf("replicas: nodes and address of %s: multiaddresses are required", r.DID)
	}
	for _, address := range append(slices.Clone(r.Nodes), r.Address) {
		if strings.Contains(address, "/p2p/") || strings.Contains(address+"/", "/tcp/0/") || strings.Contains(address+"/", "/udp/0/") {
			return fmt.Errorf("replicas: addresses of %s: want a fixed port and no /p2p/ part", r.DID)
		}
	}
	return nil
}

// host is the name or IP address in the replica's URL.
func (r Replica) host() string {
	u, _ := url.Parse(r.URL) // validate did
	return u.Hostname()
}

// groupSize reports whether a hub can have so many replicas. A group of two stands still when
// either is away, and a fourth adds nothing to three.
func groupSize(n int) bool { return n >= 3 && n <= 9 && n%2 == 1 }

var errGroupSize = errors.New("replicas: 3, 5, 7 or 9 in all, so that a majority goes on when one is away")

// validateReplicas checks the list.
func (c Config) validateReplicas() error {
	if len(c.Replicas) == 0 {
		return nil
	}
	if !groupSize(len(c.Replicas)) {
		return errGroupSize
	}
	seen := make(map[string]bool)
	for _, r := range c.Replicas {
		if err := r.validate(); err != nil {
			return err
		}
		for _, own := range append([]string{string(r.DID), r.URL, r.Address, strings.ToLower(r.Account)}, r.Nodes...) {
			if own != "" && seen[own] {
				return fmt.Errorf("replicas: %s stands there twice", own)
			}
			seen[own] = true
		}
	}
	return nil
}

// openReplicas finds this replica in the list and opens the way to the others. A hub alone
// has one key for everything.
func (h *Hub) openReplicas(context.Context) error {
	var err error
	if len(h.cfg.Replicas) == 0 {
		if _, err = os.Stat(filepath.Join(h.cfg.Dir, replicaKeyFile)); err == nil {
			return errors.New("replicas: none listed, but this machine is one of several: it would wait for itself alone for ever")
		}
		h.self = h.key
		return nil
	}
	if h.self, err = readKey(filepath.Join(h.cfg.Dir, replicaKeyFile)); err != nil {
		return fmt.Errorf("replicas are listed, but this machine's key is not there (was the directory made by hub replica?): %w", err)
	}
	place := slices.IndexFunc(h.cfg.Replicas, func(r Replica) bool { return r.DID == h.self.DID() })
	if place < 0 {
		return fmt.Errorf("replicas: none of those listed is this machine, %s", h.self.DID())
	}
	h.adopt(h.cfg.Replicas[place])
	limits := transport.Limits{MessageBytes: consensus.MaxCommandBytes + 1<<10}
	cfg := transport.Config{Key: h.self, Listen: []string{h.cfg.Between}, Admit: h.isReplica, Limits: limits, Log: h.cfg.Logger}
	for _, r := range h.cfg.Replicas {
		if r.DID == h.self.DID() {
			continue
		}
		id, err := transport.PeerID(r.DID)
		if err != nil {
			return err
		}
		cfg.Peers = append(cfg.Peers, r.Address+"/p2p/"+id.String())
	}
	if h.between, err = transport.New(cfg); err != nil {
		return fmt.Errorf("way to the other replicas: %w", err)
	}
	return nil
}

// adopt fills in what the list says of this replica, and of all as nodes and clients see
// them: a certificate of one is good at the address of another.
func (h *Hub) adopt(self Replica) {
	if len(h.cfg.Peers) == 0 {
		h.cfg.Peers = self.Nodes
	}
	if h.cfg.Between == "" {
		h.cfg.Between = self.Address
	}
	h.cfg.Announce = slices.Clone(self.Nodes)
	for _, r := range h.cfg.Replicas {
		if !slices.Contains(h.cfg.Hosts, r.host()) {
			h.cfg.Hosts = append(h.cfg.Hosts, r.host())
		}
		if r.DID != self.DID {
			h.cfg.Announce = append(h.cfg.Announce, r.Nodes...)
		}
	}
	h.url = self.URL
}

// replicas returns all replicas' names.
func (h *Hub) replicas() []identity.DID {
	if len(h.cfg.Replicas) == 0 {
		return []identity.DID{h.self.DID()}
	}
	var list []identity.DID
	for _, r := range h.cfg.Replicas {
		list = append(list, r.DID)
	}
	return list
}

// others returns all but this one's.
func (h *Hub) others() []identity.DID {
	return slices.DeleteFunc(h.replicas(), func(did identity.DID) bool { return did == h.self.DID() })
}

func (h *Hub) isReplica(did identity.DID) bool { return slices.Contains(h.replicas(), did) }

// parties is everybody by whom a checkpoint can be countersigned: the other replicas over
// their own way, the nodes over theirs. It implements [cosign.Network].
type parties struct {
	nodes, replicas *transport.Host // a hub alone has no replicas
	isReplica       func(identity.DID) bool
}

// Call sends a request to a replica or a node.
func (p parties) Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	return p.of(to).Call(ctx, to, protocol, request)
}

func (p parties) of(did identity.DID) *transport.Host {
	if p.replicas != nil && p.isReplica(did) {
		return p.replicas
	}
	return p.nodes
}

// HandleCall answers both.
func (p parties) HandleCall(protocol string, handle func(ctx context.Context, from identity.DID, request []byte) ([]byte, error)) {
	p.nodes.HandleCall(protocol, handle)
	if p.replicas != nil {
		p.replicas.HandleCall(protocol, handle)
	}
}
