package fhirserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Manifest lists the files of an export.
type Manifest struct {
	// Time is as of when the server's data were exported. The next export asks for what
	// changed since.
	Time time.Time

	Output  []File // resources
	Deleted []File // bundles that say which resources are gone
	Errors  []File // OperationOutcomes: what went wrong, or is good to know
}

// File is a file of an export.
type File struct {
	Type  string // of its resources; empty if there are several, or the server does not say
	URL   string
	Token bool // Open has to send the token
}

// Limits of a manifest.
const (
	maxFiles = 100_000
	maxPages = 10_000
)

// page is a manifest, or one part of it, as a server sends it.
type page struct {
	Time   string      `json:"transactionTime"`
	Token  *bool       `json:"requiresAccessToken"`
	Output few[output] `json:"output"`

	Deleted few[output] `json:"deleted"`
	Error   few[output] `json:"error"`
	Outcome few[output] `json:"outcome"` // the name of error in version 3
	Link    few[link]   `json:"link"`
}

type output struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// typeName is what FHIR lets the name of a type be.
var typeName = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}$`)

// errLoop says that links lead in a circle.
var errLoop = errors.New("the server's links to a next page lead in a circle")

// manifest reads a manifest, whose first page is got, and the pages that follow.
//
// Source: HL7 Bulk Data Access 2.0, "Response - Complete Status"; pages as of version 3.
func (c *Client) manifest(ctx context.Context, got answer) (Manifest, error) {
	var m Manifest
	seen := make(map[string]bool)
	for {
		next, err := c.addPage(&m, got.text, got.at)
		switch {
		case err != nil:
			return m, fmt.Errorf("manifest: %w", err)
		case next == "":
			return m, nil
		case seen[next] || len(seen) == maxPages:
			return m, fmt.Errorf("manifest: %w", errLoop)
		}
		seen[next] = true
		if got, err = c.whole(ctx, request{what: "page of the manifest", method: http.MethodGet, url: next, accept: "application/json", token: true}); err != nil {
			return m, err
		}
	}
}

// addPage takes over what one page, from the URL at, lists, and returns the URL of the next
// one, empty for none.
func (c *Client) addPage(m *Manifest, text []byte, at *url.URL) (next string, err error) {
	var p page
	if err := unmarshal(text, &p); err != nil {
		return "", err
	}
	if err := c.add(m, p, at); err != nil {
		return "", err
	}
	return c.next(p.Link, at)
}

// next returns the URL of the next page, empty for none. A link to a part of the page itself
// says that the next one is to come some day.
func (c *Client) next(links few[link], at *url.URL) (string, error) {
	for _, l := range links {
		if l.Relation != "next" || strings.HasPrefix(l.URL, "#") {
			continue
		}
		u, err := c.resolve(at, l.URL)
		if err != nil {
			return "", err
		}
		return u.String(), nil
	}
	return "", nil
}

// add takes over what a page lists.
func (c *Client) add(m *Manifest, p page, at *url.URL) error {
	taken, err := time.Parse(time.RFC3339Nano, p.Time)
	switch {
	case err != nil:
		return errors.New("transactionTime is missing or no instant")
	case p.Token == nil:
		return errors.New("requiresAccessToken is missing")
	case m.Time.IsZero():
		m.Time = taken
	case taken.Before(m.Time):
		m.Time = taken // of pages that differ the earliest loses nothing
	}
	for _, list := range []struct {
		files *[]File
		what  string
		from  few[output]
	}{{&m.Output, "output", p.Output}, {&m.Deleted, "deleted", p.Deleted}, {&m.Errors, "error", p.Error}, {&m.Errors, "outcome", p.Outcome}} {
		for i, o := range list.from {
			u, err := c.resolve(at, o.URL)
			switch {
			case o.URL == "":
				return fmt.Errorf("%s[%d].url is missing", list.what, i)
			case err != nil:
				return fmt.Errorf("%s[%d].url: %w", list.what, i, err)
			case o.Type != "" && !typeName.MatchString(o.Type):
				return fmt.Errorf("%s[%d].type is no type of FHIR", list.what, i)
			}
			*list.files = append(*list.files, File{o.Type, u.String(), *p.Token})
		}
	}
	if len(m.Output)+len(m.Deleted)+len(m.Errors) > maxFiles {
		return fmt.Errorf("over %d files", maxFiles)
	}
	return nil
}
