// Package hub joins the parts of a hub: registry, ledger, certificate
// authority, transport, dispatch and API. It holds the composition root and
// nothing that decides anything.
//
// [Init] makes a hub's directory, [Open] puts its parts together, [Hub.Run]
// runs them until its context ends. The demo, the tests and the operators'
// command start hubs this way and no other.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/anchor"
	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/publication"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/hub/timetable"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
	"github.com/trialmesh/trialmesh/zk/ceremony"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// Config configures a [Hub]. Dir, Origin, Hosts and Circuits are required.
type Config struct {
	// Dir is the hub's directory, made by [Init].
	Dir string

	// Origin names the ledger, for example "hub.example.org/ledger": 1 to 128
	// visible characters, no plus. It never changes.
	Origin string

	// Hosts are the names and IP addresses at which the hub is reached.
	Hosts []string

	// Listen is where the HTTPS API listens. Defaults to "127.0.0.1:0".
	Listen string

	// Peers are the multiaddresses on which nodes connect. Defaults to free
	// TCP and QUIC ports of 127.0.0.1.
	Peers []string

	// Announce are the multiaddresses that invitations name, for a hub that is
	// not reached as it listens. Defaults to Peers.
	Announce []string

	// Policy is the hub's own disclosure policy. Defaults to disclosure.Default.
	Policy disclosure.Policy

	// Shape is that of the circuits. Defaults to circuits.Development.
	Shape circuits.Shape

	// Results has circuits for proofs of figures too. Their keys take some ten times the time
	// and space of the others'.
	Results bool

	// Circuits is the folder where development keys are cached.
	Circuits string

	// Ceremony is the folder of the finished ceremony whose keys the circuits have; what its
	// parties signed goes on the ledger. Without one keys are made on this machine and are good
	// for development only.
	Ceremony string

	// Production refuses development keys.
	Production bool

	// Proofs checks proofs. Defaults to zero-knowledge ones. A simulation without a chain
	// may have others, for circuits without keys, as its nodes then need: see node.Config.
	Proofs registry.ProofChecker

	// Chain is the http(s) URL of a JSON-RPC endpoint; empty for no chain. It
	// may hold an access token and is never logged.
	Chain string

	// ChainCheck is the URL of a second endpoint, best of another operator; what the chain holds
	// counts if both say it. Optional.
	ChainCheck string

	// ChainSigner is where a remote signer listens that signs for ChainAccount, as of
	// evm.RemoteConfig. Without one the account is that of the directory.
	ChainSigner, ChainAccount string

	// Redeploy lets a development chain that lost its contracts get new ones.
	Redeploy bool

	// AnchorEvery is how often checkpoints are anchored at most. Defaults to 10 min.
	AnchorEvery time.Duration

	// Replicas are the machines that are this hub together, 3, 5, 7 or 9, the same list on
	// all; which of them this one is says its replica.key. Defaults to none: it is alone.
	Replicas []Replica

	// Between is the multiaddress on which this replica listens for the others. Defaults to
	// its Address in Replicas.
	Between string

	// Cosigners is by whose cosignatures checkpoints are published: of replicas and nodes, by
	// their DID, and of witnesses with a URL. Defaults to a majority of the replicas.
	Cosigners cosign.Policy

	// Queue bounds the questions that wait and run. Defaults to those of its fields.
	Queue Queue

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.
}

var originForm = regexp.MustCompile(`^[!-*,-~]{1,128}$`)

