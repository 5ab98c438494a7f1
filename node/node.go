// Package node joins the parts of a node: ingestion, consents, the query
// engine, the release gate, the peer that answers the hub, and the API. It holds
// the composition root and nothing that decides anything.
//
// [Init] makes a node's directory and enrolls it, [Open] puts its parts
// together, [Node.Run] runs them until its context ends. A node dials out only:
// the one port it opens is its API's, on loopback unless told otherwise.
package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/enrollment"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mllp"
	"github.com/trialmesh/trialmesh/node/outbox"
	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/node/pull"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/node/report"
	"github.com/trialmesh/trialmesh/node/wearable"
	wire "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Config configures a [Node]. Dir, Boards and Circuits are required.
type Config struct {
	// Dir is the node's directory, made by [Init].
	Dir string

	// DSN is the database: "sqlite:/path" or a "postgres://" URL. Defaults to
	// a SQLite file in Dir.
	DSN string

	// Raw is where raw copies are kept: an absolute path, or s3://bucket/prefix with
	// region and endpoint as parameters, see bucket.Config. Defaults to a folder in Dir.
	Raw string

	// Process is the name of this process if it only takes and does loads, beside the
	// one that is the node, on the same PostgreSQL and raw store; see DESIGN.md. It is
	// the same after a restart: lower-case letters, digits and hyphens, up to 32.
	// Defaults to none: this process is the node.
	Process string

	// Listen is where the API listens. Defaults to "127.0.0.1:0".
	Listen string

	// Secure says how the API is reached beyond loopback.
	Secure Secure

	// MLLP says where HL7 v2 messages are taken. Defaults to nowhere.
	MLLP MLLP

	// CDSOrigins are the web origins whose pages may call the CDS Hooks service.
	// Defaults to none.
	CDSOrigins []string

	// Boards are the ethics boards whose approvals count at this site.
	Boards []identity.DID

	// Policy is the site's own disclosure policy. Defaults to disclosure.Default, with rates.
	Policy disclosure.Policy

	// ApprovalPolicy is the bundle that decides which questions pass, wait for a
	// person or are refused: a folder or .tar.gz, see approval.Load. Defaults to the
	// policy of package approval.
	ApprovalPolicy string

	// Approvers are the people who may approve and refuse questions at this site.
	Approvers []identity.DID

	// Shape is that of the network's circuits. Defaults to circuits.Development.
	Shape circuits.Shape

	// Production refuses proving keys that one machine made.
	Production bool

	// Circuits is the folder where proving keys are cached.
	Circuits string

	// Prover makes proofs. Defaults to a zero-knowledge one with the keys that the hub
	// publishes. A simulation may have another, if its hub checks what that makes.
	Prover Prover

	// EpochWindow is how long a consent epoch holds. Defaults to 24 h.
	EpochWindow time.Duration

	// EpochPause is how long changes of consents are gathered, and between looks for columns that
	// were committed. Defaults to 2 s.
	EpochPause time.Duration

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.

	restoring bool // the database does not know its raw store yet
}

// Prover makes the proofs of a node: of its consents and of what answers used.
type Prover interface {
	consent.Prover
	peer.Prover
}

// processes are the names that a process beside the node may have.
var processes = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (c Config) withDefaults() Config {
	if c.DSN == "" {
		c.DSN = "sqlite:" + filepath.Join(c.Dir, dataFile)
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Policy == (disclosure.Policy{}) {
		c.Policy = disclosure.Default().WithRates()
	}
	if c.Shape == (circuits.Shape{}) {
		c.Shape = circuits.Development
	}
	if c.EpochWindow == 0 {
		c.EpochWindow = 24 * time.Hour
	}
	if c.EpochPause <= 0 {
		c.EpochPause = 2 * time.Second
	}
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
	case c.Circuits == "":
		return errors.New("circuits: the folder of the proving keys is required")
	case c.Process != "" && !processes.MatchString(c.Process):
		return errors.New("process: want a name of lower-case letters, digits and hyphens")
	case c.Process != "" && (!strings.HasPrefix(c.DSN, "postgres") || c.Raw == ""):
		return errors.New("process: a second process needs the node's PostgreSQL (database) and its raw store on a shared folder or in S3 (raw)")
	case c.EpochWindow < time.Minute || c.EpochWindow > 366*24*time.Hour:
		return errors.New("epoch window: one minute to one year")
	}
	for i, board := range c.Boards {
		if _, err := board.PublicKey(); err != nil {
			return fmt.Errorf("boards: entry %d is not a did:key", i)
		}
	}
	for i, approver := range c.Approvers {
		if _, err := approver.PublicKey(); err != nil {
			return fmt.Errorf("approvers: entry %d is not a did:key", i)
		}
	}
	return errors.Join(c.Policy.Validate(), c.Shape.Validate(), c.MLLP.validate(), c.Secure.validate(c.Listen))
}

