package fhir

import (
	"slices"
	"strconv"
)

// The accessors below read one member of an object node. An absent or null
// member gives the zero value; a member of another type is a fault. Only the
// first fault of a record is kept, so decoders read on without checking.

// member returns the child of at that is called name, or none.
func (t *tree) member(at int, name string) int {
	if at == none || t.nodes[at].kind != kindObject {
		return none
	}
	for c := t.nodes[at].first; c != none; c = t.nodes[c].next {
		if string(t.raw[t.nodes[c].keyStart:t.nodes[c].keyEnd]) == name {
			if t.nodes[c].kind == kindNull {
				return none
			}
			return c
		}
	}
	return none
}

// typed returns the member called name if it has kind k.
func (t *tree) typed(at int, name string, k kind) int {
	c := t.member(at, name)
	if !t.is(c, k) {
		return none
	}
	return c
}

// is reports whether c is present and has kind k; another kind is a fault.
func (t *tree) is(c int, k kind) bool {
	if c == none {
		return false
	}
	if t.nodes[c].kind != k {
		t.fail(RuleWrongType, c, "want "+k.String()+", have "+t.nodes[c].kind.String())
		return false
	}
	return true
}

func (t *tree) textOf(c int) string {
	if c == none {
		return ""
	}
	n := &t.nodes[c]
	inner := t.raw[n.start+1 : n.end-1]
	if n.escaped {
		return unescape(inner)
	}
	return string(inner)
}

func (t *tree) str(at int, name string) string { return t.textOf(t.typed(at, name, kindString)) }

// required reads a string without which the record says nothing.
func (t *tree) required(at int, name string) string {
	s := t.str(at, name)
	if s == "" {
		t.missing(at, name)
	}
	return s
}

// missing faults the absence of name in the object at.
func (t *tree) missing(at int, name string) {
	if t.fault == nil {
		t.fault = &fault{rule: RuleMissingField, at: at, missing: name}
	}
}

// strings reads an array of strings.
func (t *tree) strings(at int, name string) []string {
	c := t.typed(at, name, kindArray)
	if c == none {
		return nil
	}
	var all []string
	for e := t.nodes[c].first; e != none; e = t.nodes[e].next {
		if t.is(e, kindString) {
			all = append(all, t.textOf(e))
		}
	}
	return all
}

// boolean returns nil if the member is absent.
func (t *tree) boolean(at int, name string) *bool {
	c := t.typed(at, name, kindBool)
	if c == none {
		return nil
	}
	b := t.raw[t.nodes[c].start] == 't'
	return &b
}

// integer returns nil if the member is absent.
func (t *tree) integer(at int, name string) *int {
	c := t.typed(at, name, kindNumber)
	if c == none {
		return nil
	}
	n, err := strconv.ParseInt(string(t.raw[t.nodes[c].start:t.nodes[c].end]), 10, 32)
	if err != nil {
		t.fail(RuleInvalidNumber, c, "want a 32-bit integer")
		return nil
	}
	i := int(n)
	return &i
}

// list calls visit for each element of the array called name; each must be an object.
func (t *tree) list(at int, name string, visit func(element int)) {
	c := t.typed(at, name, kindArray)
	if c == none {
		return
	}
	for e := t.nodes[c].first; e != none; e = t.nodes[e].next {
		if t.is(e, kindObject) {
			visit(e)
		}
	}
}

// path names the place of node at, from the record's root.
func (t *tree) path(at int) string {
	var parts []string
	for ; at > 0; at = t.nodes[at].parent {
		n := &t.nodes[at]
		if t.nodes[n.parent].kind == kindArray || n.keyEnd == 0 {
			parts = append(parts, "["+strconv.Itoa(n.index)+"]")
			continue
		}
		parts = append(parts, publicName(t.raw[n.keyStart:n.keyEnd]))
	}
	slices.Reverse(parts)
	path := ""
	for _, p := range parts {
		path = joinPath(path, p)
	}
	return path
}

// problem turns the fault of the last parse or decode into a Problem of the record at line and base.
func (t *tree) problem(line int, base string) *Problem {
	f := t.fault
	p := &Problem{Rule: f.rule, Line: line, Path: joinPath(base, t.path(f.at)), Detail: f.detail}
	if f.missing != "" {
		p.Path = joinPath(p.Path, f.missing)
	}
	return p
}

// publicName returns key if it is an element this package reads, else a star:
// the key of an unknown element may itself be data.
func publicName(key []byte) string {
	if _, ok := elementNames[string(key)]; ok {
		return string(key)
	}
	return "*"
}

var elementNames = func() map[string]struct{} {
	names := map[string]struct{}{}
	for _, n := range []string{
		"abatementDateTime", "abatementPeriod", "active", "authoredOn", "birthDate", "category", "class", "clinicalStatus", "code", "coding",
		"comparator", "component", "conclusion", "contained", "criticality", "dataAbsentReason", "deceasedBoolean", "deceasedDateTime",
		"asNeededBoolean", "assertedDate", "context", "date", "notGiven", "reason", "dispenseRequest", "doseAndRate", "doseQuantity", "frequency", "periodUnit", "repeat", "route", "timing", "display", "dosageInstruction", "effectiveDateTime", "effectiveInstant", "effectivePeriod", "encounter", "end",
		"entry", "expectedSupplyDuration", "extension", "fullUrl", "gender", "hospitalization", "id", "identifier", "individual", "intent",
		"interpretation", "issued", "link", "lotNumber", "medicationCodeableConcept", "medicationReference", "meta", "method",
		"numberOfRepeatsAllowed", "occurrenceDateTime", "occurrenceString", "onsetDateTime", "onsetPeriod", "participant", "patient",
		"performedDateTime", "performedPeriod", "period", "primarySource", "quantity", "reaction", "reasonCode", "reasonReference",
		"recordedDate", "reference", "referenceRange", "request", "resource", "resourceType", "result", "serviceProvider", "start", "status",
		"subject", "substance", "system", "text", "total", "type", "unit", "url", "vaccineCode", "validityPeriod", "value", "valueBoolean", "valueCode",
		"valueCodeableConcept", "valueCoding", "valueDateTime", "valueInteger", "valuePeriod", "valueQuantity", "valueRange", "valueRatio", "valueString", "valueTime",
		"verificationStatus", "low", "high", "numerator", "denominator", "version", "manifestation", "severity", "requester", "performer", "dischargeDisposition", "admitSource",
	} {
		names[n] = struct{}{}
	}
	return names
}()
