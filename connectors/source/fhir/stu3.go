package fhir

// Servers that answer as R4 still hold resources written in STU3 (the $everything
// pages in testdata are such answers). Where STU3 only named an element differently
// it is read as well; the R4 name wins.

// or returns name, or the spelling of another version if only that is present.
func (t *tree) or(at int, name, other string) string {
	if t.member(at, name) == none && t.member(at, other) != none {
		return other
	}
	return name
}

// encounterOf reads encounter, which STU3 called context.
func (t *tree) encounterOf(at int) Reference {
	return t.reference(at, t.or(at, "encounter", "context"))
}

// statusConcept reads a status that is a CodeableConcept in R4, a bare code in STU3.
func (t *tree) statusConcept(at int, name string) CodeableConcept {
	c := t.member(at, name)
	if c != none && t.nodes[c].kind == kindString {
		return CodeableConcept{Coding: []Coding{{Code: t.textOf(c)}}}
	}
	return t.concept(at, name)
}

// immunizationStatus reads status; STU3's notGiven overrules it.
func (t *tree) immunizationStatus(at int) string {
	status := t.required(at, "status")
	if notGiven := t.boolean(at, "notGiven"); notGiven != nil && *notGiven && status == "completed" {
		return "not-done"
	}
	return status
}