// Node is a node with all its parts. Use its methods after [Open].
type Node struct {
	cfg       Config
	home      home
	held      atomic.Bool // restored and not yet resumed
	lock      *dirlock.Lock
	db        *sqldb.DB
	people    *omop.Store
	series    *series.Store
	datasets  *dataset.Store
	raw       *raw.Store
	resources *fhirstore.Store
	vocab     *vocab.Store
	queue     *jobs.Queue
	variables *variable.Store
	codes     *codemap.Store
	ingest    *ingest.Service
	pulls     *pull.Puller
	wearables *wearable.Service
	outbox    *outbox.Outbox
	quality   *report.Service
	trail     *audit.Trail
	consents  *consent.Book
	columns   *columns.Book
	screening *Screening
	gate      *release.Gate
	index     *eventindex.Index // nil of a process beside the node
	stale     chan struct{}     // tells followIndex to look at once
	approvals *approval.Desk
	host      *transport.Host
	network   *network
	cosigner  *cosign.Cosigner
	exchange  *cosign.Exchange
	group     *membership.Group
	peer      *peer.Peer
	publisher *consent.Publisher
	desk      *enrollment.Desk // of those who enroll; nil of a process beside the node
	renewer   *pki.Renewer
	metrics   *prometheus.Registry
	listener  net.Listener
	origin    string         // of the API, as clients are told it
	messages  *mllp.Listener // nil if there is none
	senders   net.Listener   // of messages
	server    *http.Server
}

// Open puts the parts together: stores, domain, network, listener. It binds the
// API's port and answers nobody before [Node.Run]. It fails if another process
// holds Dir.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n := &Node{cfg: cfg, metrics: prometheus.NewRegistry()}
	parts := []func(context.Context) error{n.openStores, n.openDomain, n.openPulls, n.openWearables, n.openOutbox, n.openNetwork, n.openPeer, n.openAPI, n.openMLLP}
	if cfg.Process != "" {
		parts = []func(context.Context) error{n.openStores, n.openDomain, n.openPulls, n.openWearables, n.openAPI, n.openMLLP}
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("node: %w", err), n.Close())
		}
	}
	return n, nil
}

func (n *Node) openStores(ctx context.Context) error {
	var err error
	if n.home, err = readHome(n.cfg.Dir); err != nil {
		return err
	}
	if n.lock, err = dirlock.Acquire(ctx, n.cfg.Dir); err != nil {
		return err
	}
	restored, err := Held(n.cfg.Dir)
	if err != nil {
		return err
	}
	if n.held.Store(!restored.IsZero()); n.held.Load() {
		n.cfg.Logger.WarnContext(ctx, "the node was restored from a backup: it answers and publishes nothing until node resume", "backup", restored)
	}
	if n.db, err = sqldb.Open(ctx, sqldb.Config{DSN: n.cfg.DSN}); err != nil {
		return err
	}
	if n.people, err = omop.Open(ctx, n.db); err != nil {
		return err
	}
	if n.series, err = series.Open(ctx, n.db, series.Config{}); err != nil {
		return err
	}
	if n.datasets, err = dataset.Open(ctx, n.db); err != nil {
		return err
	}
	if n.vocab, err = vocab.Open(ctx, n.db); err != nil {
		return err
	}
	if err := jobs.Migrate(ctx, n.db); err != nil {
		return err
	}
	if n.raw, err = n.cfg.rememberedRaw(ctx, n.db); err != nil {
		return err
	}
	n.resources, err = fhirstore.Open(ctx, fhirstore.Config{DB: n.db, Raw: n.raw, Secret: n.home.secret[:]})
	return err
}

