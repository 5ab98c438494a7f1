// Package transport carries bytes between a hub and its nodes.
//
// Start from [New] and [Host]. A hub listens on TCP and QUIC; a node listens on
// no port at all: it dials the hub, keeps that one connection standing and is
// reached through it, by the hub directly and by other nodes through the hub's
// relay. On top of the connections are two things: streams ([Host.Open],
// [Host.Handle]) and single questions with one answer ([Host.Call],
// [Host.HandleCall]).
//
// A peer's libp2p identity is the key of its DID, so whoever completes the TLS
// handshake owns the DID that handlers are given; nothing a peer writes can
// change it, and the relay sees ciphertext only. Only peers that Config.Admit
// accepts get that far. What is sent over a stream, and whether a peer may ask
// for it, is the caller's to decide.
//
// This is the only package that imports libp2p.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Config configures a [Host]. Key and Admit are required, and either Listen
// (a hub) or Hub (a node).
type Config struct {
	Key identity.Key

	// Listen holds the multiaddrs a hub listens on, for example
	// "/ip4/0.0.0.0/tcp/7443" and "/ip4/0.0.0.0/udp/7443/quic-v1". Port 0
	// takes a free one. A node has none.
	Listen []string

	// Announce holds the addresses a hub is dialed at from outside, without
	// the /p2p/ part, where they differ from Listen: a name such as
	// "/dns4/hub.example.org/tcp/443", a gateway's address. Defaults to the
	// addresses of this machine that Listen covers.
	Announce []string

	// Withdrawn lets a hub begin as after [Host.Withdraw].
	Withdrawn bool

	// Hub holds the addresses of a node's hub, as [Host.Addrs] of the hub
	// gives them: any number, all ending in the same /p2p/ part. They may be of
	// several machines of which one at a time listens.
	Hub []string

	// Peers holds the addresses of a hub's other replicas, each ending in
	// /p2p/. They are dialed when a stream to them is opened.
	Peers []string

	// Admit reports whether a peer is enrolled. It is asked for every
	// connection and every stream, from several goroutines, and must answer
	// from memory. A node's own hub is always admitted.
	Admit func(identity.DID) bool

	// OnPeer, if set, is told when a peer's direct connection comes up or goes
	// down, one call at a time. Quick changes may be merged into the last.
	OnPeer func(did identity.DID, connected bool)

	// KeepAlive is how often a node checks that its hub still answers, 100 ms
	// to 1 min. A check that takes as long again ends the connection.
	// Defaults to 10 s.
	KeepAlive time.Duration

	// Speaks is what is said of the protocol versions of this program. Defaults to
	// version.Spoken.
	Speaks version.Range

	Limits Limits
	Log    *slog.Logger // Defaults to discarding.
}

// Host is one party's end of the network. Its methods are safe for concurrent
// use. Register handlers before [Host.Run].
type Host struct {
	cfg   Config
	self  identity.DID
	hub   peer.AddrInfo // zero at a hub
	host  host.Host
	relay *relay.Relay // nil at a node
	watch *watch
	log   *slog.Logger

	serving   atomic.Bool // set by Run: inbound connections are refused before
	withdrawn atomic.Bool // a hub lets nobody in
	standing  atomic.Bool // a node is connected to its hub and has a relay slot
	ctx       context.Context
	cancel    context.CancelFunc

	mu      sync.Mutex // guards closed against tasks.Add, and statics
	closed  bool
	statics map[peer.ID]bool // a hub's other replicas
	tasks   sync.WaitGroup   // handlers and background work
}

// New returns a host. A hub's listeners are bound here, so that a port in use
// is reported at once and [Host.Addrs] is complete, but nobody is let in before
// [Host.Run]. End a host that never runs with [Host.Close].
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	hub, others, err := cfg.validate()
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	h := &Host{cfg: cfg, self: cfg.Key.DID(), hub: hub, statics: map[peer.ID]bool{}, log: cfg.Log}
	h.withdrawn.Store(cfg.Withdrawn)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.start(others); err != nil {
		h.cancel()
		return nil, fmt.Errorf("transport: %w", err)
	}
	return h, nil
}

