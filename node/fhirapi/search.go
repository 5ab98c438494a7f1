package fhirapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/access"
)

// maxTotal is how far matches are counted if nobody asks for an accurate number: a
// page has no total if there are more.
const maxTotal = 10_000

// maxIncluded is how many Provenances come with a page.
const maxIncluded = 1000

// bundle is what lists of resources are sent as.
type list struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Total        *int64  `json:"total,omitempty"`
	Link         []link  `json:"link,omitempty"`
	Entry        []entry `json:"entry,omitempty"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *searchMode     `json:"search,omitempty"`
	Response *response       `json:"response,omitempty"`
}

type searchMode struct {
	Mode string `json:"mode"`
}

func (s *server) searchGet(w http.ResponseWriter, r *http.Request) error {
	return s.search(w, r, r.URL.Query())
}

// searchPost is a search whose parameters are a form.
func (s *server) searchPost(w http.ResponseWriter, r *http.Request) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/x-www-form-urlencoded" {
		return refuse(http.StatusUnsupportedMediaType, "not-supported", "the body must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return errLarge
		}
		return refuse(http.StatusBadRequest, "structure", "the body is no form")
	}
	return s.search(w, r, r.Form)
}

func (s *server) search(w http.ResponseWriter, r *http.Request, values url.Values) error {
	resourceType, _, err := address(r)
	if err != nil {
		return err
	}
	if err := permit(r.Context(), resourceType, access.Search); err != nil {
		return err
	}
	q, err := parseSearch(resourceType, values, preference(r, "handling") == "lenient")
	if err != nil {
		return err
	}
	if q.provenance {
		if err := permit(r.Context(), "Provenance", access.Search); err != nil {
			return err
		}
	}
	return s.page(w, r, q, resourceType, base(r)+"/"+resourceType)
}

var errCursor = refuse(http.StatusBadRequest, "value", "the link to the next page is not of this search").at("_cursor")

// cursor is where a page begins, as links carry it.
type cursor struct {
	After fhirstore.Cursor `json:"a"`
	Total int64            `json:"t"` // as on the first page, -1 for none
	Query string           `json:"q"` // short hash of the search
}

// fingerprint tells searches apart, whatever their page.
func (q *search) fingerprint(resourceType string) string {
	rest := url.Values{}
	for key, values := range q.used {
		if key != "_cursor" && key != "_count" {
			rest[key] = values
		}
	}
	sum := sha256.Sum256([]byte(resourceType + "?" + rest.Encode()))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// start reads the cursor.
func (q *search) start(resourceType string) (cursor, error) {
	c := cursor{Total: -1, Query: q.fingerprint(resourceType)}
	if q.cursor == "" {
		return c, nil
	}
	var sent cursor
	text, err := base64.RawURLEncoding.DecodeString(q.cursor)
	if err != nil || json.Unmarshal(text, &sent) != nil || sent.Query != c.Query || sent.After.Number < 1 {
		return c, errCursor
	}
	return sent, nil
}

// page answers with one page of a search; at is the address of the search.
func (s *server) page(w http.ResponseWriter, r *http.Request, q *search, resourceType, at string) error {
	ctx := r.Context()
	here, err := q.start(at)
	if err != nil {
		return err
	}
	q.query.After, q.query.Limit = here.After, q.count+1
	var found, included []fhirstore.Version
	more := false
	if err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if q.cursor == "" {
			if here.Total, err = s.total(ctx, tx, q); err != nil {
				return err
			}
		}
		if q.only {
			return nil
		}
		if found, err = s.cfg.Store.Search(ctx, tx, q.query); err != nil {
			return err
		}
		found, more = cut(found, q.count)
		if q.provenance {
			included, err = s.provenances(ctx, tx, found)
		}
		return err
	}); err != nil {
		return err
	}
	out := list{ResourceType: "Bundle", Type: "searchset", Link: []link{{"self", at + withQuery(q.used)}}}
	if here.Total >= 0 {
		out.Total = &here.Total
	}
	if more {
		here.After = found[len(found)-1].Cursor()
		out.Link = append(out.Link, link{"next", at + withQuery(q.next(here))})
	}
	leave, err := s.memory.take(ctx, perAnswerByte*(sizeOf(found)+sizeOf(included)))
	if err != nil {
		return err
	}
	defer leave()
	if err := s.fill(&out, r, found, "match"); err != nil {
		return err
	}
	if err := s.fill(&out, r, included, "include"); err != nil {
		return err
	}
	if q.ignored > 0 {
		if err := out.tell(refuse(0, "not-supported", "search parameters that are not supported were left out")); err != nil {
			return err
		}
	}
	if err := s.audit(ctx, resourceType, len(found)+len(included)); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// cut is the page that found begins with, and whether there is more.
func cut(found []fhirstore.Version, count int) ([]fhirstore.Version, bool) {
	size := int64(0)
	for i, v := range found {
		if size += v.Size(); i == count || i > 0 && size > maxPageBytes {
			return found[:i], true
		}
	}
	return found, false
}

func sizeOf(versions []fhirstore.Version) (n int64) {
	for _, v := range versions {
		n += v.Size()
	}
	return n
}

// total counts the matches, -1 if there is no number to tell.
func (s *server) total(ctx context.Context, tx *sqldb.Tx, q *search) (int64, error) {
	switch {
	case q.total == "none" && !q.only:
		return -1, nil
	case q.only, q.total == "accurate":
		return s.cfg.Store.Count(ctx, tx, q.query, math.MaxInt64)
	}
	n, err := s.cfg.Store.Count(ctx, tx, q.query, maxTotal+1)
	if n > maxTotal {
		n = -1
	}
	return n, err
}

// provenances returns the Provenances about what was found, whichever version.
func (s *server) provenances(ctx context.Context, tx *sqldb.Tx, found []fhirstore.Version) ([]fhirstore.Version, error) {
	if len(found) == 0 {
		return nil, nil
	}
	var anyOf []fhirstore.Term
	for _, v := range found {
		anyOf = append(anyOf, fhirstore.Term{Type: "Provenance", Param: "target", Value: "to " + v.Type + "/" + v.ID})
	}
	list, err := s.cfg.Store.Search(ctx, tx, fhirstore.Query{Types: []string{"Provenance"}, Terms: [][]fhirstore.Term{anyOf}, Limit: maxIncluded})
	list, _ = cut(list, maxIncluded)
	return list, err
}

// fill adds resources to a bundle.
func (s *server) fill(out *list, r *http.Request, versions []fhirstore.Version, mode string) error {
	if err := s.cfg.Store.Load(r.Context(), versions); err != nil {
		return err
	}
	for _, v := range versions {
		out.Entry = append(out.Entry, entry{FullURL: base(r) + "/" + v.Type + "/" + v.ID, Resource: v.Body, Search: &searchMode{mode}})
	}
	return nil
}

// tell adds a warning to a searchset.
func (b *list) tell(what *refusal) error {
	text, err := json.Marshal(outcomeOf("warning", what))
	b.Entry = append(b.Entry, entry{Resource: text, Search: &searchMode{"outcome"}})
	return err
}

// next are the parameters of the page that begins at c.
func (q *search) next(c cursor) url.Values {
	text, _ := json.Marshal(c) // numbers and a short text never fail
	values := url.Values{"_cursor": {base64.RawURLEncoding.EncodeToString(text)}}
	for key, list := range q.used {
		if key != "_cursor" {
			values[key] = list
		}
	}
	return values
}

func withQuery(values url.Values) string {
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}
