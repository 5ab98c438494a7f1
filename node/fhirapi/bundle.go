package fhirapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// request is what an entry of a transaction or batch asks for.
type request struct {
	method, url, ifMatch, ifNoneMatch, ifNoneExist string
}

// response is what became of an entry.
type response struct {
	Status       string          `json:"status"`
	Location     string          `json:"location,omitempty"`
	ETag         string          `json:"etag,omitempty"`
	LastModified string          `json:"lastModified,omitempty"`
	Outcome      json.RawMessage `json:"outcome,omitempty"`
}

// sentEntry is an entry as it came.
type sentEntry struct {
	place    string
	fullURL  string
	resource json.RawMessage
	request  request
}

var (
	errBundle  = refuse(http.StatusBadRequest, "structure", "the body must be a Bundle of type transaction or batch")
	errEntries = refuse(http.StatusRequestEntityTooLarge, "too-costly", "a transaction has up to 5,000 entries, a batch 1,000")
	errEntry   = refuse(http.StatusBadRequest, "structure", "an entry has a request with method and url, and a resource where that is written")
)

// bundleCost is the cost of a bundle, with that of the answers to a batch.
func bundleCost(body []byte) int64 {
	cost := resourceCost(body)
	if gjson.GetBytes(body, "type").Str == "batch" {
		cost += perAnswerByte * maxAnswer
	}
	return cost
}

// bundle does a transaction or a batch.
func (s *server) bundle(w http.ResponseWriter, r *http.Request, body []byte) error {
	sort, entries, err := s.open(r, body)
	if err != nil {
		return err
	}
	if sort == "batch" {
		return s.batch(w, r, entries)
	}
	return s.transaction(w, r, entries)
}

// open reads the entries of a bundle. Names are compared exactly, as JSON has them.
func (s *server) open(r *http.Request, body []byte) (sort string, entries []sentEntry, err error) {
	if !json.Valid(body) {
		return "", nil, errBundle
	}
	for _, err := range fhir.Read(r.Context(), bytes.NewReader(body), readOptions) {
		p, bad := fhir.AsProblem(err)
		if err != nil && !bad {
			return "", nil, err
		}
		if bad && syntax[p.Rule] {
			return "", nil, ofProblem(p, "Bundle."+p.Path)
		}
	}
	top := members(body)
	if text(top["resourceType"]) != "Bundle" {
		return "", nil, errBundle
	}
	if sort = text(top["type"]); sort != "transaction" && sort != "batch" {
		return "", nil, errBundle.at("Bundle.type")
	}
	var list []json.RawMessage
	if raw := top["entry"]; raw != nil && json.Unmarshal(raw, &list) != nil {
		return "", nil, errBundle.at("Bundle.entry")
	}
	if len(list) > maxEntries || sort == "batch" && len(list) > maxBatch {
		return "", nil, errEntries
	}
	for i, raw := range list {
		e := members(raw)
		asked := members(e["request"])
		one := sentEntry{
			place: fmt.Sprintf("Bundle.entry[%d]", i), fullURL: text(e["fullUrl"]), resource: e["resource"],
			request: request{text(asked["method"]), text(asked["url"]), text(asked["ifMatch"]), text(asked["ifNoneMatch"]), text(asked["ifNoneExist"])},
		}
		if one.request.method == "" || one.request.url == "" {
			return "", nil, errEntry.at(one.place)
		}
		entries = append(entries, one)
	}
	return sort, entries, nil
}

// members are those of a JSON object, none if it is none.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(raw, &m)
	return m
}

// text is a JSON string, "" if it is none.
func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

var (
	errEntryMethod = refuse(http.StatusUnprocessableEntity, "not-supported", "a transaction takes POST, PUT and DELETE; a batch reads")
	errEntryURL    = refuse(http.StatusUnprocessableEntity, "not-supported", "the url of an entry is Type for POST and Type/id for PUT and DELETE; conditional updates and deletes are not supported")
	errEntryPath   = refuse(http.StatusBadRequest, "value", "the url of an entry of a batch is an address below that of the API, such as Patient/1, without . and ..")
)

