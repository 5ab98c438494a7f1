package fhirapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/node/access"
)

// change is one thing that a request wants changed, and what became of it.
type change struct {
	method       string // POST, PUT or DELETE
	resourceType string
	id           string
	body         resource // nil for DELETE
	fullURL      string   // of the entry of a transaction

	match  int64   // the version that must be the newest, 0 for any
	absent bool    // there must be none
	unless *search // what must not be there

	place string // in the request, for errors

	status int
	result fhirstore.Version
}

// writer is who changes something.
type writer struct {
	client     string   // its id if it is registered, and as it calls itself
	provenance resource // of the client's own, may be nil
}

// maxClient bounds the name of a client, in characters.
const maxClient = 128

func (s *server) writer(r *http.Request) (writer, error) {
	who := writer{client: strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, r.UserAgent()))}
	if name := []rune(who.client); len(name) > maxClient {
		who.client = string(name[:maxClient])
	}
	if id := access.From(r.Context()).Client(); id != "" {
		who.client = strings.TrimSuffix(id+", as "+who.client, ", as ")
	}
	sent := r.Header.Get("X-Provenance")
	if sent == "" {
		return who, nil
	}
	err := permit(r.Context(), "Provenance", access.Create)
	if err != nil {
		return who, err
	}
	if who.provenance, err = parse(r.Context(), []byte(sent)); err != nil {
		return who, err
	}
	if err := who.provenance.named("Provenance"); err != nil {
		return who, err
	}
	who.provenance["id"] = newID()
	return who, who.provenance.check(r.Context())
}

// create stores a resource under a new id, unless If-None-Exist finds one.
func (s *server) create(w http.ResponseWriter, r *http.Request, body []byte) error {
	return s.one(w, r, func() (*change, error) {
		c, err := s.sent(r, body)
		if err != nil {
			return nil, err
		}
		if condition := r.Header.Get("If-None-Exist"); condition != "" {
			c.unless, err = conditionOf(r.Context(), c.resourceType, condition)
		}
		return c, err
	})
}

// update stores a resource under the id of the address, new or not.
func (s *server) update(w http.ResponseWriter, r *http.Request, body []byte) error {
	return s.one(w, r, func() (*change, error) { return s.sent(r, body) })
}

// delete makes a resource gone.
func (s *server) delete(w http.ResponseWriter, r *http.Request) error {
	return s.one(w, r, func() (*change, error) {
		resourceType, id, err := address(r)
		if err != nil {
			return nil, err
		}
		if err := permit(r.Context(), resourceType, access.Delete); err != nil {
			return nil, err
		}
		c := &change{method: http.MethodDelete, resourceType: resourceType, id: id}
		return c, c.conditions(r.Header.Get("If-Match"), "")
	})
}

// sent reads the change that a request with a resource wants.
func (s *server) sent(r *http.Request, body []byte) (*change, error) {
	resourceType, id, err := address(r)
	if err != nil {
		return nil, err
	}
	if err := permit(r.Context(), resourceType, actions[r.Method]); err != nil {
		return nil, err
	}
	c := &change{method: r.Method, resourceType: resourceType, id: id}
	if c.body, err = parse(r.Context(), body); err != nil {
		return nil, err
	}
	if err := c.accept(r.Context()); err != nil {
		return nil, err
	}
	return c, c.conditions(r.Header.Get("If-Match"), r.Header.Get("If-None-Match"))
}

var errIDs = refuse(http.StatusBadRequest, "invariant", "the resource's id is not that of the address").at("id")

// accept checks the resource and gives it its id.
func (c *change) accept(ctx context.Context) error {
	if err := c.body.named(c.resourceType); err != nil {
		return err
	}
	if c.method == http.MethodPost {
		c.id = newID()
		c.body["id"] = c.id
	}
	if c.body["id"] != c.id {
		return errIDs
	}
	return c.body.check(ctx)
}

// conditions reads the headers of a conditional write.
func (c *change) conditions(match, noneMatch string) error {
	if match != "" {
		m := versionForm.FindStringSubmatch(match)
		if m == nil {
			return refuse(http.StatusBadRequest, "value", `If-Match must be a version such as W/"3"`)
		}
		c.match, _ = strconv.ParseInt(m[1], 10, 64) // of at most 18 digits
	}
	switch noneMatch {
	case "":
	case "*":
		c.absent = true
	default:
		return refuse(http.StatusBadRequest, "not-supported", "If-None-Match of a write must be *")
	}
	return nil
}

// conditionOf reads a search that decides on a write; all of it must be understood, and
// its answer tells what a search tells.
func conditionOf(ctx context.Context, resourceType, text string) (*search, error) {
	if err := permit(ctx, resourceType, access.Search); err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil || len(values) == 0 {
		return nil, errValue
	}
	return parseSearch(resourceType, values, false)
}

// one does a change by itself, that read gives, and answers.
func (s *server) one(w http.ResponseWriter, r *http.Request, read func() (*change, error)) error {
	changes, job, err := s.commit(r, func() ([]*change, error) {
		c, err := read()
		return []*change{c}, err
	})
	if err != nil {
		return err
	}
	c := changes[0]
	if job != 0 {
		w.Header().Set(jobHeader, strconv.FormatInt(int64(job), 10))
	}
	if c.result.Version > 0 {
		stamp(w.Header(), c.result)
	}
	if c.method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Location", base(r)+"/"+c.location())
	switch preference(r, "return") {
	case "minimal":
		w.WriteHeader(c.status)
		return nil
	case "OperationOutcome":
		writeJSON(w, c.status, outcomeOf("information", refuse(0, "informational", "stored")))
		return nil
	}
	if c.result.Body == nil { // it was there before
		leave, ok := s.memory.spare(c.result.Size())
		if !ok {
			w.WriteHeader(c.status) // as if a minimal answer were preferred
			return nil
		}
		defer leave()
		if err := s.audit(r.Context(), c.resourceType, 1); err != nil {
			return err
		}
		list := []fhirstore.Version{c.result}
		if err := s.cfg.Store.Load(r.Context(), list); err != nil {
			return err
		}
		c.result = list[0]
	}
	return writeBody(w, c.status, c.result.Body)
}

// jobHeader names the load that makes rows of what was written.
const jobHeader = "Trialmesh-Job"

func (c *change) location() string {
	return c.resourceType + "/" + c.id + "/_history/" + strconv.FormatInt(c.result.Version, 10)
}