func (n *Node) openDomain(ctx context.Context) error {
	var err error
	if n.trail, err = audit.Open(ctx, n.db, n.cfg.Logger); err != nil {
		return err
	}
	if n.queue, err = jobs.New(jobs.Config{DB: n.db, Name: n.cfg.Process, Log: n.cfg.Logger, Now: n.cfg.Now}); err != nil {
		return err
	}
	tables, err := Mappings(n.cfg.Dir)
	if err != nil {
		return err
	}
	if err := n.openReference(ctx); err != nil {
		return err
	}
	n.ingest, err = ingest.Open(ctx, ingest.Config{
		Tables: tables, Variables: n.variables, Codes: n.codes, Concerned: n.concerned, MayMerge: n.mayMerge,
		DB: n.db, Store: n.people, Series: n.series, Raw: n.raw, Vocabulary: n.vocab, Jobs: n.queue, Trail: n.trail, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.quality, err = report.Open(ctx, report.Config{
		DB: n.db, Store: n.people, Series: n.series, Vocabulary: n.vocab, Variables: n.variables, Settings: filepath.Join(n.cfg.Dir, report.SettingsFile),
		Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	if n.gate, err = release.Open(ctx, n.db); err != nil {
		return err
	}
	policy, err := approval.Load(ctx, n.cfg.ApprovalPolicy)
	if err != nil {
		return err
	}
	n.approvals, err = approval.Open(ctx, approval.Config{
		DB: n.db, Node: n.DID(), Policy: policy, Approvers: n.cfg.Approvers, Names: query.Concepts{Store: n.vocab},
		Trail: n.trail, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.consents, err = consent.Open(ctx, consent.Config{
		DB: n.db, Key: n.home.key, Trail: n.trail, Secret: n.home.secret, Shape: n.cfg.Shape, Window: n.cfg.EpochWindow,
	})
	if err != nil {
		return err
	}
	n.columns, err = columns.Open(ctx, columns.Config{
		DB: n.db, Key: n.home.key, Trail: n.trail, Consents: n.consents, Datasets: n.datasets, Secret: n.home.secret, Shape: n.cfg.Shape,
	})
	if err != nil {
		return err
	}
	if n.screening, err = openScreening(ctx, n.db, n.trail); err != nil {
		return err
	}
	return n.openIndex()
}

func (n *Node) openNetwork(context.Context) error {
	var err error
	n.host, err = transport.New(transport.Config{
		Key: n.home.key, Hub: n.home.hub.Addresses, Log: n.cfg.Logger,
		Admit: func(did identity.DID) bool { return n.network != nil && n.network.Admits(did) },
		OnPeer: func(_ identity.DID, connected bool) {
			if connected {
				n.exchange.Wake()
			}
		},
	})
	if err != nil {
		return err
	}
	knows := recollection{self: n.DID(), decided: n.decided, hold: n.holdForgotten}
	if knows.resumed, err = resumed(n.cfg.Dir); err != nil {
		return err
	}
	n.network, err = newNetwork(n.host, n.home, n.cfg, filepath.Join(n.cfg.Dir, networkFile), knows, func() { n.publisher.Wake() })
	if err != nil {
		return err
	}
	n.cosigner, err = cosign.Open(cosign.Config{
		Dir: filepath.Join(n.cfg.Dir, ledgerDir), Key: n.home.key, Trust: n.network.ledger, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.exchange = cosign.NewExchange(cosign.ExchangeConfig{
		Cosigner: n.cosigner, Network: n.host, Hub: n.host.Hub(), Peers: n.network.others, Log: n.cfg.Logger,
	})
	n.group, err = membership.New(membership.Config{
		ID: n.home.key.DID(), Network: n.host, Seeds: []identity.DID{n.host.Hub()}, Admit: n.network.Admits, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.renewer, err = newRenewer(n.home, n.network.urls, filepath.Join(n.cfg.Dir, certificateFile), n.cfg)
	return err
}

func (n *Node) openPeer(ctx context.Context) error {
	n.publisher = consent.NewPublisher(consent.PublisherConfig{
		Book: n.consents, Pause: n.cfg.EpochPause, Log: n.cfg.Logger, Now: n.cfg.Now,
		Proving: func() (consent.Prover, message.Digest, error) { return n.network.EpochProver() },
		Send:    n.sendConsents,
	})
	var err error
	n.peer, err = peer.Open(ctx, peer.Config{
		DB: n.db, Key: n.home.key, Hub: n.host.Hub(), Boards: n.cfg.Boards, Policy: n.cfg.Policy,
		Consents: n.consents, Columns: n.columns, Gate: n.gate, Trail: n.trail, Approvals: n.approvals,
		Engine:  query.NewEngine(query.Config{DB: n.db, Store: n.people, Index: n.index, Vocabulary: query.Concepts{Store: n.vocab}, Units: units{n.vocab}, Datasets: n.datasets}),
		Proving: n.proving, Believed: n.cosigner.Forked, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.host.HandleCall(protocol.TaskProtocol, n.peer.Take)
	n.desk, err = enrollment.Open(ctx, enrollment.Config{
		DB: n.db, Consents: n.consents, Trail: n.trail, Network: n.host, Boards: n.cfg.Boards, Patient: n.patient,
		PersonKey: n.network.PersonKey, Proving: n.network.Enrolling, Publish: n.publisher.Wake, Pause: n.cfg.EpochPause, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	return err
}

// sendConsents brings an epoch, or changes of leaves, to the hub.
func (n *Node) sendConsents(ctx context.Context, d consent.Draft) (int64, error) {
	protocol, body := wire.EpochProtocol, any(d.Envelope)
	if !d.IsEpoch() {
		protocol, body = wire.ChangesProtocol, wire.Batch{Envelope: d.Envelope, Leaves: d.Leaves}
	}
	return n.record(ctx, protocol, body)
}

// record has the hub put something on the ledger and returns its leaf.
func (n *Node) record(ctx context.Context, protocol string, body any) (int64, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	reply, err := n.host.Call(ctx, n.host.Hub(), protocol, raw)
	if err != nil {
		return 0, err
	}
	var recorded wire.Recorded
	if err := json.Unmarshal(reply, &recorded); err != nil {
		return 0, errors.New("the hub's answer to what it was to record is malformed")
	}
	n.desk.Wake()
	return recorded.LedgerIndex, nil
}

// units looks units up in the site's vocabulary.
type units struct{ vocab *vocab.Store }

// UnitConcept returns the standard concept of a UCUM code, 0 for none.
func (u units) UnitConcept(ctx context.Context, ucum string) (int64, error) {
	mapping, err := u.vocab.Lookup(ctx, "UCUM", ucum)
	if err != nil || len(mapping.Standard) == 0 {
		return 0, err
	}
	return mapping.Standard[0].ID, nil
}

// DID returns the node's name.
func (n *Node) DID() identity.DID { return n.home.key.DID() }

// Connected reports whether the hub is reached.
func (n *Node) Connected() bool { return n.host != nil && n.host.Connected(n.host.Hub()) }

// Run runs the node until ctx ends or a part fails, then stops all parts.
func (n *Node) Run(ctx context.Context) error {
	if err := n.queue.Claim(ctx); errors.Is(err, jobs.ErrRunning) { // runJobs tries again what else there may be
		return errors.Join(fmt.Errorf("node: %w: %w", errTwice, err), n.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	if n.cfg.Process == "" {
		group.Go(func() error { return n.host.Run(ctx) })
		group.Go(func() error { return n.network.Run(ctx) })
		group.Go(func() error { return n.exchange.Run(ctx) })
		group.Go(func() error { return n.group.Run(ctx) })
		group.Go(func() error { return n.pulls.Run(ctx) })
		group.Go(func() error { return n.pullWearables(ctx) })
		group.Go(func() error { return n.sweepRaw(ctx) })
		group.Go(func() error { return n.forgetValues(ctx) })
		group.Go(func() error { return n.publish(ctx) })
		group.Go(func() error { return n.publishColumns(ctx) })
		group.Go(func() error { return n.enroll(ctx) })
		group.Go(func() error { return n.peer.Run(ctx) })
		group.Go(func() error { return n.renew(ctx) })
		group.Go(func() error { return n.index.Run(ctx) })
		group.Go(func() error { return n.followIndex(ctx) })
	}
	group.Go(func() error { return n.runJobs(ctx) })
	group.Go(func() error { return n.mergeSeries(ctx) })
	group.Go(func() error { return n.serveHTTP(ctx) })
	group.Go(func() error { return n.serveMLLP(ctx) })
	err := group.Wait()
	return errors.Join(err, n.Close())
}

// renew keeps the certificate fresh. A node whose certificate ran out or was
// revoked goes on with what is the site's own.
func (n *Node) renew(ctx context.Context) error {
	if err := n.renewer.Run(ctx); err != nil && ctx.Err() == nil {
		n.cfg.Logger.ErrorContext(ctx, "the node's certificate is not renewed any more: get an invitation under the same name and run node enroll", "err", err)
	}
	return nil
}

// errTwice keeps a copy of a node from the hub.
var errTwice = errors.New("another process runs on the node's database under the same name: give this one a name of its own (process in node.yaml), or stop the other")

// lockPause is how long a node waits before it tries its queue again.
const lockPause = time.Second

// runJobs runs the queue. A database that another process holds for a while
// is no reason to end the node.
func (n *Node) runJobs(ctx context.Context) error {
	for {
		err := n.ingest.Run(ctx)
		if err == nil || ctx.Err() != nil || !errors.Is(err, sqldb.ErrLocked) && !errors.Is(err, sqldb.ErrUnavailable) {
			return err
		}
		n.cfg.Logger.WarnContext(ctx, "queue not started, trying again", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lockPause):
		}
	}
}

// Close releases what Open took. Run does it by itself.
func (n *Node) Close() error {
	var errs []error
	if n.listener != nil {
		_ = n.listener.Close() // closed already after a clean stop
	}
	if n.senders != nil {
		_ = n.senders.Close() // likewise
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.queue != nil {
		n.queue.Release() // it holds a connection
	}
	if n.index != nil {
		errs = append(errs, n.index.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.lock != nil {
		_ = n.lock.Release() // released already after a clean stop
	}
	return errors.Join(errs...)
}
