package ccda

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// The code systems that this package itself speaks of.
const (
	loinc  = "http://loinc.org"
	snomed = "http://snomed.info/sct"
	ucum   = "http://unitsofmeasure.org"
	cpt    = "http://www.ama-assn.org/go/cpt"
	race   = "urn:oid:2.16.840.1.113883.6.238"

	actCode         = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	actCodeOID      = "2.16.840.1.113883.5.4"
	absent          = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
	interpretations = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
)

// systems are FHIR's URIs of the code systems that CDA names by OID.
//
// Source: https://terminology.hl7.org (NamingSystem) and
// https://hl7.org/fhir/R4/terminologies-systems.html.
var systems = map[string]string{
	"2.16.840.1.113883.6.1": loinc, "2.16.840.1.113883.6.96": snomed, "2.16.840.1.113883.6.8": ucum,
	"2.16.840.1.113883.6.88":  "http://www.nlm.nih.gov/research/umls/rxnorm",
	"2.16.840.1.113883.6.69":  "http://hl7.org/fhir/sid/ndc",
	"2.16.840.1.113883.6.345": "http://va.gov/terminology/medrt", "2.16.840.1.113883.3.26.1.5": "http://hl7.org/fhir/ndfrt",
	"2.16.840.1.113883.4.9":    "http://fdasis.nlm.nih.gov",
	"2.16.840.1.113883.6.73":   "http://www.whocc.no/atc",
	"2.16.840.1.113883.12.292": "http://hl7.org/fhir/sid/cvx", "2.16.840.1.113883.6.59": "http://hl7.org/fhir/sid/cvx",
	"2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm", "2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
	"2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm", "2.16.840.1.113883.6.104": "http://hl7.org/fhir/sid/icd-9-cm",
	"2.16.840.1.113883.6.4":      "http://www.cms.gov/Medicare/Coding/ICD10",
	"2.16.840.1.113883.6.12":     cpt,
	"2.16.840.1.113883.3.26.1.1": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
	actCodeOID:                   actCode, "2.16.840.1.113883.5.83": interpretations,
}

// systemOf is the URI of the code system with an OID: FHIR's, that of a table of HL7 v2, or
// the OID itself.
func systemOf(oid string) string {
	if uri := systems[oid]; uri != "" {
		return uri
	}
	if table, ok := strings.CutPrefix(oid, "2.16.840.1.113883.12."); ok {
		if n, err := strconv.ParseUint(table, 10, 16); err == nil {
			return "http://terminology.hl7.org/CodeSystem/v2-" + strings.Repeat("0", max(0, 4-len(table))) + strconv.FormatUint(n, 10)
		}
	}
	if oid == "" || strings.Trim(oid, "0123456789.") != "" {
		return oid
	}
	return "urn:oid:" + oid
}

// maxCodings bounds the codings of one concept.
const maxCodings = 100

// concept reads a CD, CE or CV: its code, then its translations, and the original text,
// which may stand in the narrative. A code with a nullFlavor is none, but its
// translations count.
func (c *converter) concept(e *element) fhir.CodeableConcept {
	if e == nil {
		return fhir.CodeableConcept{}
	}
	var out fhir.CodeableConcept
	add := func(e *element) {
		coding := fhir.Coding{
			System: systemOf(e.attr("codeSystem")), Version: e.attr("codeSystemVersion"), Code: e.attr("code"), Display: e.attr("displayName"),
		}
		if coding.Code != "" && e.is() && len(out.Coding) < maxCodings && !slices.Contains(out.Coding, coding) {
			out.Coding = append(out.Coding, coding)
		}
	}
	add(e)
	for t := range e.each("translation") {
		add(t)
	}
	if out.Text = c.words(e.at("originalText")); out.Text == "" && len(out.Coding) == 0 {
		out.Text = e.attr("displayName")
	}
	return out
}

// words is what an ED says: its own text, else the narrative that it refers to.
func (c *converter) words(e *element) string {
	if text := e.words(); text != "" {
		return text
	}
	return c.narrative.at(e.at("reference").attr("value"))
}

// described is a concept that falls back on a text: the names given, else the statement's
// own.
func (c *converter) described(code, statement *element, names ...string) fhir.CodeableConcept {
	out := c.concept(code)
	for _, name := range names {
		if out.IsZero() {
			out.Text = name
		}
	}
	if out.IsZero() {
		out.Text = c.words(statement.at("text"))
	}
	return out
}

// has reports whether one of c's codings is a code of system.
func has(c fhir.CodeableConcept, system string, codes ...string) bool {
	return slices.ContainsFunc(c.Coding, func(k fhir.Coding) bool { return k.System == system && slices.Contains(codes, k.Code) })
}

// one is a concept of a single code.
func one(system, code string) fhir.CodeableConcept {
	return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}}
}

// list is c as a list, empty if it says nothing.
func list(c fhir.CodeableConcept) []fhir.CodeableConcept {
	if c.IsZero() {
		return nil
	}
	return []fhir.CodeableConcept{c}
}

// codeKey is what a concept says, as a part of an id: its first code, else its text.
func codeKey(c fhir.CodeableConcept) string {
	if len(c.Coding) > 0 {
		return c.Coding[0].System + "|" + c.Coding[0].Code
	}
	return "|" + c.Text
}
