package mapping

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/vocab"
)

// Version names this mapper in lineage. It changes when the same record and the
// same vocabulary would give other rows.
const Version = "trialmesh/2"

// Vocabulary is what mapping asks about codes.
type Vocabulary interface {
	// Lookup returns what is known about a code of a vocabulary, both as OMOP
	// writes them. A code that is not known is the zero Mapping and no error.
	Lookup(ctx context.Context, vocabulary, code string) (vocab.Mapping, error)
}

// Local is a site's own map of codes.
type Local interface {
	// Standard returns the standard concepts that a code means at this site, none if
	// it is not mapped. The vocabulary is named as by [VocabularyOf].
	Standard(vocabulary, code string) []vocab.Concept
}

// Mapper maps records with one vocabulary and, if it has one, a site's own map of what
// that leaves open. It is safe for concurrent use.
type Mapper struct {
	vocabulary Vocabulary
	local      Local // may be nil
}

// New returns a Mapper.
func New(v Vocabulary) *Mapper { return &Mapper{vocabulary: v} }

// With returns a Mapper of the same vocabulary with a site's own map.
func (m *Mapper) With(own Local) *Mapper { return &Mapper{m.vocabulary, own} }

// own asks the site's own map.
func (m *Mapper) own(vocabulary, code string) []vocab.Concept {
	if m.local == nil {
		return nil
	}
	return m.local.Standard(vocabulary, code)
}

// Rule says why a record or a part of it gave no row.
type Rule string

// The rules.
const (
	NoPerson    Rule = "no-person"     // it does not say whose it is
	NoDate      Rule = "no-date"       // OMOP has no row without a day
	NoCode      Rule = "no-code"       // it does not say what it is about
	NoBirthDate Rule = "no-birth-date" // OMOP has no person without a year of birth
)

// Problem is a part of a record that gave no row. Path leads to it from the
// resource; it holds no value.
type Problem struct {
	Rule Rule
	Path string
}

// Part is what a code is for in its record.
type Part string

// The parts.
const (
	CodePart  Part = "code" // what the record is about
	ValuePart Part = "value"
	UnitPart  Part = "unit"
	RoutePart Part = "route"

	SpecialtyPart Part = "specialty" // of who gives care
	PlacePart     Part = "place"     // where it is given
)

// Unmapped is a code without a standard concept. Vocabulary is OMOP's name of its
// system, "other" for a system that is not known here and for a mere text.
type Unmapped struct {
	Part       Part
	Vocabulary string
}

// Result is what mapping one record has to say besides its rows.
type Result struct {
	Problems []Problem
	Unmapped []Unmapped
}

// mapping is the state of mapping one record.
type mapping struct {
	*Mapper
	ctx    context.Context //nolint:containedctx // lives as long as one call
	record fhir.Record
	batch  *omop.Batch
	result Result
	err    error // of the vocabulary; the first one counts
}

// Map appends the rows of rec to b. A record of a type that has no rows
// (DiagnosticReport, whose values are Observations of their own, and all that
// connectors/source/fhir does not decode) adds nothing. The error is one of the
// vocabulary; b may then hold some of the rows and must be dropped.
func (m *Mapper) Map(ctx context.Context, rec fhir.Record, b *omop.Batch) (Result, error) {
	one := &mapping{Mapper: m, ctx: ctx, record: rec, batch: b}
	switch r := rec.Resource.(type) {
	case *fhir.Patient:
		one.patient(r)
	case *fhir.Encounter:
		one.encounter(r)
	case *fhir.Condition:
		one.condition(r)
	case *fhir.Observation:
		one.observation(r)
	case *fhir.MedicationRequest:
		one.medicationRequest(r)
	case *fhir.Procedure:
		one.procedure(r)
	case *fhir.Immunization:
		one.immunization(r)
	case *fhir.AllergyIntolerance:
		one.allergy(r)
	case *fhir.PractitionerRole:
		one.practitionerRole(r)
	case *fhir.Place:
		one.careSite(r)
	}
	if one.err != nil {
		return Result{}, fmt.Errorf("map %s: %w", rec.Type, one.err)
	}
	return one.result, nil
}

