package fhirapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// work is what is done of one request, see [server.commit].
type work struct {
	*server
	ctx  context.Context //nolint:containedctx // lives as long as one call
	read func(func(*sqldb.Tx) error) error
	tx   *sqldb.Tx // while the work looks at the database
	now  time.Time

	names map[string]string // what references become, by fullUrl
	found map[string]string // what conditional references become
	seen  map[string]bool   // the resources of the changes
	puts  []fhirstore.Change
	wrote []*change // of puts
	gone  []gone    // of puts
	refs  []string  // what the changed resources refer to

	besides fhirstore.Context
	sights  []sight // all that was decided on
}

// gone is a resource whose rows become invalid.
type gone struct {
	put int // its change in puts
	was fhirstore.Version
}

var (
	errTwice      = refuse(http.StatusBadRequest, "invariant", "the transaction changes one resource twice")
	errFullURL    = refuse(http.StatusBadRequest, "invariant", "two entries have the same fullUrl")
	errMany       = refuse(http.StatusPreconditionFailed, "multiple-matches", "several resources meet the condition")
	errStale      = refuse(http.StatusPreconditionFailed, "conflict", "the version of If-Match is not the newest one")
	errThere      = refuse(http.StatusPreconditionFailed, "conflict", "there is such a resource")
	errPatient    = refuse(http.StatusConflict, "business-rule", "a Patient is not deleted: the person's rows and consents would lose their owner")
	errUnanswered = refuse(http.StatusUnprocessableEntity, "not-found", "a reference by urn: is answered by no entry")
	errCondition  = refuse(http.StatusPreconditionFailed, "multiple-matches", "a conditional reference is answered by no resource, or by several")
)

// decide finds out what becomes of each change.
func (w *work) decide(changes []*change) error {
	for _, c := range changes {
		if err := w.identify(c); err != nil {
			return placed(err, c)
		}
	}
	for _, c := range changes {
		if c.status != 0 {
			continue
		}
		if err := w.change(c); err != nil {
			return placed(err, c)
		}
	}
	return nil
}

// placed says in which entry a refusal applies.
func placed(err error, c *change) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok || c.place == "" {
		return err
	}
	if r.expression == "" {
		return r.at(c.place)
	}
	return r.at(c.place + ".resource, " + r.expression)
}

// identify decides which resource a change is about.
func (w *work) identify(c *change) error {
	if c.unless != nil {
		found, err := w.search(c.unless)
		if err != nil {
			return err
		}
		if len(found) > 1 {
			return errMany
		}
		if len(found) == 1 {
			c.id, c.result, c.status = found[0].ID, found[0], http.StatusOK
		}
	}
	name := c.resourceType + "/" + c.id
	if w.seen[name] && c.status == 0 {
		return errTwice
	}
	w.seen[name] = w.seen[name] || c.status == 0
	if c.fullURL != "" {
		if other, taken := w.names[c.fullURL]; taken && other != name {
			return errFullURL
		}
		w.names[c.fullURL] = name
	}
	return nil
}

// restful is a fullUrl that says where the server of the resource is.
var restful = regexp.MustCompile(`^(https?://\S+/)[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?$`)

// named returns the resource of this request that a reference in an entry is to. What is
// relative is so to the server of the entry's own fullUrl; without one it is to what is
// stored here.
//
// Source: https://hl7.org/fhir/R4/bundle.html#references
func (w *work) named(to, fullURL string) (name string, ok bool) {
	if name, ok = w.names[to]; ok || !localForm.MatchString(to) {
		return name, ok
	}
	m := restful.FindStringSubmatch(fullURL)
	if m == nil {
		return "", false
	}
	name, ok = w.names[m[1]+to]
	return name, ok
}

// search returns up to two resources that a condition finds.
func (w *work) search(q *search) ([]fhirstore.Version, error) {
	q.query.Limit = 2
	return w.find(q.query)
}

// change makes the next version of a resource, if there has to be one.
func (w *work) change(c *change) error {
	head, err := w.head(c.resourceType, c.id)
	if err != nil && !errors.Is(err, fhirstore.ErrNotFound) {
		return err
	}
	there := err == nil && !head.Deleted
	switch {
	case c.match != 0 && (!there || head.Version != c.match):
		return errStale
	case c.absent && there:
		return errThere
	case c.method == http.MethodDelete && err != nil:
		return errUnknown
	case c.method == http.MethodDelete && head.Deleted:
		c.result, c.status = head, http.StatusNoContent
		return nil
	case c.method == http.MethodDelete:
		return w.remove(c, head)
	}
	if err := w.rewrite(c); err != nil {
		return err
	}
	text, err := c.body.content()
	if err != nil {
		return err
	}
	content := w.cfg.Store.Content(text)
	if head.Same(content) {
		c.result, c.status = head, http.StatusOK
		return nil
	}
	c.status = http.StatusOK
	if !there {
		c.status = http.StatusCreated
	}
	return w.put(c, head.Version+1, content)
}

// put adds a version with a body.
func (w *work) put(c *change, version int64, content fhirstore.Content) error {
	put := fhirstore.Change{Type: c.resourceType, ID: c.id, Version: version, Content: content}
	var err error
	if put.Terms, put.Spans, err = c.body.index(); err != nil {
		return err
	}
	if c.resourceType == "Patient" {
		put.Terms = append(put.Terms, fhirstore.Term{Param: compartment, Value: "Patient/" + c.id})
	}
	if put.Body, err = c.body.stamped(version, w.now); err != nil {
		return err
	}
	c.result = fhirstore.Version{Type: c.resourceType, ID: c.id, Version: version, Updated: w.now, Body: put.Body}
	w.add(put, c)
	c.body.references(func(to string) string {
		w.refs = append(w.refs, to)
		return to
	})
	c.body = nil // takes ten times the memory of its text
	return nil
}

