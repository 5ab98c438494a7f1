package pki

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// The paths of [Handler].
const (
	EnrollPath = "/v1/enroll"
	RenewPath  = "/v1/renew"
)

const maxBody = 64 << 10 // bytes of a request or an answer

// Handler serves POST /v1/enroll and POST /v1/renew. Both are open to the
// world, as a node has nothing but its invitation: put a rate limit in front.
// Errors go out as problem documents; what is not the client's fault is logged
// to log, without the request.
func Handler(a *Authority, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+EnrollPath, endpoint(log, parseEnrollRequest, a.Enroll))
	mux.Handle("POST "+RenewPath, endpoint(log, message.Parse, a.Renew))
	return mux
}

func endpoint[T any](log *slog.Logger, parse func([]byte) (T, error), act func(context.Context, T) (Issuance, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := func() (Issuance, error) {
			raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				return Issuance{}, ErrTooLarge
			}
			if err != nil {
				return Issuance{}, ErrMalformed
			}
			req, err := parse(raw)
			if err != nil {
				return Issuance{}, err
			}
			return act(r.Context(), req)
		}()
		if err != nil {
			doc := problem.From(err)
			if doc.Status >= http.StatusInternalServerError {
				log.ErrorContext(r.Context(), "certificate request failed", "route", r.Pattern, "err", err)
			}
			writeJSON(w, doc.Status, "application/problem+json", doc)
			return
		}
		writeJSON(w, http.StatusOK, "application/json", answer)
	})
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; nobody is left to tell
}

// parseEnrollRequest reads one JSON object with exactly the known fields.
func parseEnrollRequest(raw []byte) (EnrollRequest, error) {
	clean, err := canonical.Transform(raw) // refuses duplicate names and bad UTF-8
	if err != nil {
		return EnrollRequest{}, ErrMalformed
	}
	dec := json.NewDecoder(bytes.NewReader(clean))
	dec.DisallowUnknownFields()
	var req EnrollRequest
	if err := dec.Decode(&req); err != nil {
		return EnrollRequest{}, ErrMalformed
	}
	return req, nil
}
