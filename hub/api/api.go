// Package api is the hub's HTTPS API: what the public may read, and what
// sponsors, researchers and operators may do with a bearer token.
//
// [New] makes the handler from parts that do the work; the package decides
// only who may call what, and how it looks on the wire. Reads need no token:
// everything the hub shows is public, so that anyone can check it. The OpenAPI
// document is made from this code, served at /openapi.json and kept in
// protocol/openapi/hub.json. Errors are problem documents (RFC 9457).
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/federation/front/router"
	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Log commits to the replicated log.
type Log interface {
	// Propose commits a command and returns what it did. A refused command
	// gives a problem.Error.
	Propose(ctx context.Context, body registry.Body) (registry.Outcome, error)
}

// Operator does what the hub's operator asks for.
type Operator interface {
	// Invite keeps a name for a node and returns the secret text that lets it
	// in once, and until when.
	Invite(ctx context.Context, name, organization string, ttl time.Duration) (string, time.Time, error)

	// IssueToken returns a new bearer token of this API.
	IssueToken(ctx context.Context, holder identity.DID, role registry.Role, ttl time.Duration) (string, error)
}

// Network tells how the network stands at this replica.
type Network interface {
	// Trust returns what readers have to know beforehand.
	Trust() entry.Trust

	// Present returns who is there, as far as this replica knows.
	Present() []membership.Member

	// Speaks returns the protocol versions of a node that is connected to this replica.
	Speaks(node identity.DID) (version.Range, bool)

	// Mismatch returns why a node and the hub share no protocol version, nil if they do or
	// the node is not connected.
	Mismatch(node identity.DID) error

	// Ready reports why this replica cannot serve, nil if it can.
	Ready(ctx context.Context) error

	// Changed returns a channel that is closed after the next change of state.
	Changed() <-chan struct{}

	// ChangedOf is the same for the result and the proofs of one question. done is called
	// when nobody waits for the channel any more.
	ChangedOf(id query.ID) (changed <-chan struct{}, done func())
}

// ProvingKey is a circuit's proving key.
type ProvingKey interface {
	io.WriterTo // writes the same bytes every time
	Size() int64
}

// Config configures the API. Registry, Ledger, Log, Operator, Network,
// Certificates and ProvingKey are required.
type Config struct {
	Registry *registry.Reader
	Ledger   ledger.Source
	Log      Log
	Operator Operator
	Network  Network

	// Certificates serves POST /v1/enroll and POST /v1/renew.
	Certificates http.Handler

	// ProvingKey returns the key of a circuit by the digest of its verifying key.
	ProvingKey func(circuit message.Digest) (ProvingKey, bool)

	// Metrics is shown at /metrics and gets the API's own. Defaults to a new one.
	Metrics *prometheus.Registry

	// Queue bounds the questions that are open. Defaults to registry.DefaultQueue.
	Queue registry.QueueLimits

	// Rate and Burst limit the requests of one client, as of package front.
	Rate  float64
	Burst int

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.

	streamLife, beatTime time.Duration // of event streams; only tests change them
}

func (c Config) withDefaults() Config {
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Queue == (registry.QueueLimits{}) {
		c.Queue = registry.DefaultQueue
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.streamLife == 0 {
		c.streamLife = streamLife
	}
	if c.beatTime == 0 {
		c.beatTime = beatTime
	}
	return c
}

func (c Config) validate() error {
	if c.Registry == nil || c.Ledger == nil || c.Log == nil || c.Operator == nil || c.Network == nil || c.Certificates == nil || c.ProvingKey == nil {
		return errors.New("registry, ledger, log, operator, network, certificates and proving keys are required")
	}
	return nil
}

// server holds what the handlers use.
type server struct {
	cfg     Config
	router  *router.Router
	streams *streams
}

// New returns the API's handler; it starts nothing.
func New(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("hub api: %w", err)
	}
	s := &server{cfg: cfg, streams: newStreams()}
	s.openRouter()
	s.routeReads()
	s.routeQuestions()
	s.routeEvents()
	s.routeStudies()
	s.routeSchedules()
	s.routeActions()
	s.routeFiles()
	s.routePage()
	if err := s.router.Seal(); err != nil {
		return nil, fmt.Errorf("hub api: %w", err)
	}
	handler, err := front.New(front.Config{
		Next: s.router, Rate: cfg.Rate, Burst: cfg.Burst, MaxBody: maxBody + 1, Metrics: cfg.Metrics, Log: cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("hub api: %w", err)
	}
	return handler, nil
}

// maxBody bounds request bodies, in bytes: a trial with its approvals.
const maxBody = 4 << 20
