package ccda

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// identifier is an II: the root is who assigned the extension, or is itself the
// identifier if there is none.
func identifier(e *element) (by, number string) {
	if !e.is() {
		return "", ""
	}
	by, number = strings.ToLower(e.attr("root")), e.attr("extension")
	if number == "" {
		return "", by
	}
	if by == "" {
		by = e.attr("assigningAuthorityName")
	}
	return by, number
}

// identified is the first identifier of a statement, empty if there is none.
func identified(e *element) (by, number string) {
	for id := range e.each("id") {
		if by, number = identifier(id); number != "" {
			return by, number
		}
	}
	return "", ""
}

// national are the roots of numbers that name a person to the state, not to a site.
//
// Source: https://www.hl7.org/oid: social security number, and Medicare's.
var national = []string{"2.16.840.1.113883.4.1", "2.16.840.1.113883.4.572", "2.16.840.1.113883.4.927"}

// patientID is the id of the patient whom a patientRole names; empty if it names none.
// The first number that a site assigned counts, then any number, then any root.
func patientID(role *element) string {
	best, rank := "", 3
	for id := range role.each("id") {
		by, number := identifier(id)
		r := 0
		switch {
		case number == "":
			continue
		case by == "":
			r = 2
		case isNational(by):
			r = 1
		}
		if r < rank {
			best, rank = fhir.Digest("Patient", by, number), r
		}
	}
	return best
}

func isNational(root string) bool {
	for _, n := range national {
		if root == n {
			return true
		}
	}
	return false
}

// id names what a statement says: by the patient and its own identifier, else by the
// patient and what is given, which is code and time. Identifiers ought to be unique
// without the patient, but samples and templates are copied with theirs. Senders also
// repeat identifiers for different things, and things without one repeat code and time;
// what the record says in full then tells the second from the first. The same said twice
// in one document is one.
func (c *converter) id(kind string, statement *element, says []string, full ...string) string {
	key := append([]string{kind, c.patient.ID, "", ""}, says...)
	if by, number := identified(statement); number != "" {
		key = []string{kind, c.patient.ID, by, number}
	}
	return c.distinct(key, append(says, full...))
}

// distinct is the id of a key, or of the key and all that is said if the document has
// used the key for something else.
func (c *converter) distinct(key, says []string) string {
	id, whole := fhir.Digest(key...), fhir.Digest(says...)
	if before, ok := c.seen[id]; ok && before != whole {
		return fhir.Digest(append(key, whole)...)
	}
	c.seen[id] = whole
	return id
}

// visitID names a visit by the number that an authority gave it, as hl7v2 does, so that
// both speak of one visit; else as any statement.
func (c *converter) visitID(e *element, code string, period fhir.Period) string {
	if by, number := identified(e); by != "" {
		return fhir.Digest("Encounter", by, number)
	}
	return c.id("Encounter", e, []string{code, period.Start.Text}, period.End.Text)
}
