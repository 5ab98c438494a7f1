package fhirapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// mediaType is that of all answers.
const mediaType = "application/fhir+json"

// refusal is an error that is told: a status, a code of
// https://hl7.org/fhir/R4/valueset-issue-type.html, a sentence of ours and where it
// applies. None of them holds a value of a record.
type refusal struct {
	status     int
	code       string
	text       string
	expression string
	scope      string // that the client lacks
}

func (r *refusal) Error() string { return r.text }

// at is r for a place in the request.
func (r *refusal) at(expression string) *refusal {
	placed := *r
	placed.expression = expression
	return &placed
}

func refuse(status int, code, text string) *refusal {
	return &refusal{status: status, code: code, text: text}
}

var (
	errNoAddress = refuse(http.StatusNotFound, "not-found", "no such address in this API")
	errMethod    = refuse(http.StatusMethodNotAllowed, "not-supported", "this address does not take that method")
	errType      = refuse(http.StatusNotFound, "not-supported", "not a type of resource of FHIR R4 that can be stored")
	errID        = refuse(http.StatusBadRequest, "value", "an id is 1 to 64 letters, digits, - or .")
	errUnknown   = refuse(http.StatusNotFound, "not-found", "no such resource")
	errGone      = refuse(http.StatusGone, "deleted", "the resource is deleted")
	errAccept    = refuse(http.StatusNotAcceptable, "not-supported", "answers are application/fhir+json only")
	errMedia     = refuse(http.StatusUnsupportedMediaType, "not-supported", "the body must be application/fhir+json")
	errLarge     = refuse(http.StatusRequestEntityTooLarge, "too-long", "the request body is larger than this address takes")
	errBody      = refuse(http.StatusBadRequest, "incomplete", "the request body could not be read to its end")
	errBusy      = refuse(http.StatusServiceUnavailable, "transient", "the node's database is busy; nothing was stored, try again")
	errFull      = refuse(http.StatusServiceUnavailable, "no-store", "the node has no room left; nothing was stored")
)

// told is what is told of err, and false if it is our fault and for the log.
func told(err error) (*refusal, bool) {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r, true
	case errors.Is(err, fhirstore.ErrNotFound):
		return errUnknown, true
	case errors.Is(err, sqldb.ErrLocked):
		return errBusy, true
	case errors.Is(err, sqldb.ErrFull):
		return errFull, false
	}
	return refuse(http.StatusInternalServerError, "exception", "internal error"), false
}

// syntax are the rules of JSON itself; the others are about what FHIR wants.
var syntax = map[fhir.Rule]bool{
	fhir.RuleMalformedJSON: true, fhir.RuleTruncated: true, fhir.RuleTooLarge: true, fhir.RuleTooDeep: true, fhir.RuleDuplicateKey: true,
	fhir.RuleInvalidUTF8: true, fhir.RuleForbiddenCharacter: true,
}

// ofProblem is what is told of a problem that the reader of records found.
func ofProblem(p *fhir.Problem, expression string) *refusal {
	text := strings.TrimSuffix("rule "+string(p.Rule)+": "+p.Detail, ": ")
	if syntax[p.Rule] {
		return refuse(http.StatusBadRequest, "structure", text).at(expression)
	}
	return refuse(http.StatusUnprocessableEntity, "value", text).at(expression)
}

// issue is part of an OperationOutcome.
type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics string   `json:"diagnostics"`
	Expression  []string `json:"expression,omitempty"`
}

// operationOutcome is the resource that says what happened.
type operationOutcome struct {
	ResourceType string  `json:"resourceType"`
	Issue        []issue `json:"issue"`
}

func outcomeOf(severity string, r *refusal) operationOutcome {
	i := issue{Severity: severity, Code: r.code, Diagnostics: r.text}
	if r.expression != "" {
		i.Expression = []string{r.expression}
	}
	return operationOutcome{"OperationOutcome", []issue{i}}
}

// blame is [told] with a line in the log of what is our fault.
func (s *server) blame(ctx context.Context, route string, err error) *refusal {
	r, public := told(err)
	if !public && ctx.Err() == nil {
		s.cfg.Log.ErrorContext(ctx, "request failed", "route", route, "err", err)
	}
	return r
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = encode(w, v) // the client is gone; nobody is left to tell
}

// Outcomes makes OperationOutcomes of the problem documents that next answers with
// below [Path], so that whatever stands before the API speaks FHIR as well.
func Outcomes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path && !strings.HasPrefix(r.URL.Path, Path+"/") {
			next.ServeHTTP(w, r)
			return
		}
		t := &translator{ResponseWriter: w}
		next.ServeHTTP(t, r)
		t.finish()
	})
}

// translator holds problem documents back.
type translator struct {
	http.ResponseWriter
	status int // of a problem document
	begun  bool
	body   strings.Builder
}

const maxProblem = 64 << 10

// WriteHeader implements [http.ResponseWriter].
func (t *translator) WriteHeader(status int) {
	if !t.begun && t.Header().Get("Content-Type") == "application/problem+json" {
		t.status = status
		return
	}
	t.begun = t.begun || status >= http.StatusOK
	t.ResponseWriter.WriteHeader(status)
}

// Write implements [io.Writer].
func (t *translator) Write(p []byte) (int, error) {
	if t.status == 0 {
		t.begun = true
		return t.ResponseWriter.Write(p)
	}
	if t.body.Len()+len(p) > maxProblem {
		return 0, io.ErrShortWrite
	}
	return t.body.Write(p)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (t *translator) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// codes are the codes of issues for the statuses of problem documents.
var codes = map[int]string{
	http.StatusUnauthorized: "login", http.StatusForbidden: "forbidden", http.StatusNotFound: "not-found", http.StatusMethodNotAllowed: "not-supported",
	http.StatusConflict: "conflict", http.StatusRequestEntityTooLarge: "too-long", http.StatusTooManyRequests: "throttled", http.StatusServiceUnavailable: "transient",
}

// finish writes what was held back.
func (t *translator) finish() {
	if t.status == 0 {
		return
	}
	var doc problem.Document
	_ = json.Unmarshal([]byte(t.body.String()), &doc) // an empty text is told then
	code, known := codes[t.status]
	if !known {
		code = "exception"
	}
	t.Header().Del("Content-Length")
	writeJSON(t.ResponseWriter, t.status, outcomeOf("error", refuse(t.status, code, doc.Title)))
}