// transaction does all entries or none.
func (s *server) transaction(w http.ResponseWriter, r *http.Request, entries []sentEntry) error {
	changes, job, err := s.commit(r, func() ([]*change, error) {
		changes := make([]*change, len(entries))
		for i, e := range entries {
			c, err := e.change(r)
			if err != nil {
				return nil, placed(err, &change{place: e.place})
			}
			changes[i] = c
		}
		return changes, nil
	})
	if err != nil {
		return err
	}
	if job != 0 {
		w.Header().Set(jobHeader, strconv.FormatInt(int64(job), 10))
	}
	whole := preference(r, "return") == "representation"
	out := list{ResourceType: "Bundle", Type: "transaction-response"}
	for _, c := range changes {
		e := entry{Response: &response{Status: statusText(c.status), ETag: etag(c.result), LastModified: c.result.Updated.Format(instant)}}
		if c.method != http.MethodDelete {
			e.Response.Location = base(r) + "/" + c.location()
			if whole {
				e.Resource = c.result.Body // what was there before stays away
			}
		}
		out.Entry = append(out.Entry, e)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func statusText(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }

// change reads the change that an entry of a transaction asks for.
func (e sentEntry) change(r *http.Request) (*change, error) {
	c := &change{method: e.request.method, place: e.place, fullURL: e.fullURL}
	target := strings.TrimPrefix(e.request.url, "/")
	switch c.method {
	case http.MethodPost:
		c.resourceType = target
	case http.MethodPut, http.MethodDelete:
		var found bool
		if c.resourceType, c.id, found = strings.Cut(target, "/"); !found || !idForm.MatchString(c.id) {
			return nil, errEntryURL
		}
	default:
		return nil, errEntryMethod
	}
	if !storable[c.resourceType] {
		return nil, errEntryURL
	}
	if err := permit(r.Context(), c.resourceType, actions[c.method]); err != nil {
		return nil, err
	}
	if err := c.conditions(e.request.ifMatch, e.request.ifNoneMatch); err != nil {
		return nil, err
	}
	if e.request.ifNoneExist != "" && c.method == http.MethodPost {
		var err error
		if c.unless, err = conditionOf(r.Context(), c.resourceType, e.request.ifNoneExist); err != nil {
			return nil, err
		}
	}
	if c.method == http.MethodDelete {
		return c, nil
	}
	d := json.NewDecoder(bytes.NewReader(e.resource))
	d.UseNumber()
	if err := d.Decode(&c.body); err != nil || c.body == nil {
		return nil, errEntry
	}
	return c, c.accept(r.Context())
}

// batch does each entry as a request of its own.
func (s *server) batch(w http.ResponseWriter, r *http.Request, entries []sentEntry) error {
	out := list{ResourceType: "Bundle", Type: "batch-response"}
	size := 0
	for _, e := range entries {
		answer := &recorder{header: http.Header{}}
		if size > maxAnswer {
			writeJSON(answer, http.StatusRequestEntityTooLarge, outcomeOf("error", refuse(0, "too-costly", "the answers to the entries before are too large; nothing was done for this one")))
		} else if inner, err := e.asRequest(r); err != nil {
			writeJSON(answer, err.status, outcomeOf("error", err))
		} else {
			s.entries.ServeHTTP(answer, inner)
		}
		size += answer.body.Len()
		out.Entry = append(out.Entry, answer.entry())
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// asRequest is an entry of a batch as it would come by itself.
func (e sentEntry) asRequest(r *http.Request) (*http.Request, *refusal) {
	to, err := url.Parse(Path + "/" + strings.TrimPrefix(e.request.url, "/"))
	if err != nil || path.Clean(to.Path) != strings.TrimSuffix(to.Path, "/") {
		return nil, errEntryPath
	}
	inner, err := http.NewRequestWithContext(r.Context(), e.request.method, to.String(), io.NopCloser(bytes.NewReader(e.resource)))
	if err != nil || to.Path == Path || to.Path == Path+"/" {
		return nil, errEntryMethod
	}
	inner.Host, inner.TLS = r.Host, r.TLS
	inner.Header = http.Header{"Content-Type": {mediaType}, "User-Agent": {r.UserAgent()}}
	for name, value := range map[string]string{
		"If-Match": e.request.ifMatch, "If-None-Match": e.request.ifNoneMatch, "If-None-Exist": e.request.ifNoneExist,
		"Prefer": r.Header.Get("Prefer"), "X-Provenance": r.Header.Get("X-Provenance"),
	} {
		if value != "" {
			inner.Header.Set(name, value)
		}
	}
	return inner, nil
}

// recorder takes the answer to an entry.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header         { return a.header }
func (a *recorder) WriteHeader(status int)      { a.status = status }
func (a *recorder) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *recorder) entry() entry {
	e := entry{Response: &response{Status: statusText(a.status), Location: a.header.Get("Location"), ETag: a.header.Get("ETag")}}
	switch {
	case a.body.Len() == 0:
	case a.status >= http.StatusBadRequest:
		e.Response.Outcome = a.body.Bytes()
	default:
		e.Resource = a.body.Bytes()
	}
	return e
}