// CheckOrigin reports whether a ledger may have the name.
func CheckOrigin(origin string) error {
	if !originForm.MatchString(origin) {
		return errors.New("origin: 1 to 128 visible characters, no plus")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if len(c.Peers) == 0 && len(c.Replicas) == 0 {
		c.Peers = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	if c.Policy == (disclosure.Policy{}) {
		c.Policy = disclosure.Default()
	}
	if c.Shape == (circuits.Shape{}) {
		c.Shape = circuits.Development
	}
	c.Queue = c.Queue.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("dir is required")
	case c.Production && c.Ceremony == "":
		return errors.New("production refuses keys that one machine made: name the folder of a finished ceremony, or run without production")
	case len(c.Hosts) == 0 && len(c.Replicas) == 0:
		return errors.New("hosts: at least one name or address")
	case c.Circuits == "":
		return errors.New("circuits: the folder of the proving keys is required")
	case !endpoint(c.Chain) || !endpoint(c.ChainCheck):
		return errors.New("chain, chain-check: an http or https URL")
	case c.Chain != "" && c.Chain == c.ChainCheck:
		return errors.New("chain-check: the same endpoint as chain says what that says: name another")
	case c.Chain == "" && (c.ChainCheck != "" || c.ChainSigner != ""):
		return errors.New("chain-check, chain-signer: there is no chain; set chain")
	case (c.ChainSigner == "") != (c.ChainAccount == ""):
		return errors.New("chain-signer, chain-account: one needs the other: the signer, and the account it signs for")
	case c.Proofs != nil && c.Chain != "":
		return errors.New("proofs: a network with a chain has zero-knowledge proofs only")
	}
	return errors.Join(CheckOrigin(c.Origin), c.validateReplicas(), c.Policy.Validate(), c.Shape.Validate(), c.Queue.validate())
}

// endpoint reports whether text is the URL of a JSON-RPC endpoint, or of none.
func endpoint(text string) bool {
	where, err := url.Parse(text)
	return text == "" || err == nil && where.Host != "" && (where.Scheme == "http" || where.Scheme == "https")
}

// Init makes a hub's directory: its keys, its certificate authority and the
// operator's token. name is the network's, for the certificates. The directory
// must be absent or empty.
func Init(dir, name string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("hub init: %s is not empty", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("hub init: %w", err)
	}
	if err := errors.Join(
		pki.Init(filepath.Join(dir, authorityDir), pki.InitConfig{Name: name}),
		makeKey(filepath.Join(dir, hubKeyFile)),
		makeKey(filepath.Join(dir, logKeyFile)),
		makeChainKey(dir),
		makePersonKey(dir),
		makeToken(filepath.Join(dir, operatorFile)),
	); err != nil {
		return fmt.Errorf("hub init: %w", err)
	}
	return nil
}

// Hub is a hub with all its parts. Use its methods after [Open].
type Hub struct {
	// Reader reads the registry.
	Reader *registry.Reader

	// Ledger is the public log.
	Ledger ledger.Source

	cfg       Config
	key       identity.Key    // the hub's
	self      identity.Key    // this replica's; the hub's if it is alone
	between   *transport.Host // the way to the other replicas, nil if it is alone
	early     errgroup.Group  // what runs from Open on
	url       string          // of the API, as the list of replicas has it
	entrance  *entrance       // nil if it is alone
	logKey    string
	db        *sqldb.DB
	log       *log
	verified  *message.Verified
	replica   *consensus.Replica
	publisher *publication.Publisher
	authority *pki.Authority
	admitted  *admissions
	host      *transport.Host
	group     *membership.Group
	dispatch  *dispatch.Dispatcher
	timetable *timetable.Keeper
	anchor    *anchor.Anchor // nil without a chain
	people    people
	keys      provingKeys
	made      []*prover.Keys // by the ceremony, if there is one
	metrics   *prometheus.Registry
	listener  net.Listener
	server    *http.Server
	changed   chan struct{}

	changes // for whoever waits at the API
}

// Open puts the parts together: stores, state, keys, network, listeners. It
// binds the ports and lets nobody in before [Hub.Run].
func Open(ctx context.Context, cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	h := &Hub{cfg: cfg, metrics: prometheus.NewRegistry(), changed: make(chan struct{}, 1)}
	if err := h.open(ctx); err != nil {
		return nil, h.end(ctx, fmt.Errorf("hub: %w", err))
	}
	return h, nil
}

func (h *Hub) open(ctx context.Context) error {
	var err error
	if h.key, err = readKey(filepath.Join(h.cfg.Dir, hubKeyFile)); err != nil {
		return fmt.Errorf("read key (was the directory made by hub init?): %w", err)
	}
	for _, part := range []func(context.Context) error{
		h.openReplicas, h.openState, h.openNetwork, h.openLog, h.openAuthority, h.openCircuits, h.openPeople, h.openChain, h.openDispatch, h.openAPI,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openState opens the keys, the database and the replicated log over it.
func (h *Hub) openState(ctx context.Context) error {
	var err error
	// What is lost of the state in a power cut comes again from the replicated log, and
	// checkpoints are signed again over the same leaves.
	if h.db, err = sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + filepath.Join(h.cfg.Dir, stateFile), Replayed: true}); err != nil {
		return err
	}
	if err := registry.Migrate(ctx, h.db); err != nil {
		return err
	}
	h.Reader, h.Ledger = registry.NewReader(h.db), ledger.NewPublished(h.db)
	proofs := h.cfg.Proofs
	if proofs == nil {
		proofs = new(evidence.Proofs)
	}
	machine := registry.NewMachine(h.db, h.key.DID(), proofs)
	h.verified = machine.Verified()
	cfg := consensus.Config{
		Dir: filepath.Join(h.cfg.Dir, raftDir), ID: h.self.DID(), FSM: registry.NewFSM(machine, h.cfg.Dir),
		Bootstrap: true, Replicas: h.replicas(), Log: h.cfg.Logger,
	}
	if h.between != nil {
		cfg.Network = h.between
	}
	if h.replica, err = consensus.Open(ctx, cfg); err != nil {
		return err
	}
	h.log = &log{replica: h.replica, now: h.cfg.Now, changed: h.committed}
	if h.between != nil {
		h.serveReplicas()
		h.early.Go(func() error { return h.between.Run(context.WithoutCancel(ctx)) }) // until Close
		h.cfg.Logger.InfoContext(ctx, "waiting for a majority of the replicas", "replica", h.self.DID(), "of", len(h.cfg.Replicas))
	}
	if err := h.catchUp(ctx); err != nil {
		return err
	}
	h.log.leads.Store(h.between == nil) // otherwise from takeOver on
	return sameLog(ctx, h.Reader, h.replica)
}

// openLog opens the ledger's public face and its signer. A damaged ledger is not
// signed any more.
func (h *Hub) openLog(ctx context.Context) error {
	key, err := readKey(filepath.Join(h.cfg.Dir, logKeyFile))
	if err != nil {
		return err
	}
	signer, err := cosign.NewSigner(h.cfg.Origin, key.Private())
	if err != nil {
		return err
	}
	public, err := key.DID().PublicKey()
	if err != nil {
		return err
	}
	if h.logKey, err = cosign.VerifierKey(h.cfg.Origin, public); err != nil {
		return err
	}
	trust := cosign.Trust{Origin: h.cfg.Origin, Keys: []string{h.logKey}}
	if err := h.checkLedger(ctx, trust); err != nil {
		return err
	}
	if trust.Policy, err = h.cosigners(); err != nil {
		return err
	}
	self, err := cosign.Open(cosign.Config{
		Dir: filepath.Join(h.cfg.Dir, ledgerDir), Key: h.self, Check: publication.Patient(publication.Check(h.db)), Replayed: true,
		Trust: func() (cosign.Trust, error) { return trust, nil }, Log: h.cfg.Logger, Now: h.cfg.Now,
	})
	if err != nil {
		return err
	}
	h.publisher, err = publication.New(ctx, publication.Config{
		DB: h.db, Signer: signer, Trust: trust, Self: self, DID: h.self.DID(), Replicas: h.others(), Nodes: h.cosigning,
		Network: parties{nodes: h.host, replicas: h.between, isReplica: h.isReplica},
		Lead:    h.log.Leading, Barrier: h.replica.Barrier, Logger: h.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := h.publisher.Publish(ctx); err != nil && !errors.Is(err, cosign.ErrUntrusted) { // no quorum yet
		return err
	}
	return nil
}

// checkLedger reads all that is published and compares it with the root that was
// signed: 2 million entries a second.
func (h *Hub) checkLedger(ctx context.Context, trust cosign.Trust) error {
	if _, err := ledger.Open(ctx, h.Ledger, trust); errors.Is(err, ledger.ErrNotFound) {
		return nil // nothing is published yet
	}
	if _, err := ledger.Verify(ctx, h.Ledger, trust); err != nil {
		return fmt.Errorf("%w; nothing is signed over it: restore the hub's directory from a backup", err)
	}
	return nil
}

// cosigners returns the policy by which checkpoints are published.
func (h *Hub) cosigners() (cosign.Policy, error) {
	if len(h.cfg.Cosigners.Parties) > 0 {
		return h.cfg.Cosigners, nil
	}
	replicas := h.replicas()
	keys := make([]string, len(replicas))
	for i, did := range replicas {
		var err error
		if keys[i], err = cosign.KeyOf(did); err != nil {
			return cosign.Policy{}, err
		}
	}
	return cosign.Threshold(len(keys)/2+1, keys...), nil
}

// cosigning returns the nodes that can be asked to countersign.
func (h *Hub) cosigning() []identity.DID {
	return slices.DeleteFunc(h.host.Connections(), func(did identity.DID) bool {
		spoken, known := h.host.Speaks(did)
		return !known || !spoken.Knows(version.Cosignatures)
	})
}

// openAuthority opens the certificate authority and admits the operator's token.
func (h *Hub) openAuthority(ctx context.Context) error {
	var err error
	h.authority, err = pki.Open(filepath.Join(h.cfg.Dir, authorityDir), pki.Config{
		Store: certificates{h.proposer(), h.Reader}, Hosts: h.cfg.Hosts, Now: h.cfg.Now,
	})
	if err != nil {
		return err
	}
	return h.admitOperator(ctx)
}

// openCircuits registers the circuits.
func (h *Hub) openCircuits(ctx context.Context) error {
	if h.cfg.Ceremony != "" {
		if err := h.openCeremony(ctx); err != nil {
			return fmt.Errorf("keys of the ceremony in %s: %w", h.cfg.Ceremony, err)
		}
	}
	if h.between != nil { // before any is made: whoever leads next asks for those that are registered
		h.between.Handle(keyProtocol, h.giveKey)
	}
	list := []circuits.Circuit{h.cfg.Shape.Epoch(), h.cfg.Shape.Access()}
	if results := h.cfg.Shape.Results(); h.cfg.Results {
		list = append(list, results[:]...)
	}
	for _, circuit := range list {
		registered, err := h.circuit(ctx, circuit)
		if err != nil {
			return err
		}
		if _, err := h.Propose(ctx, registry.RegisterCircuit{Circuit: registered}); err != nil {
			return fmt.Errorf("register circuit %s: %w", circuit, err)
		}
	}
	if err := h.openEnrollment(ctx); err != nil {
		return err
	}
	if h.cfg.Ceremony == "" {
		h.cfg.Logger.WarnContext(ctx, "circuits use development keys: whoever made them could forge proofs", "shape", h.cfg.Shape.Access().String())
	}
	return nil
}

// openCeremony puts what the parties signed on the ledger and reads the keys that they made.
func (h *Hub) openCeremony(ctx context.Context) error {
	transcript, err := ceremony.Open(h.cfg.Ceremony)
	if err != nil {
		return err
	}
	if h.made, err = transcript.Keys(ctx); err != nil {
		return err
	}
	for _, statement := range transcript.Statements() {
		if _, err := h.Propose(ctx, registry.RecordCeremony{Envelope: statement}); err != nil {
			return fmt.Errorf("record what was signed: %w", err)
		}
	}
	return nil
}

// circuit returns a circuit with the ceremony's keys, or makes or loads development keys, unless
// there are none in this network.
func (h *Hub) circuit(ctx context.Context, c circuits.Circuit) (entry.Circuit, error) {
	if h.cfg.Proofs != nil {
		return entry.Circuit{Shape: c.String(), VerifyingKey: []byte(c.String()), Development: true}, nil
	}
	keys, err := h.sharedKeys(ctx, c)
	if keys == nil && err == nil {
		keys, err = h.keysOf(ctx, c)
	}
	if err != nil {
		return entry.Circuit{}, err
	}
	h.keys.put(keys)
	p := keys.Published()
	return entry.Circuit{Shape: c.String(), VerifyingKey: p.VerifyingKey, ProvingDigest: p.ProvingDigest, Development: p.Development, Ceremony: p.Ceremony}, nil
}

var errNotMade = errors.New("the ceremony was held for other circuits")

func (h *Hub) keysOf(ctx context.Context, c circuits.Circuit) (*prover.Keys, error) {
	if h.cfg.Ceremony == "" {
		return prover.DevelopmentKeys(ctx, h.cfg.Circuits, c)
	}
	i := slices.IndexFunc(h.made, func(k *prover.Keys) bool { return k.Circuit() == c })
	if i < 0 {
		var made []string
		for _, k := range h.made {
			made = append(made, k.Circuit().String())
		}
		return nil, fmt.Errorf("%w: that in %s made keys of %s and none of %s: set circuits-shape of the hub and its nodes to the shape it was held for", errNotMade, h.cfg.Ceremony, strings.Join(made, ", "), c)
	}
	return h.made[i], nil
}

// openNetwork binds the peers' ports and joins the group.
func (h *Hub) openNetwork(ctx context.Context) error {
	h.admitted = &admissions{reader: h.Reader}
	if _, err := h.admitted.refresh(ctx); err != nil {
		return err
	}
	var err error
	h.host, err = transport.New(transport.Config{Key: h.key, Listen: h.cfg.Peers, Announce: h.cfg.Announce, Withdrawn: h.between != nil, Admit: h.admitted.Admits, Log: h.cfg.Logger})
	if err != nil {
		return err
	}
	h.serve(h.host)
	h.group, err = membership.New(membership.Config{ID: h.key.DID(), Network: h.host, Admit: h.admitted.Admits, Log: h.cfg.Logger, Now: h.cfg.Now})
	return err
}

// openChain prepares the writer to the chain. A network without one says so,
// once and for good, and its nodes prove for no chain.
func (h *Hub) openChain(ctx context.Context) error {
	if h.cfg.Chain == "" {
		if _, err := h.Propose(ctx, registry.SetVenue{Venue: query.NoChain}); err != nil {
			return fmt.Errorf("run without a chain: %w", err)
		}
		return nil
	}
	signer, err := h.chainSigner()
	if err != nil {
		return err
	}
	var access evm.KeyWords
	for keys := range h.keys.all() {
		if keys.Circuit().IsAccess() {
			access = keys.Verifying().EVM()
		}
	}
	accounts, signers, err := h.signers(signer)
	if err != nil {
		return err
	}
	h.anchor, err = anchor.New(anchor.Config{
		Registry: h.Reader, Log: h.log, Checkpoint: h.publisher.Checkpoint, Growth: h.publisher.Growth, Check: publication.Patient(publication.Check(h.db)),
		Chain: evm.Config{Endpoint: h.cfg.Chain, Check: h.cfg.ChainCheck, Signer: signer, Replicas: signers},
		Deploy: evm.DeployConfig{
			Record: filepath.Join(h.cfg.Dir, deploymentFile), Origin: h.cfg.Origin, Replicas: accounts,
			VerifyingKey: access, QueryPosition: anchor.QueryPosition, RootPosition: anchor.RootPosition, Redeploy: h.cfg.Redeploy,
		},
		Interval: h.cfg.AnchorEvery, Metrics: h.metrics, Logger: h.cfg.Logger, Now: h.cfg.Now,
	})
	if err == nil && h.between != nil {
		h.between.HandleCall(anchor.SignProtocol, func(ctx context.Context, _ identity.DID, raw []byte) ([]byte, error) {
			return h.anchor.Sign(ctx, raw)
		})
	}
	return err
}

// chainSigner returns who signs what the hub writes to the chain.
func (h *Hub) chainSigner() (evm.Signer, error) {
	if h.cfg.ChainSigner == "" {
		return readChainKey(h.cfg.Dir)
	}
	var account evm.Address
	if err := account.UnmarshalText([]byte(h.cfg.ChainAccount)); err != nil {
		return nil, errors.New("chain-account: not an address of 0x and 40 hex digits, for which the chain-signer is to sign")
	}
	signer, err := evm.NewRemoteSigner(evm.RemoteConfig{Endpoint: h.cfg.ChainSigner, Account: account})
	if err != nil {
		return nil, fmt.Errorf("chain-signer: %w", err)
	}
	return signer, nil
}

// signers returns the accounts whose quorum the contracts believe, in the order of the list,
// and who signs for them.
func (h *Hub) signers(own evm.Signer) (accounts []evm.Address, signers []evm.Replica, err error) {
	if h.between == nil {
		return []evm.Address{own.Address()}, []evm.Replica{own}, nil
	}
	for _, r := range h.cfg.Replicas {
		var account evm.Address
		if err := account.UnmarshalText([]byte(r.Account)); err != nil {
			return nil, nil, fmt.Errorf("replicas: account of %s: want 0x and 40 hex digits", r.DID)
		}
		accounts = append(accounts, account)
		if r.DID != h.self.DID() {
			signers = append(signers, anchor.Colleague{Network: h.between, DID: r.DID, Account: account})
			continue
		}
		if account != own.Address() {
			return nil, nil, fmt.Errorf("replicas: the list says that this machine's account is %s, its key's is %s", account.Hex(), own.Address().Hex())
		}
		signers = append(signers, own)
	}
	return accounts, signers, nil
}

func (h *Hub) openDispatch(context.Context) error {
	var err error
	h.dispatch, err = dispatch.New(dispatch.Config{
		Registry: h.Reader, Log: h.log, Network: h.host, Verified: h.verified, Speaks: h.host.Speaks, Policy: h.cfg.Policy,
		Logger: h.cfg.Logger, Now: h.cfg.Now, Running: h.cfg.Queue.Running, RunningEach: h.cfg.Queue.RunningEach,
	})
	if err != nil {
		return err
	}
	h.timetable, err = timetable.New(timetable.Config{
		Registry: h.Reader, Log: h.log, Limits: h.cfg.Queue.limits(), Logger: h.cfg.Logger, Now: h.cfg.Now,
	})
	return err
}

// notify tells every part that follows the state that it changed.
func (h *Hub) notify() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// follow passes changes on.
func (h *Hub) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.changed:
		}
		revoked, err := h.admitted.refresh(ctx)
		if err != nil && ctx.Err() == nil {
			h.cfg.Logger.ErrorContext(ctx, "admissions not read", "err", err)
		}
		for _, did := range revoked {
			if err := h.host.Disconnect(did); err != nil {
				h.cfg.Logger.WarnContext(ctx, "revoked node not disconnected", "node", did, "err", err)
			}
		}
		h.announce()
		h.publisher.Wake()
		h.dispatch.Wake()
		if h.anchor != nil {
			h.anchor.Wake()
		}
	}
}

