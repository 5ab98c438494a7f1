// Package api is a node's HTTP API, for the site itself: loading files,
// recording consents, and looking at how things stand.
//
// [New] makes the handler from parts that do the work. Everything but health,
// discovery and the status page needs a bearer token: the node's own, or one of a
// registered client that has the route's scope; the page is shown on loopback
// only, and holds counts, no record. Patients are named in requests
// and nowhere else: no answer, log line or metric repeats what was sent. The
// OpenAPI document is made from this code, served at /openapi.json and kept in
// protocol/openapi/node.json. Errors are problem documents (RFC 9457).
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
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/fhirapi"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/outbox"
	"github.com/trialmesh/trialmesh/node/redteam"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Loads takes files; ingest.Service is one.
type Loads interface {
	Uploads

	// AcceptOnce keeps a file and enqueues its load; both are durable when it
	// returns. The same key with the same content is the same job.
	AcceptOnce(ctx context.Context, key ingest.Key, name string, r io.Reader) (raw.Digest, ingest.JobID, error)

	Job(ctx context.Context, id ingest.JobID) (ingest.Job, error)
	Jobs(ctx context.Context, before ingest.JobID, limit int, only ...ingest.State) ([]ingest.Job, error)
	Problems(ctx context.Context, id ingest.JobID, offset, limit int) ([]ingest.Problem, error)

	// Retry makes a job that failed or was cancelled go on; Cancel ends one that
	// is not over. Refusals are of type problem.Error.
	Retry(ctx context.Context, id ingest.JobID) error
	Cancel(ctx context.Context, id ingest.JobID) error

	// Held returns what keeps all jobs waiting at the moment, nil if nothing does.
	Held() error
}

// Uploads takes files bit by bit. Refusals are of type problem.Error.
type Uploads interface {
	CreateUpload(ctx context.Context, key ingest.Key, name, metadata string, size int64) (ingest.Upload, error)

	// Upload and AppendUpload return an offset only of what is durable, and that of
	// the end only when the load is enqueued as well.
	Upload(ctx context.Context, id raw.PartialID) (ingest.Upload, error)
	AppendUpload(ctx context.Context, id raw.PartialID, offset int64, r io.Reader) (ingest.Upload, error)

	Uploads(ctx context.Context) ([]ingest.Upload, error)
	DropUpload(ctx context.Context, id raw.PartialID) error
}

// Consents records what participants signed.
type Consents interface {
	// RecordConsent takes a signed message about consent of the patient with
	// the given FHIR id. It is durable when RecordConsent returns; changed is
	// false if it was on record before. Refusals are of type problem.Error.
	RecordConsent(ctx context.Context, patient string, e message.Envelope) (changed bool, err error)
}

// Trail is the node's memory of decisions; audit.Trail is one.
type Trail interface {
	// Latest returns up to limit records, newest first.
	Latest(ctx context.Context, limit int) ([]audit.Record, error)
}

// Config configures the API. Token, Loads, Consents, Trail, Quality, Remaps, Series,
// Variables, Codes, Datasets, Status and Ready are required.
type Config struct {
	// Name is the node's in its network, for the title of the page.
	Name string

	// Token is the bearer token, at least 32 characters.
	Token string

	Access    Access // Defaults to no clients but the site itself.
	Loads     Loads
	Pulls     Pulls     // Defaults to none.
	Wearables Wearables // Defaults to none.
	Outbox    Outbox    // Defaults to none.
	Consents  Consents
	Approvals Approvals // Defaults to none.

	// Enrollments enrolls participants. Defaults to nobody.
	Enrollments Enrollments

	Trail   Trail
	Quality Quality

	// Remaps loads files again.
	Remaps Remaps

	// FHIR answers what is asked below fhirapi.Path by those who have the token.
	// Defaults to nothing being there.
	FHIR http.Handler

	// CDS answers what is asked below cdshooks.Path; it knows its callers itself.
	// Defaults to nothing being there.
	CDS http.Handler

	// RedTeam attacks the node's release gate. Defaults to no such route.
	RedTeam func(ctx context.Context) (redteam.Report, error)

	// Series returns what the node has time series of, by system and code.
	Series func(ctx context.Context) ([]Series, error)

	// Variables are the site's, with every version.
	Variables *variable.Store

	// Codes are the site's maps of its own codes, with every version.
	Codes *codemap.Store

	// Datasets are the site's named data sets.
	Datasets *dataset.Service

	// Status returns how the node stands.
	Status func(ctx context.Context) (Status, error)

	// RebuildIndex has the event index made anew in the background. Defaults to there
	// being none.
	RebuildIndex func()

	// Ready reports why the node cannot serve, nil if it can.
	Ready func(ctx context.Context) error

	// MaxFile is the size of an uploaded file in bytes. Defaults to 16 GiB.
	MaxFile int64

	// Metrics is shown at /metrics and gets the API's own. Defaults to a new one.
	Metrics *prometheus.Registry

	// Rate and Burst limit the requests of one client, as of package front.
	Rate  float64
	Burst int

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.
}

