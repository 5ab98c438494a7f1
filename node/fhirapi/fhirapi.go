// Package fhirapi is the FHIR R4 server of a node: other programs of the site push
// resources and read them back as they were.
//
// [New] makes a handler for all that is below [Path]; whoever mounts it puts the client
// into the context (access.With), and what its scopes do not allow is refused. A write is one transaction: the versions (localstore/fhirstore), the load of
// the same bytes (node/ingest) that makes OMOP rows of them, and a Provenance that says
// who and when. When the answer comes all of it is durable, or none is.
//
// What can be searched is one table, from which the CapabilityStatement is made too.
// Resources are checked as far as FHIR's JSON goes, not against profiles. Errors are
// OperationOutcomes ([Outcomes] makes them of problem documents) and repeat nothing
// that was sent. DESIGN.md says what is not done, and why.
package fhirapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// Path is where the API lies on its host.
const Path = "/fhir"

// Limits of requests, in bytes and entries.
const (
	MaxBody      = 8 << 20  // of a resource, transaction or batch
	maxForm      = 1 << 20  // of a search
	maxEntries   = 5000     // of a transaction
	maxBatch     = 1000     // entries of a batch
	maxAnswer    = 16 << 20 // of a batch, after which nothing more is done for it
	maxContext   = 1000     // resources that a load gets besides those that were sent
	maxPageBytes = 8 << 20  // of a page, beyond its first resource
)

// minMemory is the least Config.Memory: that of the largest transaction.
const minMemory = 4 * perBodyByte * MaxBody / 3

// Loads takes what was stored; ingest.Service is one.
type Loads interface {
	// Enqueue enqueues the load of a raw copy, in the transaction that names it.
	Enqueue(ctx context.Context, tx *sqldb.Tx, file raw.Digest, size int64, name string) (ingest.JobID, error)
}

// Trail is where reads are recorded; audit.Trail is one.
type Trail interface {
	// Add records a decision in the transaction that makes it hold.
	Add(ctx context.Context, tx *sqldb.Tx, r audit.Record) error
}

// Config configures the API. DB, Store, Loads and Trail are required.
type Config struct {
	DB    *sqldb.DB
	Store *fhirstore.Store
	Loads Loads
	Trail Trail

	// Memory is about what all requests take together, in bytes, at least 128 MiB. A
	// quarter of it is for bodies that are still arriving. Defaults to 160 MiB.
	Memory int64

	// Wait is how long a body may take to arrive, and a request wait for memory.
	// Defaults to 1 min.
	Wait time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// server holds what the handlers use.
type server struct {
	cfg     Config
	mux     *http.ServeMux
	memory  *memory             // nil if it does entries of a batch
	commits *semaphore.Weighted // one at a time: the store's lock does not wait for long
	entries http.Handler        // of batches
}

// New returns the API's handler; it starts nothing.
func New(cfg Config) (http.Handler, error) {
	if cfg.DB == nil || cfg.Store == nil || cfg.Loads == nil || cfg.Trail == nil {
		return nil, errors.New("fhirapi: db, store, loads and trail are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Memory == 0 {
		cfg.Memory = 160 << 20
	}
	if cfg.Wait == 0 {
		cfg.Wait = time.Minute
	}
	if cfg.Memory < minMemory || cfg.Wait < 0 {
		return nil, errors.New("fhirapi: memory must be 128 MiB or more, and the wait positive")
	}
	commits := semaphore.NewWeighted(1)
	entries := &server{cfg: cfg, commits: commits}
	s := &server{cfg: cfg, commits: commits, memory: newMemory(cfg.Memory, cfg.Wait), entries: entries.routes()}
	return s.routes(), nil
}

// routes makes the handler of all addresses.
func (s *server) routes() http.Handler {
	s.mux = http.NewServeMux()
	for pattern, handler := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /fhir/metadata":                            s.metadata,
		"POST /fhir":                                    s.taking(bundleCost, s.bundle),
		"POST /fhir/{$}":                                s.taking(bundleCost, s.bundle),
		"GET /fhir/{type}":                              s.searchGet,
		"POST /fhir/{type}":                             s.taking(resourceCost, s.create),
		"POST /fhir/{type}/_search":                     s.searchPost,
		"GET /fhir/{type}/{id}":                         s.read,
		"PUT /fhir/{type}/{id}":                         s.taking(resourceCost, s.update),
		"DELETE /fhir/{type}/{id}":                      s.delete,
		"GET /fhir/{type}/{id}/_history/{version}":      s.readVersion,
		"GET /fhir/Patient/{id}/" + everythingOperation: s.everything,
	} {
		s.mux.HandleFunc(pattern, s.handle(handler))
	}
	s.mux.HandleFunc(Path, s.handle(s.nowhere))
	s.mux.HandleFunc(Path+"/", s.handle(s.nowhere))
	return s.mux
}

// Bodies are the paths that take up to MaxBody bytes, one that ends in / with all that
// is one step below it.
func Bodies() []string {
	list := []string{Path, Path + "/"}
	for resourceType := range storable {
		list = append(list, Path+"/"+resourceType+"/")
	}
	return list
}

// handle adapts a handler: it negotiates the media type and writes errors.
func (s *server) handle(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := negotiate(r)
		if err == nil {
			err = handler(w, r)
		}
		if err != nil {
			refused := s.blame(r.Context(), r.Pattern, err)
			refused.challenge(w.Header())
			if refused.status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			writeJSON(w, refused.status, outcomeOf("error", refused))
		}
	}
}

// negotiate refuses a client that does not take JSON.
func negotiate(r *http.Request) error {
	if format := r.URL.Query().Get("_format"); format != "" {
		if kind, _, _ := strings.Cut(format, ";"); !isJSON(strings.ReplaceAll(kind, " ", "+")) && kind != "json" {
			return errAccept
		}
		return nil
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch kind = strings.TrimSpace(kind); {
		case kind == "" && accept == "", kind == "*/*", kind == "application/*", isJSON(kind):
			return nil
		}
	}
	return errAccept
}

// nowhere answers for what is no address of this API, or not with this method.
func (s *server) nowhere(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		try := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(try); strings.HasPrefix(pattern, method) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return errNoAddress
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return errMethod
}

// base is the address of the API as the client has it.
func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host + Path
	}
	return "http://" + r.Host + Path
}

// newID is a random UUID, RFC 9562 section 5.4.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// audit remembers that records were read, before they are.
func (s *server) audit(ctx context.Context, resourceType string, resources int) error {
	if resources == 0 {
		return nil
	}
	subject := fmt.Sprintf("fhir %s, %d", resourceType, resources)
	if client := access.From(ctx).Client(); client != "" {
		subject += ", client " + client
	}
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: s.cfg.Now(), Event: audit.RecordsRead, Subject: subject})
	})
}
