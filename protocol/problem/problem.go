// Package problem carries errors across an organization's border as RFC 9457
// problem documents.
//
// An [Error] has a [Kind], which decides the status, a public sentence and,
// where a rule refused something, that rule's name. Whatever carries no Error
// becomes a plain 500, so a driver's message or a patient's value cannot leave
// in an error text.
package problem

import (
	"errors"
	"fmt"
	"net/http"
)

// Kind classifies an error for whoever has to act on it.
type Kind string

// The kinds, a closed list. Each is the last part of the document's type.
const (
	Invalid      Kind = "invalid"      // the input is wrong: change it
	Unauthorized Kind = "unauthorized" // no valid credential
	Forbidden    Kind = "forbidden"    // a credential that does not allow this
	NotFound     Kind = "not-found"    // no such thing
	Conflict     Kind = "conflict"     // contradicts what is already there
	TooLarge     Kind = "too-large"    // over a stated limit
	TooMany      Kind = "too-many"     // over a rate: try again later
	Withheld     Kind = "withheld"     // below a disclosure threshold
	Refused      Kind = "refused"      // a policy says no; Rule names it
	Unavailable  Kind = "unavailable"  // a part is out of reach: try again
	Internal     Kind = "internal"     // our fault; the log has the cause
)

const typePrefix = "urn:trialmesh:problem:"

var statuses = map[Kind]int{
	Invalid:      http.StatusUnprocessableEntity,
	Unauthorized: http.StatusUnauthorized,
	Forbidden:    http.StatusForbidden,
	NotFound:     http.StatusNotFound,
	Conflict:     http.StatusConflict,
	TooLarge:     http.StatusRequestEntityTooLarge,
	TooMany:      http.StatusTooManyRequests,
	Withheld:     http.StatusUnprocessableEntity,
	Refused:      http.StatusForbidden,
	Unavailable:  http.StatusServiceUnavailable,
	Internal:     http.StatusInternalServerError,
}

// Error is an error that may be shown outside. Public never repeats input, and Detail only
// a public name that whoever asks gave or may see, such as a trial's id.
type Error struct {
	Kind   Kind
	Public string
	Detail string // which identifier or field, and what to change; may be empty
	Rule   string // the refusing rule, for example "release.cell-threshold"; may be empty
}

// New returns an error of the given kind whose text may be shown to anyone.
func New(kind Kind, public string) *Error { return &Error{Kind: kind, Public: public} }

// Refusal returns a refusal by the named rule.
func Refusal(rule, public string) *Error {
	return &Error{Kind: Refused, Public: public, Rule: rule}
}

// With returns the error with a detail, which repeats no input but for names of the question's
// own. It still is the one it was made of.
func (e *Error) With(detail string) *Error {
	told := *e
	told.Detail = detail
	return &told
}

func (e *Error) Error() string {
	text := e.Public
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Rule != "" {
		text += fmt.Sprintf(" (rule %s)", e.Rule)
	}
	return text
}

// Is makes errors of the same kind, rule and text equal, whatever their detail, so that an
// error that crossed the network still matches its sentinel.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Public == e.Public && t.Rule == e.Rule
}

// Document is the RFC 9457 body, media type application/problem+json.
type Document struct {
	Type   string `json:"type" doc:"urn:trialmesh:problem: and the kind"`
	Title  string `json:"title" doc:"What happened, in a sentence that names no value of a record"`
	Status int    `json:"status" doc:"HTTP status"`
	Detail string `json:"detail,omitempty" doc:"Which identifier or field, and what to change"`
	Rule   string `json:"rule,omitempty" doc:"The rule that refused"`
}

// From returns the document to send for err. An error that carries no [Error]
// becomes a plain 500.
func From(err error) Document {
	var e *Error
	if !errors.As(err, &e) {
		return Document{Type: typePrefix + string(Internal), Title: "internal error", Status: http.StatusInternalServerError}
	}
	status, known := statuses[e.Kind]
	if !known {
		status = http.StatusInternalServerError
	}
	return Document{Type: typePrefix + string(e.Kind), Title: e.Public, Status: status, Detail: e.Detail, Rule: e.Rule}
}

// Err returns the error that d describes, so that a refusal survives the network.
func (d Document) Err() error {
	kind := Internal
	for k := range statuses {
		if d.Type == typePrefix+string(k) {
			kind = k
		}
	}
	return &Error{Kind: kind, Public: d.Title, Detail: d.Detail, Rule: d.Rule}
}