// Run runs the hub until ctx ends or a part fails, then stops all parts.
func (h *Hub) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return h.watch(running) })
	group.Go(func() error { return h.host.Run(running) })
	group.Go(func() error { return h.group.Run(running) })
	group.Go(func() error { return h.follow(running) })
	group.Go(func() error { return h.followLeader(running) })
	group.Go(func() error { return h.publisher.Run(running) })
	group.Go(func() error { return h.dispatch.Run(running) })
	group.Go(func() error { return h.timetable.Run(running) })
	if h.anchor != nil {
		group.Go(func() error { return h.anchor.Run(running) })
	}
	group.Go(func() error { return h.serveHTTP(running) })
	h.notify()
	return h.end(ctx, group.Wait())
}

// proposer proposes wherever the leader is.
func (h *Hub) proposer() anyLog { return anyLog{h.log, h.between} }

// Close releases what Open took. Run does it by itself.
func (h *Hub) Close() error {
	var errs []error
	if h.listener != nil {
		_ = h.listener.Close() // closed already after a clean stop
	}
	if h.host != nil {
		errs = append(errs, h.host.Close())
	}
	if h.replica != nil {
		errs = append(errs, h.replica.Close())
	}
	if h.between != nil {
		errs = append(errs, h.between.Close(), h.early.Wait())
	}
	if h.db != nil {
		errs = append(errs, h.db.Close())
	}
	return errors.Join(errs...)
}
