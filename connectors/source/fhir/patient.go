package fhir

// Extensions of US Core (http://hl7.org/fhir/us/core) that Patient carries.
const (
	raceExtension      = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
	ethnicityExtension = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity"
	birthSexExtension  = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
)

// Patient is a FHIR Patient without name, address and identifiers, which no mapping needs.
type Patient struct {
	private

	ID        string
	Active    *bool
	Gender    string // administrative gender: male, female, other, unknown or empty
	BirthSex  string // US Core: M, F, UNK or empty
	BirthDate Time
	Deceased  *bool // deceasedBoolean; nil if not sent
	Died      Time  // deceasedDateTime

	// Race and Ethnicity are the OMB categories of US Core, then the detailed
	// codes. RaceText and EthnicityText are what the sender printed. Code and
	// display may disagree, as in Synthea's 2135-2 "Other".
	Race, Ethnicity         []Coding
	RaceText, EthnicityText string
}

func decodePatient(t *tree, at int, id string) Resource {
	p := &Patient{
		ID:        id,
		Active:    t.boolean(at, "active"),
		Gender:    t.str(at, "gender"),
		BirthDate: t.time(at, "birthDate"),
		Deceased:  t.boolean(at, "deceasedBoolean"),
		Died:      t.time(at, "deceasedDateTime"),
	}
	t.list(at, "extension", func(e int) {
		switch t.str(e, "url") {
		case raceExtension:
			p.Race, p.RaceText = t.categories(e)
		case ethnicityExtension:
			p.Ethnicity, p.EthnicityText = t.categories(e)
		case birthSexExtension:
			p.BirthSex = t.str(e, "valueCode")
		}
	})
	return p
}

// categories reads the nested extensions of US Core race and ethnicity.
func (t *tree) categories(at int) (codes []Coding, text string) {
	var detailed []Coding
	t.list(at, "extension", func(e int) {
		switch t.str(e, "url") {
		case "ombCategory":
			codes = append(codes, t.coding(t.typed(e, "valueCoding", kindObject)))
		case "detailed":
			detailed = append(detailed, t.coding(t.typed(e, "valueCoding", kindObject)))
		case "text":
			text = t.str(e, "valueString")
		}
	})
	return append(codes, detailed...), text
}

// EachReference implements [Resource].
func (*Patient) EachReference(func(string, *Reference)) {}
