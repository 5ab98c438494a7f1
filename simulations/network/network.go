// Package network builds whole networks in one process: a hub and any number of nodes,
// each with a directory, a database, keys and sockets of its own, as their operators
// start them, and synthetic people who have agreed to a trial.
//
// Start from [Start]; [Network.Ask] asks a question and waits for its result. Nodes
// reach the hub over TCP on loopback, with TLS 1.3, through a [Delay] if the network is
// to be wide. Proofs are real ones with development keys, unless others are configured,
// and there is no chain. Nothing here decides anything; it is what benchmarks and
// simulations of a network stand on.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/hub"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// Config configures a [Network]. Dir and Circuits are required.
type Config struct {
	// Dir is an empty folder for everything. Who starts the network removes it.
	Dir string

	// Circuits is the folder where proving keys are cached.
	Circuits string

	// Database is a "postgres://" URL, in which every node has a schema that is removed by
	// Close. Defaults to a SQLite file for each. The hub's is always one.
	Database string

	// Nodes is how many there are, 3 to 200. Defaults to 3.
	Nodes int

	// Persons are those of each node, all of whom agree to the trial: up to as many as
	// Shape holds. Defaults to 60.
	Persons int

	// Researchers are how many may ask, 1 to 1000; one may have 8 questions open at
	// once. Defaults to 1.
	Researchers int

	// RoundTrip is the time from a node, or a researcher, to the hub and back. Defaults
	// to 0, without a relay in between.
	RoundTrip time.Duration

	// Shape is that of the circuits. Defaults to circuits.Development.
	Shape circuits.Shape

	// Proofs stands in for zero-knowledge proofs of this shape, which take most of the
	// time of a small network. Defaults to these.
	Proofs Proofs

	Logger *slog.Logger // Defaults to discarding.
}

// Proofs makes proofs and checks them.
type Proofs interface {
	node.Prover
	registry.ProofChecker
}

func (c Config) withDefaults() Config {
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.Persons == 0 {
		c.Persons = 60
	}
	if c.Researchers == 0 {
		c.Researchers = 1
	}
	if c.Shape == (circuits.Shape{}) {
		c.Shape = circuits.Development
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Dir == "" || c.Circuits == "":
		return errors.New("folders for the network and its circuits are required")
	case c.Nodes < 3 || c.Nodes > 200:
		return errors.New("nodes: 3 to 200")
	case c.Researchers < 1 || c.Researchers > 1000:
		return errors.New("researchers: 1 to 1000")
	case c.RoundTrip < 0 || c.RoundTrip > 10*time.Second:
		return errors.New("round trip: up to 10 s")
	case c.Persons < 1 || c.Persons > c.Shape.ShardSize*c.Shape.Shards:
		return fmt.Errorf("persons: 1 to %d, as the circuits hold", c.Shape.ShardSize*c.Shape.Shards)
	}
	return c.Shape.Validate()
}

// Policy is that of the hub, the trial and every node: the default one, without a limit
// on how many questions are asked.
func Policy() disclosure.Policy {
	p := disclosure.Default()
	p.MaxQuestions = 0
	return p
}

// Network is a hub with its nodes, running.
type Network struct {
	cfg    Config
	hub    *hub.Hub
	prover node.Prover // of all nodes
	sites  []*Site

	schemas []sqldb.Schema // of the nodes; none on SQLite

	sponsor, board identity.Key
	researchers    []researcher

	relays []*Delay
	url    string // of the hub, for researchers

	ctx    context.Context //nolint:containedctx // the life of everything below
	cancel context.CancelFunc
	parts  sync.WaitGroup
	failed chan error
}

// Start builds a network and returns when it can be asked. It ends with ctx; Close waits
// for that.
func Start(ctx context.Context, cfg Config) (*Network, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n := &Network{cfg: cfg, failed: make(chan error, cfg.Nodes+1)}
	n.ctx, n.cancel = context.WithCancel(ctx)
	for _, part := range []func() error{n.makeKeys, n.startHub, n.makeSchemas, n.openSites, n.admitResearchers, n.openTrial, n.settle} {
		if err := part(); err != nil {
			return nil, errors.Join(fmt.Errorf("network: %w", err), n.Close())
		}
	}
	return n, nil
}

// Close stops everything and returns why a part stopped by itself, if one did.
func (n *Network) Close() error {
	n.cancel()
	n.parts.Wait()
	var errs []error
	for _, s := range n.sites {
		if s != nil && s.Node != nil && !s.running {
			errs = append(errs, s.Node.Close())
		}
	}
	for _, relay := range n.relays {
		errs = append(errs, relay.Close())
	}
	for _, r := range n.researchers {
		if r.client != nil {
			r.client.Close()
		}
	}
	for _, schema := range n.schemas {
		errs = append(errs, schema.Drop(context.WithoutCancel(n.ctx)))
	}
	select {
	case err := <-n.failed:
		errs = append(errs, err)
	default:
	}
	return errors.Join(errs...)
}