// UnitConcept returns the standard concept of a UCUM code, 0 for none.
func (m *Mapper) UnitConcept(ctx context.Context, code string) (int64, error) {
	found, err := m.vocabulary.Lookup(ctx, UCUM, code)
	if err != nil || len(found.Standard) == 0 {
		return 0, err
	}
	return found.Standard[0].ID, nil
}

// Concept returns the standard concept of a code of a code system that is named as
// FHIR does, 0 for none.
func (m *Mapper) Concept(ctx context.Context, system, code string) (int64, error) {
	standard, err := m.Concepts(ctx, system, code)
	if err != nil || len(standard) == 0 {
		return 0, err
	}
	return standard[0].ID, nil
}

// Concepts returns the standard concepts of a code of a code system that is named as
// FHIR does: usually one, none for a code that is not mapped.
func (m *Mapper) Concepts(ctx context.Context, system, code string) ([]vocab.Concept, error) {
	if vocabulary := vocabularies[system]; vocabulary != "" {
		found, err := m.vocabulary.Lookup(ctx, vocabulary, code)
		if err != nil || len(found.Standard) > 0 {
			return found.Standard, err
		}
	}
	return m.own(VocabularyOf(system), code), nil
}

// PersonKey is the key of a person: of the one whose Patient resource has the given
// id, or of the one with the given person_id in the site's CDM if it is person/ and that
// number, which no id of FHIR is.
func PersonKey(id string) omop.Key {
	if number, ok := strings.CutPrefix(id, "person/"); ok {
		return cdmKey("person", number)
	}
	return key("Patient", id)
}

// CDMKey is the key of a row of a site's CDM: the site's own number of it.
func CDMKey(table string, id int64) omop.Key { return cdmKey(table, strconv.FormatInt(id, 10)) }

func cdmKey(table, id string) omop.Key { return omop.NewKey("omop|" + table + "/" + id) }

func key(resourceType, id string) omop.Key { return omop.NewKey("fhir|" + resourceType + "/" + id) }

func (m *mapping) problem(r Rule, path string) {
	m.result.Problems = append(m.result.Problems, Problem{r, path})
}

// Pointer says where in the file a record stands: "entry[17]" or "line 4". It is
// the pointer of the record's rows, except that those of components go on with a
// dot and the component.
func Pointer(r fhir.Record) string {
	if r.Path == "" {
		return "line " + strconv.Itoa(r.Line)
	}
	return strings.TrimSuffix(r.Path, ".resource")
}

func (m *mapping) pointer() string { return Pointer(m.record) }

// of begins the row of the current record; path is where the reference to the
// person stands. ok is false if there is none.
func (m *mapping) of(subject, visit fhir.Reference, path string) (omop.Record, bool) {
	person, ok := target(subject, "Patient")
	if !ok {
		m.problem(NoPerson, path)
		return omop.Record{}, false
	}
	r := omop.Record{Key: key(m.record.Type, m.record.ID), Person: person, Pointer: m.pointer()}
	if v, ok := target(visit, "Encounter"); ok {
		r.Visit = v
	}
	return r, true
}

// target is the key of what ref points to if that is of the given type. A urn:uuid:
// that nothing in its bundle answered is taken to be the id of a resource that
// came in another file.
func target(ref fhir.Reference, resourceType string) (omop.Key, bool) {
	switch {
	case ref.Form == fhir.ReferenceLiteral && ref.Type == resourceType,
		ref.Form == fhir.ReferenceURN && strings.HasPrefix(ref.URN, "urn:uuid:"):
		return key(resourceType, ref.ID), true
	}
	return omop.Key{}, false
}
