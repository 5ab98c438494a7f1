package hl7v2

import (
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// patientTypes are the types of identifier (HL7 table 0203) that name a patient in one
// place for ever, best first; MRN is a frequent misspelling of MR.
var patientTypes = []string{"MR", "MRN", "PI", "PE", "PT"}

// patientID is the id of the patient whom a list of CX names; empty if it names none.
// The best type counts, then the order in which they were sent.
func (c *converter) patientID(list field) string {
	best, rank := field{d: list.d}, len(patientTypes)+1
	for _, one := range list.repeats() {
		r := slices.Index(patientTypes, one.at(5).text())
		if r < 0 {
			r = len(patientTypes)
		}
		if one.at(1).text() != "" && r < rank {
			best, rank = one, r
		}
	}
	return c.assigned("Patient", best)
}

// assigned is the id of what a CX names: its assigning authority and its number. The
// authority is the universal id, else the name, else the facility that assigned it,
// else the one that sent the message. It is empty if there is no number.
func (c *converter) assigned(kind string, cx field) string {
	number := cx.at(1).text()
	if number == "" {
		return ""
	}
	by := hierarchic(cx.at(4))
	if by == "" {
		by = hierarchic(cx.at(6))
	}
	if by == "" {
		by = c.facility
	}
	return fhir.Digest(kind, by, number)
}

// hierarchic is what an HD that is a component says: the universal id, else the name.
func hierarchic(hd field) string {
	if universal := hd.sub(2).text(); universal != "" {
		return universal
	}
	return hd.sub(1).text()
}

// entity is a part of an id made of an EI: its authority and its number. Both are
// empty if there is no number.
func (c *converter) entity(ei field) (by, number string) {
	number = ei.at(1).text()
	if number == "" {
		return "", ""
	}
	if by = ei.at(3).text(); by == "" {
		by = ei.at(2).text()
	}
	if by == "" {
		by = c.facility
	}
	return by, number
}

// codeKey is what a concept says, as a part of an id: its first code, else its text.
func codeKey(c fhir.CodeableConcept) string {
	if len(c.Coding) > 0 {
		return c.Coding[0].System + "|" + c.Coding[0].Code
	}
	return "|" + c.Text
}
