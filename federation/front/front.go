// Package front stands before the HTTP APIs of hub and nodes: what both have
// to do for every request, whatever it asks.
//
// [New] wraps a handler with a limit on the size and time of bodies, a rate
// limit per client, security headers, metrics and a log that holds the route's
// template, the status and the time taken: never a path, a query string or a
// body, which may name a patient. [WriteProblem] is the one place where an
// error becomes an answer.
//
// It knows no router: a handler says which route it took by setting the
// request's Pattern. Package router has the one of both; routes and tokens are of
// node/api and hub/api.
package front

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Config configures a [Front]. Next is required.
type Config struct {
	Next http.Handler

	// Rate is how many requests a second a client may send in the long run,
	// and Burst how many at once. A client is an IPv4 address or an IPv6 /64.
	// Default to 100 and 1,000.
	Rate  float64
	Burst int

	// MaxBody is the largest body in bytes. Defaults to 4 MiB.
	MaxBody int64

	// BodyTime is how long a body may take to arrive. Defaults to 30 s.
	BodyTime time.Duration

	// Streams are the paths whose bodies may be larger, with their limit in
	// bytes. A path is exact, or ends in / and stands for those one step below
	// it. Such a body may take any time as long as it never pauses for BodyTime.
	Streams map[string]int64

	// Metrics is where request times are registered, if set.
	Metrics prometheus.Registerer

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

const (
	defaultRate     = 100
	defaultBurst    = 1000
	defaultMaxBody  = 4 << 20
	defaultBodyTime = 30 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Rate == 0 {
		c.Rate = defaultRate
	}
	if c.Burst == 0 {
		c.Burst = defaultBurst
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.BodyTime == 0 {
		c.BodyTime = defaultBodyTime
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Next == nil:
		return errors.New("next is required")
	case c.Rate < 0, c.Burst < 1, c.MaxBody < 1, c.BodyTime < 0:
		return errors.New("limits must be positive")
	}
	return nil
}

// Front is the wrapped handler.
type Front struct {
	cfg     Config
	clients *clients
	seconds *prometheus.HistogramVec
}

// New returns a Front; it starts nothing.
func New(cfg Config) (*Front, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("front: %w", err)
	}
	f := &Front{cfg: cfg, clients: newClients(cfg.Rate, cfg.Burst), seconds: newSeconds()}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(f.seconds); err != nil {
			return nil, fmt.Errorf("front: register metrics: %w", err)
		}
	}
	return f, nil
}

// ErrRate is what a client hears that asks too often.
var ErrRate = problem.New(problem.TooMany, "too many requests from this address; try again later")

// ErrBody reports a body over the limit.
var ErrBody = problem.New(problem.TooLarge, "the request body is larger than this address takes")

// ServeHTTP serves one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := f.cfg.Now()
	answer := &answer{ResponseWriter: w, connection: http.NewResponseController(w)}
	defer func() { f.record(r, answer, f.cfg.Now().Sub(start)) }()
	secure(w.Header())
	if !f.clients.allow(clientOf(r.RemoteAddr), start) {
		w.Header().Set("Retry-After", "1")
		f.WriteProblem(answer, r, ErrRate)
		return
	}
	if !f.limitBody(answer, r) {
		f.WriteProblem(answer, r, ErrBody)
		return
	}
	defer f.recover(answer, r)
	f.cfg.Next.ServeHTTP(answer, r)
}

// recover answers for a handler that panicked. What it panicked with may hold
// input and is not logged; the stack holds none.
func (f *Front) recover(w *answer, r *http.Request) {
	switch cause := recover(); cause {
	case nil:
		return
	case http.ErrAbortHandler:
		panic(cause)
	}
	f.cfg.Log.ErrorContext(r.Context(), "request panicked", "route", route(r), "stack", string(debug.Stack()))
	if w.status == 0 {
		WriteProblem(w, problem.From(errors.New("panic")))
	}
}

// record writes the log line and the metrics of a request.
func (f *Front) record(r *http.Request, w *answer, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	f.seconds.WithLabelValues(route(r), class(status)).Observe(took.Seconds())
	level := slog.LevelInfo // whoever audits looks for what may have changed something
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		level = slog.LevelDebug
	}
	f.cfg.Log.Log(r.Context(), level, "request", "route", route(r), "status", status, "dur", took)
}
