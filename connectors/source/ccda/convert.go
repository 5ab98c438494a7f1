package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// converter turns the header and then one entry after another into records.
type converter struct {
	emit func(fhir.Record, *fhir.Problem)

	document string // id of its record
	patient  fhir.Reference
	visit    fhir.Reference    // the encompassing encounter
	about    pending           // its record
	seen     map[string]string // what the ids of this document's records stand for

	narrative *narrative // of the section being read

	// Of the entry being read.
	line  int
	raw   []byte
	given bool // it has given a record or a problem
	fault *fhir.Problem
}

// statements are the readers of an entry by the kind of its section. Each gets the
// statement that stands in the entry, whatever its sort.
var statements = map[kind]func(c *converter, e *element, at place){
	problems:      func(c *converter, e *element, at place) { c.concern(e, at, problemList, fhir.Reference{}) },
	diagnoses:     func(c *converter, e *element, at place) { c.concern(e, at, encounterDiagnosis, c.visit) },
	allergies:     (*converter).allergyConcern,
	medications:   (*converter).medication,
	immunizations: (*converter).immunization,
	procedures:    (*converter).procedure,
	results:       (*converter).results,
	vitals:        (*converter).vitals,
	encounters:    (*converter).encounterEntry,
	social:        (*converter).socialHistory,
}

// sorts are the statements of CDA's clinical model that an entry may hold.
var sorts = map[string]bool{
	"act": true, "encounter": true, "observation": true, "observationMedia": true, "organizer": true, "procedure": true,
	"regionOfInterest": true, "substanceAdministration": true, "supply": true,
}

// entry emits what one entry says. One that gives nothing else, or is about somebody else,
// such as a newborn in its mother's document, is kept as it came.
func (c *converter) entry(k kind, e *element, at place, line int, raw []byte) {
	c.line, c.raw, c.given, c.fault = line, raw, false, nil
	for _, s := range e.children {
		if sorts[s.name] && s.at("subject") == nil {
			statements[k](c, s, at)
		}
	}
	if !c.given {
		c.keep("Entry", at)
	}
}

// keep gives the entry as a record that is not decoded. Type Negation is one that says
// what is not so, Entry one that is not understood, is a plan, or says nothing.
func (c *converter) keep(kind string, at place) {
	c.given = true
	c.emit(fhir.Record{Type: kind, ID: fhir.Digest(kind, c.document, string(at)), Line: c.line, Path: string(at), Raw: c.raw}, nil)
}

// give ends the making of a record: it is handed on, or its fault is, and then ok is false.
func (c *converter) give(kind, id string, r fhir.Resource, at place) (ok bool) {
	c.given = true
	if c.fault != nil {
		c.emit(fhir.Record{}, c.fault)
		c.fault = nil
		return false
	}
	c.emit(fhir.Record{Type: kind, ID: id, Line: c.line, Path: string(at), Raw: c.raw, Resource: r}, nil)
	return true
}

// problem faults the record being made; only the first fault counts.
func (c *converter) problem(rule fhir.Rule, at place, detail string) {
	if c.fault == nil {
		c.fault = &fhir.Problem{Rule: rule, Line: c.line, Path: string(at), Detail: detail}
	}
}

// required faults a record whose concept says nothing.
func (c *converter) required(code fhir.CodeableConcept, at place) {
	if code.IsZero() {
		c.problem(fhir.RuleMissingField, at, "want a code or a text")
	}
}

// happened reports whether a statement is one of what was with the patient, not a plan or
// without content.
func happened(e *element) bool {
	mood := e.attr("moodCode")
	return e.is() && (mood == "" || mood == "EVN") && e.at("subject") == nil
}

func negated(e *element) bool { return e.attr("negationInd") == "true" || e.attr("negationInd") == "1" }

// related yields what a statement is linked to by one of the types of a relationship,
// with its place.
func related(e *element, at place, sort string, types ...string) func(yield func(*element, place) bool) {
	return func(yield func(*element, place) bool) {
		n := 0
		for r := range e.each("entryRelationship") {
			n++
			if !oneOf(r.attr("typeCode"), types) {
				continue
			}
			for s := range r.each(sort) {
				if !yield(s, at.nth("entryRelationship", n)) {
					return
				}
			}
		}
	}
}

// oneOf reports whether s is in list, or list is empty.
func oneOf(s string, list []string) bool {
	for _, l := range list {
		if s == l {
			return true
		}
	}
	return len(list) == 0
}

// mapped is the value of a code, and unknown for one that the table does not have.
func mapped(table map[string]string, code string) string {
	if v := table[code]; v != "" {
		return v
	}
	return "unknown"
}