func (w *work) add(put fhirstore.Change, c *change) {
	w.puts, w.wrote = append(w.puts, put), append(w.wrote, c)
}

// remove adds a version that is the deletion. Rows of the resource become invalid: they
// count in no answer, and are kept with where they came from.
func (w *work) remove(c *change, head fhirstore.Version) error {
	if c.resourceType == "Patient" {
		return errPatient
	}
	put := fhirstore.Change{Type: c.resourceType, ID: c.id, Version: head.Version + 1, Deleted: true}
	c.result = fhirstore.Version{Type: c.resourceType, ID: c.id, Version: put.Version, Updated: w.now, Deleted: true}
	c.status = http.StatusNoContent
	if withdrawn[c.resourceType] != nil {
		w.gone = append(w.gone, gone{len(w.puts), head})
	}
	w.add(put, c)
	return nil
}

// withdraw says of what is gone that it never was.
func (w *work) withdraw() error {
	for _, g := range w.gone {
		list := []fhirstore.Version{g.was}
		if err := w.cfg.Store.Load(w.ctx, list); err != nil {
			return err
		}
		was, err := parse(w.ctx, list[0].Body)
		if err != nil {
			return err
		}
		put := &w.puts[g.put]
		withdrawn[put.Type](was)
		was.references(func(to string) string {
			w.refs = append(w.refs, to)
			return to
		})
		if put.Body, err = was.stamped(put.Version, w.now); err != nil {
			return err
		}
	}
	return nil
}

// withdrawn makes each resource that has rows one that was entered in error, which is
// how FHIR says that a fact never was.
var withdrawn = map[string]func(resource){
	"Observation": enteredInError, "Procedure": enteredInError, "Immunization": enteredInError,
	"Encounter": enteredInError, "MedicationRequest": enteredInError,
	"Condition":          unverified("http://terminology.hl7.org/CodeSystem/condition-ver-status"),
	"AllergyIntolerance": unverified("http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"),
}

func enteredInError(r resource) { r["status"] = "entered-in-error" }

func unverified(system string) func(resource) {
	return func(r resource) {
		r["verificationStatus"] = map[string]any{"coding": []any{map[string]any{"system": system, "code": "entered-in-error"}}}
	}
}

// rewrite resolves the references of a change that only this request can answer.
func (w *work) rewrite(c *change) error {
	var fault error
	c.body.references(func(to string) string {
		if name, ok := w.named(to, c.fullURL); ok {
			return name
		}
		if c.place != "" && strings.HasPrefix(to, "urn:") {
			fault = errUnanswered
		}
		if m := searchForm.FindStringSubmatch(to); m != nil && fault == nil {
			name, known := w.found[to] // many entries name one practitioner
			if !known {
				name, fault = w.answer(m[1], m[2])
				w.found[to] = name
			}
			return name
		}
		return to
	})
	return fault
}

// answer finds the one resource of a conditional reference.
func (w *work) answer(resourceType, condition string) (string, error) {
	q, err := conditionOf(w.ctx, resourceType, condition)
	if err != nil {
		return "", err
	}
	found, err := w.search(q)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", errCondition
	}
	return resourceType + "/" + found[0].ID, nil
}

// context returns what the load of the changes needs besides, as loads run in no order
// and rows of nobody are refused: the patients and encounters that the changed resources
// name and that came earlier; and of patients who are new what came before them.
func (w *work) context() (before, after []fhirstore.Version, err error) {
	for _, resourceType := range []string{"Patient", "Encounter"} {
		for _, to := range w.refs {
			m := localForm.FindStringSubmatch(to)
			if m == nil || m[1] != resourceType || w.seen[m[1]+"/"+m[2]] {
				continue
			}
			w.seen[m[1]+"/"+m[2]] = true
			v, err := w.head(m[1], m[2])
			if errors.Is(err, fhirstore.ErrNotFound) || v.Deleted {
				continue // it may have come as a file
			}
			if err != nil {
				return nil, nil, err
			}
			before = append(before, v)
		}
	}
	for _, c := range w.wrote {
		if c.resourceType != "Patient" || c.status != http.StatusCreated {
			continue
		}
		found, err := w.find(fhirstore.Query{
			Terms: [][]fhirstore.Term{{{Param: compartment, Value: "Patient/" + c.id}}}, Limit: maxContext,
		})
		if err != nil {
			return nil, nil, err
		}
		after = append(after, found...)
	}
	after = slices.DeleteFunc(after, func(v fhirstore.Version) bool { return w.seen[v.Type+"/"+v.ID] })
	return before, after, nil
}

// bodies loads versions, as many as a load gets besides.
func (w *work) bodies(list []fhirstore.Version) ([][]byte, error) {
	list = list[:min(len(list), maxContext)]
	list, _ = cut(list, maxContext)
	if err := w.cfg.Store.Load(w.ctx, list); err != nil {
		return nil, err
	}
	bodies := make([][]byte, len(list))
	for i, v := range list {
		bodies[i] = v.Body
	}
	return bodies, nil
}