const (
	minToken        = 32
	maxBody         = 1 << 20   // bytes of an ordinary request
	maxConsents     = 256 << 20 // bytes of a list of consents
	maxObservations = 64 << 20  // bytes of one request with time series
	defaultMaxFile  = 16 << 30
)

func (c Config) withDefaults() Config {
	if c.MaxFile == 0 {
		c.MaxFile = defaultMaxFile
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Access == nil {
		c.Access = noAccess{}
	}
	if c.Pulls == nil {
		c.Pulls = noPulls{}
	}
	if c.Wearables == nil {
		c.Wearables = noWearables{}
	}
	if c.Approvals == nil {
		c.Approvals = noApprovals{}
	}
	if c.Enrollments == nil {
		c.Enrollments = noEnrollments{}
	}
	if c.Outbox == nil {
		c.Outbox = noOutbox{}
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
	case len(c.Token) < minToken:
		return fmt.Errorf("token: at least %d characters", minToken)
	case c.Loads == nil, c.Consents == nil, c.Trail == nil, c.Quality == nil, c.Remaps == nil, c.Series == nil, c.Variables == nil, c.Codes == nil, c.Datasets == nil, c.Status == nil, c.Ready == nil:
		return errors.New("loads, consents, trail, quality, remaps, series, variables, codes, datasets, status and ready are required")
	}
	return nil
}

// server holds what the handlers use.
type server struct {
	cfg    Config
	token  message.Digest // of the bearer token
	router *router.Router
}

// New returns the API's handler; it starts nothing.
func New(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("node api: %w", err)
	}
	s := &server{cfg: cfg, token: message.Sum([]byte(cfg.Token))}
	s.openRouter()
	s.routeAccess()
	s.routeLoads()
	s.routeUploads()
	s.routeSeries()
	s.routePulls()
	s.routeWearables()
	s.routeWriteback()
	s.routeVariables()
	s.routeUnits()
	s.routeCodes()
	s.routeDatasets()
	s.routeRemap()
	s.routeFHIR()
	s.routeCDS()
	s.routeQuality()
	s.routeRedTeam()
	s.routeConsents()
	s.routeEnrollments()
	s.routeApprovals()
	s.routeStatus()
	s.routePage()
	documentScopes(s.router.API.OpenAPI())
	if err := s.router.Seal(); err != nil {
		return nil, fmt.Errorf("node api: %w", err)
	}
	streams := map[string]int64{
		filesPath: cfg.MaxFile, uploadsPath + "/": cfg.MaxFile, observationsPath: maxObservations, consentsPath: maxConsents,
		variablesPath: maxReference, codesPath: maxReference, datasetsPath: maxDataset, writebackPath: outbox.MaxDocument,
	}
	for _, path := range fhirapi.Bodies() {
		streams[path] = fhirapi.MaxBody
	}
	handler, err := front.New(front.Config{
		Next: s.router, Rate: cfg.Rate, Burst: cfg.Burst, MaxBody: maxBody, Streams: streams,
		Metrics: cfg.Metrics, Log: cfg.Logger, Now: cfg.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("node api: %w", err)
	}
	return fhirapi.Outcomes(handler), nil
}
