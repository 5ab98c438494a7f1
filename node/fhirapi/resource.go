package fhirapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// resource is a resource as JSON has it. Numbers stay the texts that were sent.
type resource map[string]any

// encode writes v without escaping what only HTML needs escaped.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// bytesOf is r in JSON, with its names in order: equal resources give equal bytes.
func (r resource) bytesOf() ([]byte, error) {
	var buf bytes.Buffer
	err := encode(&buf, r)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

func (r resource) text(name string) string {
	s, _ := r[name].(string)
	return s
}

// maxDepth is how deep a resource may nest, itself being 1.
const maxDepth = 60

// problemOf returns the first problem that the reader of records finds in a resource
// and that matters says yes to, nil for none. The path is from the resource.
func problemOf(ctx context.Context, body []byte, matters func(fhir.Rule) bool) (*fhir.Problem, error) {
	wrapped := io.MultiReader(strings.NewReader(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":`), bytes.NewReader(body), strings.NewReader(`}]}`))
	for _, err := range fhir.Read(ctx, wrapped, readOptions) {
		p, bad := fhir.AsProblem(err)
		if err != nil && !bad {
			return nil, err
		}
		if bad && matters(p.Rule) {
			p.Path = strings.TrimPrefix(strings.TrimPrefix(p.Path, "entry[0].resource"), ".")
			return p, nil
		}
	}
	return nil, nil
}

var readOptions = fhir.Options{MaxRecord: MaxBody, MaxTotal: MaxBody + 1<<10, MaxDepth: maxDepth + 1}

func isSyntax(r fhir.Rule) bool { return syntax[r] }

// isFault says which problems keep a resource out: all but that an element is missing,
// of which FHIR wants fewer than rows do. Of those the load tells.
func isFault(r fhir.Rule) bool {
	return r != fhir.RuleMissingField && r != fhir.RuleUnresolvedReference
}

var errObject = refuse(http.StatusBadRequest, "structure", "the body must be one resource in JSON")

// parse reads a resource. What JSON readers disagree on is refused.
func parse(ctx context.Context, body []byte) (resource, error) {
	if !json.Valid(body) {
		return nil, errObject
	}
	p, err := problemOf(ctx, body, isSyntax)
	if err != nil {
		return nil, err
	}
	if p != nil {
		return nil, ofProblem(p, p.Path)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var r resource
	if err := d.Decode(&r); err != nil || r == nil {
		return nil, errObject
	}
	return r, nil
}

var (
	idForm      = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	urnForm     = regexp.MustCompile(`^urn:(uuid|oid):[A-Za-z0-9\-.]{1,128}$`)
	localForm   = regexp.MustCompile(`^([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?$`)
	remoteForm  = regexp.MustCompile(`^https?://\S+$`)
	searchForm  = regexp.MustCompile(`^([A-Z][A-Za-z]{1,63})\?(.+)$`)
	versionForm = regexp.MustCompile(`^W/"([1-9][0-9]{0,17})"$`)
)

var errReference = refuse(http.StatusUnprocessableEntity, "value", "a reference is not Type/id, a URL, a urn:uuid:, a urn:oid: or #id")

// check finds out whether r can be stored.
func (r resource) check(ctx context.Context) error {
	body, err := r.bytesOf()
	if err != nil {
		return err
	}
	p, err := problemOf(ctx, body, isFault)
	if err != nil {
		return err
	}
	if p != nil {
		return ofProblem(p, r.text("resourceType")+"."+p.Path)
	}
	ok := true
	r.references(func(s string) string {
		ok = ok && (strings.HasPrefix(s, "#") || localForm.MatchString(s) || remoteForm.MatchString(s) || urnForm.MatchString(s) || searchForm.MatchString(s))
		return s
	})
	if !ok {
		return errReference.at(r.text("resourceType"))
	}
	return nil
}

// references replaces each Reference.reference in r by what change makes of it.
func (r resource) references(change func(string) string) { eachReference(map[string]any(r), change) }

func eachReference(v any, change func(string) string) {
	switch v := v.(type) {
	case map[string]any:
		for name, child := range v {
			if text, ok := child.(string); ok && name == "reference" {
				v[name] = change(text)
				continue
			}
			eachReference(child, change)
		}
	case []any:
		for _, child := range v {
			eachReference(child, change)
		}
	}
}

// content is r without what tells its versions apart.
func (r resource) content() ([]byte, error) {
	if meta, ok := r["meta"].(map[string]any); ok {
		delete(meta, "versionId")
		delete(meta, "lastUpdated")
		if len(meta) == 0 {
			delete(r, "meta")
		}
	}
	return r.bytesOf()
}

// instant is how times are written.
const instant = "2006-01-02T15:04:05.000Z07:00"

// stamped is r as version number version. It changes r.
func (r resource) stamped(version int64, now time.Time) ([]byte, error) {
	meta, ok := r["meta"].(map[string]any)
	if !ok {
		meta = map[string]any{}
		r["meta"] = meta
	}
	meta["versionId"], meta["lastUpdated"] = strconv.FormatInt(version, 10), now.UTC().Format(instant)
	return r.bytesOf()
}

var errMeta = refuse(http.StatusUnprocessableEntity, "value", "meta must be an object").at("meta")

// named checks the parts of r that the API itself uses.
func (r resource) named(resourceType string) error {
	if r.text("resourceType") != resourceType {
		return refuse(http.StatusBadRequest, "invariant", "resourceType is not the type in the address").at("resourceType")
	}
	if meta, sent := r["meta"]; sent {
		if _, ok := meta.(map[string]any); !ok {
			return errMeta
		}
	}
	return nil
}

// isJSON reports whether a media type is the one of FHIR or of JSON; a parameter such
// as charset or fhirVersion changes nothing.
func isJSON(kind string) bool {
	return strings.EqualFold(kind, mediaType) || strings.EqualFold(kind, "application/json")
}
