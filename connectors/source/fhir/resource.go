package fhir

// Resource is one of the decoded types of this package, or what another source has
// to say that FHIR has no resource for, such as the merge of two patients.
type Resource interface {
	// EachReference visits the resource's references that were sent. The path is
	// the element's name; visit may replace what the pointer holds.
	EachReference(visit func(path string, r *Reference))
}

// decoders read the types that an OMOP mapping needs. They fault what is
// missing or mistyped and leave the rest of the resource alone.
var decoders = map[string]func(t *tree, at int, id string) Resource{
	"Patient":            decodePatient,
	"Encounter":          decodeEncounter,
	"Condition":          decodeCondition,
	"Observation":        decodeObservation,
	"MedicationRequest":  decodeMedicationRequest,
	"Procedure":          decodeProcedure,
	"Immunization":       decodeImmunization,
	"AllergyIntolerance": decodeAllergyIntolerance,
	"DiagnosticReport":   decodeDiagnosticReport,
	"PractitionerRole":   decodePractitionerRole,
	"Location":           decodePlace,
	"Organization":       decodePlace,
}

// named is a reference and the element that holds it.
type named struct {
	path string
	ref  *Reference
}

func visitAll(visit func(string, *Reference), refs ...named) {
	for _, n := range refs {
		if !n.ref.IsZero() {
			visit(n.path, n.ref)
		}
	}
}

func visitList(visit func(string, *Reference), path string, refs []Reference) {
	for i := range refs {
		visit(path, &refs[i])
	}
}