// SetRoundTrip changes the round trip of a network that was started with one.
func (n *Network) SetRoundTrip(d time.Duration) {
	for _, relay := range n.relays {
		relay.Set(d)
	}
}

// Sites returns the nodes.
func (n *Network) Sites() []*Site { return n.sites }

// run lets a part run until the network ends.
func (n *Network) run(name string, part func(context.Context) error) {
	n.parts.Go(func() {
		if err := part(n.ctx); err != nil && n.ctx.Err() == nil {
			n.failed <- fmt.Errorf("%s stopped: %w", name, err)
			n.cancel()
		}
	})
}

// relay returns an address that is as far from target as the network is wide.
func (n *Network) relay(target string) (string, error) {
	if n.cfg.RoundTrip == 0 {
		return target, nil
	}
	relay, err := NewDelay(target, n.cfg.RoundTrip)
	if err != nil {
		return "", err
	}
	n.relays = append(n.relays, relay)
	return relay.Address(), nil
}

func (n *Network) startHub() error {
	dir := filepath.Join(n.cfg.Dir, "hub")
	if err := hub.Init(dir, "Simulation"); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		err := n.openHub(dir)
		if err == nil {
			break
		}
		if attempt == 2 { // twice another program took the port first; this is something else
			return err
		}
	}
	if err := n.openProver(); err != nil {
		return err
	}
	n.run("hub", n.hub.Run)
	api, err := n.relay(n.hub.URL()[len("https://"):])
	n.url = "https://" + api
	return err
}

// openHub opens the hub at a port that was free a moment ago: invitations name the relay, which
// has to know the port before the hub is there.
func (n *Network) openHub(dir string) error {
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	seen, err := n.relay(listen)
	if err != nil {
		return err
	}
	cfg := hub.Config{
		Dir: dir, Origin: "simulation.trialmesh.local/log", Hosts: []string{"127.0.0.1"}, Circuits: n.cfg.Circuits, Shape: n.cfg.Shape,
		Policy: Policy(), Peers: []string{multiaddress(listen)}, Announce: []string{multiaddress(seen)}, Logger: n.cfg.Logger.With("party", "hub"),
	}
	if n.cfg.Proofs != nil {
		cfg.Proofs = n.cfg.Proofs
	}
	n.hub, err = hub.Open(n.ctx, cfg)
	return err
}

// openProver makes what proves for all nodes: keys of their own would take each of them
// some 50 MB, and their proofs, made at once on the same processors, longer.
func (n *Network) openProver() error {
	if n.prover = n.cfg.Proofs; n.prover != nil {
		return nil
	}
	epoch, err := prover.DevelopmentKeys(n.ctx, n.cfg.Circuits, n.cfg.Shape.Epoch())
	if err != nil {
		return err
	}
	access, err := prover.DevelopmentKeys(n.ctx, n.cfg.Circuits, n.cfg.Shape.Access())
	if err != nil {
		return err
	}
	n.prover, err = prover.New(prover.Config{Epoch: epoch, Access: access})
	return err
}

// makeSchemas makes the schemas of the nodes if they are on PostgreSQL.
func (n *Network) makeSchemas() error {
	if n.cfg.Database == "" {
		return nil
	}
	prefix := "simulation_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for i := range n.cfg.Nodes {
		schema, err := sqldb.MakeSchema(n.ctx, n.cfg.Database, fmt.Sprintf("%s_%d", prefix, i))
		if err != nil {
			return err
		}
		n.schemas = append(n.schemas, schema)
	}
	return nil
}

// dsn is the address of the i-th node's database, whose folder is dir.
func (n *Network) dsn(i int, dir string) string {
	if len(n.schemas) > 0 {
		return n.schemas[i].DSN
	}
	return "sqlite:" + filepath.Join(dir, "data.db")
}

// openSites enrolls the nodes and fills their databases, some at a time.
func (n *Network) openSites() error {
	operator, err := n.operator()
	if err != nil {
		return err
	}
	defer operator.Close()
	n.sites = make([]*Site, n.cfg.Nodes)
	group, ctx := errgroup.WithContext(n.ctx)
	group.SetLimit(8)
	for i := range n.sites {
		group.Go(func() (err error) {
			if n.sites[i], err = n.newSite(ctx, operator, i); err != nil {
				return fmt.Errorf("node %d: %w", i, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// freeAddress returns an address of loopback whose port was free a moment ago.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// multiaddress writes an address of loopback as peers name it.
func multiaddress(address string) string {
	_, port, _ := net.SplitHostPort(address) // as net.Listen wrote it
	return "/ip4/127.0.0.1/tcp/" + port
}