func (h *Host) start(others []peer.AddrInfo) error {
	key, err := crypto.UnmarshalEd25519PrivateKey(h.cfg.Key.Private())
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	resources, err := h.cfg.Limits.resources()
	if err != nil {
		return err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Transport(tcp.NewTCPTransport, tcp.WithConnectionTimeout(dialTimeout), tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.ConnectionGater(gate{h}),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}), // the resource manager limits; nothing is trimmed
		libp2p.Ping(false),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.UserAgent("trialmesh"),
		libp2p.ProtocolVersion(h.cfg.Speaks.Greeting()),
	}
	if h.isNode() {
		options = append(options, libp2p.EnableRelay(), libp2p.ForceReachabilityPrivate())
	} else {
		options = append(options, libp2p.DisableRelay(), libp2p.ForceReachabilityPublic())
	}
	if h.host, err = libp2p.New(options...); err != nil {
		_ = resources.Close()
		return fmt.Errorf("start host: %w", err)
	}
	if h.isNode() {
		h.host.Peerstore().AddAddrs(h.hub.ID, h.hub.Addrs, peerstore.PermanentAddrTTL)
	}
	h.addStatics(others)
	h.watch = newWatch(h)
	h.host.Network().Notify(h.watch)
	if !h.isNode() {
		if !h.cfg.Withdrawn {
			err = h.listen()
		}
		if err == nil {
			h.relay, err = h.newRelay()
		}
		if err != nil {
			_ = h.host.Close()
			return err
		}
	}
	h.HandleCall(aliveProtocol, func(context.Context, identity.DID, []byte) ([]byte, error) { return nil, nil })
	return nil
}

// listen binds every address. libp2p by itself is content if one of them works.
func (h *Host) listen() error {
	for _, addr := range h.cfg.Listen {
		m, err := multiaddr.NewMultiaddr(addr)
		if err != nil {
			return fmt.Errorf("listen address %q: %w", addr, err)
		}
		if err := h.host.Network().Listen(m); err != nil {
			return fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	return nil
}

// Run lets peers in and, at a node, keeps the connection to the hub standing.
// It blocks until ctx ends, closes the host and returns nil.
func (h *Host) Run(ctx context.Context) error {
	identified, err := h.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return errors.Join(fmt.Errorf("transport: %w", err), h.Close())
	}
	defer func() { _ = identified.Close() }()
	h.serving.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(h.ctx, cancel)
	defer stop()
	var parts sync.WaitGroup
	parts.Go(func() { h.watch.run(ctx) })
	parts.Go(func() { h.reportVersions(ctx, identified) })
	if h.isNode() {
		parts.Go(func() { h.stand(ctx) })
	}
	parts.Wait()
	return h.Close()
}

// Close ends every stream and connection and waits for the handlers. Handlers
// see their context end.
func (h *Host) Close() error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	var err error
	if first {
		if h.relay != nil {
			err = h.relay.Close()
		}
		err = errors.Join(err, h.host.Close())
	}
	h.tasks.Wait()
	if err != nil {
		return fmt.Errorf("transport: close: %w", err)
	}
	return nil
}

// begin counts one more task that Close waits for, or reports that it is too late.
func (h *Host) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.tasks.Add(1)
	return true
}

// AddPeers adds addresses of other replicas to those of Config.Peers, for
// replicas that learn each other's ports only after listening.
func (h *Host) AddPeers(addrs ...string) error {
	if h.isNode() {
		return errors.New("transport: a node has no peers but its hub")
	}
	infos, err := peersOf(addrs)
	if err != nil {
		return fmt.Errorf("transport: peer address: %w", err)
	}
	h.addStatics(infos)
	return nil
}

func (h *Host) addStatics(infos []peer.AddrInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, info := range infos {
		if info.ID != h.host.ID() {
			h.statics[info.ID] = true
			h.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
		}
	}
}

// isStatic reports whether id is a replica that may be dialed.
func (h *Host) isStatic(id peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.statics[id]
}

// DID returns the name of this host.
func (h *Host) DID() identity.DID { return h.self }

// Hub returns the DID of a node's hub, empty at a hub.
func (h *Host) Hub() identity.DID {
	did, err := DIDOf(h.hub.ID)
	if err != nil {
		return ""
	}
	return did
}

// Addrs returns the addresses a hub can be dialed at, each ending in its
// /p2p/ part, for invitations. It is empty at a node.
func (h *Host) Addrs() []string {
	if h.isNode() {
		return nil
	}
	addrs := slices.Clone(h.cfg.Announce)
	if len(addrs) == 0 {
		for _, addr := range h.host.Addrs() {
			addrs = append(addrs, addr.String())
		}
	}
	for i := range addrs {
		addrs[i] += "/p2p/" + h.host.ID().String()
	}
	return addrs
}

func (h *Host) isNode() bool { return h.hub.ID != "" }
