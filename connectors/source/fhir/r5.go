package fhir

// What R5 shapes differently is read into the same types: where it gave an element another
// name or another form, the name or the form says which of the two was sent, so nothing has to
// know the version. DESIGN.md lists the differences. The R4 name wins where both are present.

// actCode is the code system of Encounter.class.
const actCode = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

// encounterClass reads class, a Coding in R4, a list of concepts in R5. Of a list the first
// one in the code system of R4 counts, else the first.
func (t *tree) encounterClass(at int) Coding {
	c := t.member(at, "class")
	if c == none || t.nodes[c].kind != kindArray {
		return t.coding(t.typed(at, "class", kindObject))
	}
	var first Coding
	for _, concept := range t.concepts(at, "class") {
		if in, is := concept.In(actCode); is {
			return in
		}
		if first == (Coding{}) && len(concept.Coding) > 0 {
			first = concept.Coding[0]
		}
	}
	return first
}

// encounterStates are the codes of Encounter.status that R5 has and R4 has not.
//
// Source: HL7's map of Encounter from R5 to R4, concept map EncounterStatus,
// https://hl7.org/fhir/extensions/StructureMap-Encounter5to4B.html.
var encounterStates = map[string]string{
	"on-hold": "onleave", "discharged": "finished", "completed": "finished", "discontinued": "cancelled",
}

// encounterStatus reads status, as R4 has it.
func (t *tree) encounterStatus(at int) string {
	status := t.required(at, "status")
	if r4, is := encounterStates[status]; is {
		return r4
	}
	return status
}

// encounterReasons reads why an encounter took place: reasonCode, or reason, which is a list
// of concepts in STU3 and of uses and values in R5.
func (t *tree) encounterReasons(at int) []CodeableConcept {
	if t.member(at, "reasonCode") != none {
		return t.concepts(at, "reasonCode")
	}
	var all []CodeableConcept
	t.list(at, "reason", func(e int) {
		if t.member(e, "value") != none {
			concepts, _ := t.codeableReferences(e, "value")
			all = append(all, concepts...)
		} else if concept := t.conceptAt(e); !concept.IsZero() {
			all = append(all, concept)
		}
	})
	return all
}

// codeableReference reads R5's CodeableReference, either half of which may be absent.
func (t *tree) codeableReference(at int) (CodeableConcept, Reference) {
	if at == none {
		return CodeableConcept{}, Reference{}
	}
	return t.concept(at, "concept"), t.reference(at, "reference")
}

func (t *tree) codeableReferences(at int, name string) (concepts []CodeableConcept, references []Reference) {
	t.list(at, name, func(e int) {
		concept, reference := t.codeableReference(e)
		if !concept.IsZero() {
			concepts = append(concepts, concept)
		}
		if !reference.IsZero() {
			references = append(references, reference)
		}
	})
	return concepts, references
}

// reasons reads reasonCode and reasonReference, which are one list of either in R5.
func (t *tree) reasons(at int) ([]CodeableConcept, []Reference) {
	if t.member(at, "reasonCode") == none && t.member(at, "reasonReference") == none {
		return t.codeableReferences(at, "reason")
	}
	return t.concepts(at, "reasonCode"), t.references(at, "reasonReference")
}

// medication reads medicationCodeableConcept or medicationReference, which are one element in
// R5.
func (t *tree) medication(at int) (CodeableConcept, Reference) {
	if t.member(at, "medicationCodeableConcept") == none && t.member(at, "medicationReference") == none {
		return t.codeableReference(t.typed(at, "medication", kindObject))
	}
	return t.concept(at, "medicationCodeableConcept"), t.reference(at, "medicationReference")
}

// firstConcept reads a concept of R4 that is a list in R5.
func (t *tree) firstConcept(at int, name string) CodeableConcept {
	c := t.member(at, name)
	if c == none || t.nodes[c].kind != kindArray {
		return t.concept(at, name)
	}
	if all := t.concepts(at, name); len(all) > 0 {
		return all[0]
	}
	return CodeableConcept{}
}

// codeOf reads a code of R4 that is a concept in R5.
func (t *tree) codeOf(at int, name string) string {
	c := t.member(at, name)
	if c == none || t.nodes[c].kind != kindObject {
		return t.str(at, name)
	}
	for _, coding := range t.conceptAt(c).Coding {
		if coding.Code != "" {
			return coding.Code
		}
	}
	return ""
}

// manifestations reads concepts of R4 that are CodeableReferences in R5.
func (t *tree) manifestations(at int) []CodeableConcept {
	var all []CodeableConcept
	t.list(at, "manifestation", func(e int) {
		if t.member(e, "concept") != none || t.member(e, "reference") != none {
			if concept, _ := t.codeableReference(e); !concept.IsZero() {
				all = append(all, concept)
			}
			return
		}
		all = append(all, t.conceptAt(e))
	})
	return all
}
