package fhirserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Identifier names a resource in the business of whoever gave it, whatever id a server knows
// it by.
type Identifier struct {
	System string `json:"system"` // a URI
	Value  string `json:"value"`
}

// query is the search that finds it.
func (i Identifier) query() string {
	return url.Values{"identifier": {i.System + "|" + i.Value}}.Encode()
}

// Created is a resource that a server has been sent.
type Created struct {
	Reference string // such as Task/17; empty if the server does not say
	Found     bool   // the server had it already
}

// Create has the server keep a resource of a type, which carries the identifier, unless it has
// one with that identifier. It is sent once: on an error for which [Passing] is true, or in
// another process, call it again with repeat.
//
// A server of FHIR's conditional create keeps one resource however often this is called. Of
// one that does not say that it is such a server, the resource is looked for by its identifier
// before it is sent with repeat; it can be there twice only if somebody else sends it in the
// same moment.
//
// Source: FHIR R4, https://hl7.org/fhir/R4/http.html#ccreate.
func (c *Client) Create(ctx context.Context, resourceType string, id Identifier, resource []byte, repeat bool) (Created, error) {
	if !typeName.MatchString(resourceType) || id.System == "" || id.Value == "" {
		return Created{}, errors.New("fhir server: a create needs a type and an identifier")
	}
	if repeat {
		conditional, err := c.createsConditionally(ctx, resourceType)
		if err != nil {
			return Created{}, err
		}
		if !conditional {
			if found, err := c.find(ctx, resourceType, id); err != nil || found.Found {
				return found, err
			}
		}
	}
	what := "create of a " + resourceType
	resp, err := c.send(ctx, request{
		what: what, method: http.MethodPost, url: c.base.JoinPath(resourceType).String(), accept: "application/fhir+json", token: true, single: true,
		header: http.Header{"If-None-Exist": {id.query()}, "Prefer": {"return=minimal"}},
		body: func() (string, io.Reader, error) {
			return "application/fhir+json", bytes.NewReader(resource), nil
		},
	})
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		err = c.refusal(what, resp)
	}
	if status, is := errors.AsType[*StatusError](err); is && status.What == what {
		status.created = true
	}
	if err != nil {
		return Created{}, err
	}
	// The status alone says that the resource is there, so a body that breaks off is no trouble.
	text, _ := c.read(resp, c.cfg.MaxAnswer)
	return Created{Reference: placeOf(resourceType, resp.Header.Get("Location"), text), Found: resp.StatusCode == http.StatusOK}, nil
}

// located finds the type and id in the URL of a resource or of a version of it.
var located = regexp.MustCompile(`(?:^|/)([A-Z][A-Za-z]{1,63})/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$`)

// placeOf returns what the server calls a resource, by its Location or its body.
func placeOf(resourceType, location string, body []byte) string {
	if m := located.FindStringSubmatch(location); m != nil && m[1] == resourceType {
		return m[1] + "/" + m[2]
	}
	var r struct {
		Type string `json:"resourceType"`
		ID   string `json:"id"`
	}
	if json.Unmarshal(body, &r) != nil || r.Type != resourceType || !located.MatchString(r.Type+"/"+r.ID) {
		return ""
	}
	return r.Type + "/" + r.ID
}

// createsConditionally reports whether the server says that it heeds If-None-Exist for a type.
func (c *Client) createsConditionally(ctx context.Context, resourceType string) (bool, error) {
	var stated struct {
		Rest []struct {
			Mode     string `json:"mode"`
			Resource []struct {
				Type        string `json:"type"`
				Conditional bool   `json:"conditionalCreate"`
			} `json:"resource"`
		} `json:"rest"`
	}
	err := c.ask(ctx, request{what: "request for metadata", method: http.MethodGet, url: c.base.JoinPath("metadata").String(), accept: "application/fhir+json", token: true}, &stated)
	if err != nil && (Passing(err) || ctx.Err() != nil) {
		return false, err
	}
	for _, rest := range stated.Rest { // none if it says nothing of use
		for _, r := range rest.Resource {
			if rest.Mode == "server" && r.Type == resourceType && r.Conditional {
				return true, nil
			}
		}
	}
	return false, nil
}

// refusals are the statuses of a server that will not take a resource, now or later.
var refusals = []int{
	http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusPreconditionFailed,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented,
}

// Refused reports whether err of [Client.Create] is about the resource: sent again as it is,
// it would be refused again.
func Refused(err error) bool {
	status, is := errors.AsType[*StatusError](err)
	return errors.Is(err, errFind) || is && status.created && slices.Contains(refusals, status.Status)
}

// Stumbled reports whether err of [Client.Create] may be about the resource, so that the
// server may well take another.
func Stumbled(err error) bool {
	status, is := errors.AsType[*StatusError](err)
	return is && status.created && (status.Status == http.StatusInternalServerError || status.Status == http.StatusConflict)
}

// errFind says that a server gave resources which were not asked for, so that it cannot be
// relied on for one that it did not give.
var errFind = errors.New("the server does not search by identifier: the site has to see whether the resource is there")

// find looks for a resource by its identifier.
func (c *Client) find(ctx context.Context, resourceType string, id Identifier) (Created, error) {
	at := c.base.JoinPath(resourceType)
	at.RawQuery = id.query()
	page, err := c.page(ctx, at.String())
	if err != nil {
		return Created{}, fmt.Errorf("look for a %s that may be there: %w", resourceType, err)
	}
	for _, text := range page.Resources {
		var r struct {
			Type       string       `json:"resourceType"`
			Identifier []Identifier `json:"identifier"`
		}
		if json.Unmarshal(text, &r) != nil || r.Type != resourceType {
			continue
		}
		if slices.Contains(r.Identifier, id) {
			return Created{Reference: placeOf(resourceType, "", text), Found: true}, nil
		}
	}
	if len(page.Resources) > 0 || page.Next != "" {
		return Created{}, errFind
	}
	return Created{}, nil
}

// writeScope is what to ask for to create resources of types, and to look for them.
func (s smartConfiguration) writeScope(types []string) string {
	var scopes []string
	for _, t := range types {
		if s.onlyFirstVersion() {
			scopes = append(scopes, "system/"+t+".read", "system/"+t+".write")
		} else {
			scopes = append(scopes, "system/"+t+".crs")
		}
	}
	return strings.Join(scopes, " ")
}
