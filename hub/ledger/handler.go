package ledger

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// NewHandler serves a log by the C2SP tlog-tiles API, for GET and HEAD, below
// whatever prefix the caller stripped. Tiles and bundles never change and may be
// cached for good; the checkpoint for a second. log hears of failures to read.
func NewHandler(src Source, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		if _, err := parseTilePath(path); err != nil && path != checkpointPath {
			http.Error(w, "not a path of the log", http.StatusNotFound)
			return
		}
		body, err := src.Read(r.Context(), path)
		switch {
		case errors.Is(err, ErrNotFound):
			http.Error(w, "no such file in the log", http.StatusNotFound)
			return
		case err != nil:
			log.ErrorContext(r.Context(), "ledger file not served", "err", err)
			http.Error(w, "the log cannot be read at the moment", http.StatusServiceUnavailable)
			return
		}
		h := w.Header()
		if path == checkpointPath {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("Cache-Control", "public, max-age=1")
		} else {
			h.Set("Content-Type", "application/octet-stream")
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // public data: a page elsewhere may verify it
		_, _ = w.Write(body)                      // nothing can be said to a reader that went away
	})
}
