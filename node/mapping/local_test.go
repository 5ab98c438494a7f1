package mapping_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// own is a site's map.
type own map[[2]string]int64

func (o own) Standard(vocabulary, code string) []vocab.Concept {
	if id, ok := o[[2]string{vocabulary, code}]; ok {
		return []vocab.Concept{{ID: id, Domain: "Measurement", Standard: true}}
	}
	return nil
}

// TestTheSitesMapComesAfterTheVocabulary, whatever the order of the codings.
func TestTheSitesMapComesAfterTheVocabulary(t *testing.T) {
	t.Parallel()
	standard := vocab.Concept{ID: 3023103, Domain: "Measurement", Standard: true}
	words := memory{
		{"LOINC", "2823-3"}: {Source: standard, Standard: []vocab.Concept{standard}},
		{"LOINC", "old"}:    {Source: vocab.Concept{ID: 9}},
	}
	site := own{{"99LAB", "K"}: 1, {"LOINC", "2823-3"}: 2, {"LOINC", "old"}: 3, {"None", "Kalium"}: 4, {"None", "bare"}: 5, {"UCUM", "mmol/l"}: 6}
	for name, c := range map[string]struct {
		code            fhir.CodeableConcept
		concept, source int64
		unmapped, plain int
	}{
		"the vocabulary's own":          {concept(fhir.Coding{System: "http://loinc.org", Code: "2823-3"}), 3023103, 3023103, 0, 0},
		"the site's before it":          {concept(fhir.Coding{System: "99LAB", Code: "K"}, fhir.Coding{System: "http://loinc.org", Code: "2823-3"}), 3023103, 3023103, 0, 0},
		"a system that OMOP lacks":      {concept(fhir.Coding{System: "99LAB", Code: "K"}), 1, 0, 0, 1},
		"a code without a mapping":      {concept(fhir.Coding{System: "http://loinc.org", Code: "old"}), 3, 9, 0, 1},
		"the site's before a known one": {concept(fhir.Coding{System: "http://loinc.org", Code: "new"}, fhir.Coding{System: "99LAB", Code: "K"}), 1, 0, 0, 1},
		"a code without a system":       {concept(fhir.Coding{Code: "bare"}), 5, 0, 0, 1},
		"a mere text":                   {fhir.CodeableConcept{Text: "Kalium"}, 4, 0, 0, 1},
		"nobody's":                      {concept(fhir.Coding{System: "99LAB", Code: "X"}), 0, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &fhir.Observation{
				Status: "final", Code: c.code, Subject: fhir.Reference{Form: fhir.ReferenceLiteral, Type: "Patient", ID: "p"},
				Value: fhir.Value{Quantity: &fhir.Quantity{Unit: "mmol/l"}},
			}
			o.Effective = fhir.Time{Text: "2020", Precision: fhir.PrecisionYear}
			rec := fhir.Record{Type: "Observation", ID: "o", Line: 1, Resource: o}
			for _, m := range []*mapping.Mapper{mapping.New(words).With(site), mapping.New(words)} {
				var b omop.Batch
				result, err := m.Map(t.Context(), rec, &b)
				require.NoError(t, err)
				if m == nil || len(b.Measurements) != 1 {
					t.Fatalf("%d measurements", len(b.Measurements))
				}
				if got := b.Measurements[0]; got.UnitConceptID == 6 { // with the site's map
					require.Equal(t, []int64{c.concept, c.source}, []int64{got.ConceptID, got.SourceConceptID})
					require.Len(t, result.Unmapped, c.unmapped)
				} else {
					require.Zero(t, got.UnitConceptID)
					require.Len(t, result.Unmapped, c.plain+1, "and the unit")
				}
			}
		})
	}
}

func concept(codings ...fhir.Coding) fhir.CodeableConcept {
	return fhir.CodeableConcept{Coding: codings}
}
