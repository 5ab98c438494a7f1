package fhirserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Request says what to export.
type Request struct {
	// Group is the id of the group whose patients are exported. Empty for others.
	Group string

	// Patients exports what is of any patient. Without it and without a group it is all that
	// the server has.
	Patients bool

	Types   []string  // of resources. Defaults to all.
	Filters []string  // searches that resources of a type have to match, such as Observation?category=laboratory
	Since   time.Time // only what changed since; zero for all
}

// groupID is what FHIR lets an id be.
var groupID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

func (r Request) url(base *url.URL) (string, error) {
	u := base.JoinPath("$export")
	switch {
	case r.Group != "" && r.Patients:
		return "", errors.New("an export is of a group or of all patients, not both")
	case r.Group != "" && (!groupID.MatchString(r.Group) || strings.Trim(r.Group, ".") == ""):
		return "", errors.New("the group is not an id of FHIR")
	case r.Group != "":
		u = base.JoinPath("Group", r.Group, "$export")
	case r.Patients:
		u = base.JoinPath("Patient", "$export")
	}
	query := url.Values{"_outputFormat": {"application/fhir+ndjson"}}
	if len(r.Types) > 0 {
		query.Set("_type", strings.Join(r.Types, ","))
	}
	for _, filter := range r.Filters {
		query.Add("_typeFilter", filter)
	}
	if !r.Since.IsZero() {
		query.Set("_since", instant(r.Since))
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// instant writes a time as FHIR's type of that name.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Start asks for an export and returns the URL of its status. The server works on it until
// [Client.Delete] or until it tires of it.
//
// Source: HL7 Bulk Data Access 2.0, "Bulk Data Kick-off Request".
func (c *Client) Start(ctx context.Context, r Request) (status string, err error) {
	u, err := r.url(c.base)
	if err != nil {
		return "", err
	}
	resp, err := c.send(ctx, request{
		what: "request for an export", method: http.MethodGet, url: u, accept: "application/fhir+json",
		header: http.Header{"Prefer": {"respond-async"}}, token: true,
	})
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close() // may hold an OperationOutcome for people
	place := resp.Header.Get("Content-Location")
	if resp.StatusCode != http.StatusAccepted || place == "" {
		return "", errors.New("request for an export: the server did not say where its status is (202 with Content-Location)")
	}
	at, err := c.resolve(resp.Request.URL, place)
	if err != nil {
		return "", err
	}
	return at.String(), nil
}

// State is how far an export is.
type State struct {
	// Manifest is what was exported, nil while the server works on it.
	Manifest *Manifest

	Progress string        // as the server puts it, for people; may be empty
	Again    time.Duration // when to ask again
}

// Pauses between questions about an export.
const (
	firstPoll = 2 * time.Second
	maxPoll   = time.Minute
)

// Status asks how far an export is, for the asked'th time, from 1. The error is a
// [*StatusError] if the export failed or the server does not know it any more.
func (c *Client) Status(ctx context.Context, status string, asked int) (State, error) {
	got, err := c.whole(ctx, request{what: "status of the export", method: http.MethodGet, url: status, accept: "application/json", token: true})
	if err != nil {
		return State{}, err
	}
	if got.status == http.StatusAccepted {
		return State{Progress: readable(got.header.Get("X-Progress")), Again: c.nextPoll(got.header, asked)}, nil
	}
	m, err := c.manifest(ctx, got)
	if err != nil {
		return State{}, err
	}
	return State{Manifest: &m}, nil
}

// nextPoll is when to ask again for the status of an export.
func (c *Client) nextPoll(h http.Header, asked int) time.Duration {
	if d, said := c.retryAfter(h); said {
		return d
	}
	d := firstPoll
	for range min(asked, 10) - 1 {
		d = min(2*d, maxPoll)
	}
	return d
}

// maxProgress is how much of what a server says of its progress is told, in bytes.
const maxProgress = 100

// readable is what of a header can be shown.
func readable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxProgress)], "")
}

// Delete ends an export: the server may drop its files. One that it does not know (any more)
// is no error.
func (c *Client) Delete(ctx context.Context, status string) error {
	resp, err := c.send(ctx, request{what: "end of the export", method: http.MethodDelete, url: status, accept: "application/fhir+json", token: true})
	var refused *StatusError
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
