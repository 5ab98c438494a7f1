package front

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// answer notes the status that a handler wrote, and gives up on a client that
// does not take what it asked for.
type answer struct {
	http.ResponseWriter
	connection *http.ResponseController
	status     int
}

// takeTime is how long a client may take for each piece of an answer.
const takeTime = 30 * time.Second

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	// Deadlines of connections are of the wall clock; a recorder in a test has none.
	_ = a.connection.SetWriteDeadline(time.Now().Add(takeTime))
	return a.ResponseWriter.Write(p)
}

// Flush sends what is buffered, for answers that come line by line.
func (a *answer) Flush() { _ = a.connection.Flush() }

// Unwrap lets [http.ResponseController] reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// secure sets the headers of every answer. Pages may load their stylesheet
// and nothing else; no script runs.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // handlers of what never changes say otherwise
}

// WriteProblem answers with err and logs its cause when that is our fault.
func (f *Front) WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	WriteProblem(w, Blame(r.Context(), f.cfg.Log, route(r), err))
}

// Blame returns the document for err, and logs err if it is not the client's
// fault. A client that went away is nobody's.
func Blame(ctx context.Context, log *slog.Logger, route string, err error) problem.Document {
	doc := problem.From(err)
	if doc.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		log.ErrorContext(ctx, "request failed", "route", route, "err", err)
	}
	return doc
}

// WriteProblem writes a problem document (RFC 9457).
func WriteProblem(w http.ResponseWriter, doc problem.Document) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if doc.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(doc.Status)
	_ = json.NewEncoder(w).Encode(doc) // the client is gone; nobody is left to tell
}

// BodyError returns what to answer when reading a request's body failed. The
// cause stays away: it is the client's connection or its size.
func BodyError(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return ErrBody
	}
	return problem.New(problem.Invalid, "the request body could not be read to its end")
}

// route is the template of the route that was taken. A raw path never gets
// into a log or a label.
func route(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	return r.Pattern
}

func newSeconds() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "trialmesh_http_request_seconds",
		Help:    "Time taken by requests, by route template and class of status.",
		Buckets: []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60},
	}, []string{"route", "status"})
}

// class is the class of a status, for example "4xx".
func class(status int) string { return string(rune('0'+status/100)) + "xx" }
