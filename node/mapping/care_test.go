package mapping_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
)

func TestWhoGivesCareIsMapped(t *testing.T) {
	t.Parallel()
	words := memory{
		{"NUCC", "207QG0300X"}:         {Source: vocab.Concept{ID: 38004459}, Standard: []vocab.Concept{{ID: 38004478, Domain: "Provider"}}},
		{"CMS Place of Service", "21"}: {Source: vocab.Concept{ID: 8717}, Standard: []vocab.Concept{{ID: 8717, Domain: "Visit"}}},
	}
	specialty, place, none := 38004478, 8717, 0
	b, result := mapped(t, words, "PractitionerRole", `"practitioner":{"reference":"Practitioner/d1","display":"Dr. Doe"},"organization":{"reference":"Organization/o1"},
		"location":[{"reference":"Location/l1"}],"specialty":[{"coding":[{"system":"http://nucc.org/provider-taxonomy","code":"207QG0300X"}]}]`)
	require.Empty(t, result)
	row := omop.Provider{
		Record:             omop.Record{Key: omop.NewKey("fhir|Practitioner/d1"), CareSite: omop.NewKey("fhir|Location/l1"), Pointer: "line 1"},
		SpecialtyConceptID: &specialty, SpecialtySource: "207QG0300X", SpecialtySourceConceptID: 38004459,
	}
	own := row
	own.Key = omop.NewKey("fhir|PractitionerRole/r1")
	require.Equal(t, []omop.Provider{row, own}, b.Providers, "by the practitioner and by the role")

	b, _ = mapped(t, words, "PractitionerRole", `"organization":{"reference":"Organization/o1"}`)
	require.Equal(t, []omop.Provider{{Record: omop.Record{Key: own.Key, CareSite: omop.NewKey("fhir|Organization/o1"), Pointer: "line 1"}}}, b.Providers)

	b, _ = mapped(t, words, "Practitioner", `"name":[{"family":"Doe"}],"qualification":[{"code":{"text":"MD"}}]`)
	require.Empty(t, b, "who it is, nobody asks")

	b, result = mapped(t, words, "Location", `"name":"Practice of Doe","address":{"line":["1 Elm Street"],"city":"Bangor","state":"ME","postalCode":"04401","country":"US"},
		"type":[{"coding":[{"system":"https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set","code":"21"}]}]`)
	require.Empty(t, result)
	key := omop.NewKey("fhir|Location/r1")
	require.Equal(t, omop.Batch{
		Locations: []omop.Location{{Record: omop.Record{Key: key, Pointer: "line 1"}, State: "ME", CountrySource: "US"}},
		CareSites: []omop.CareSite{{Record: omop.Record{Key: key, Pointer: "line 1"}, Location: key, PlaceConceptID: &place, PlaceSource: "21"}},
	}, b, "neither name nor street")

	b, result = mapped(t, words, "Organization", `"name":"General","address":[{"city":"Bangor"}],"type":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/organization-type","code":"prov"}]}]`)
	require.Equal(t, []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("fhir|Organization/r1"), Pointer: "line 1"}, PlaceConceptID: &none, PlaceSource: "prov"}}, b.CareSites)
	require.Empty(t, b.Locations)
	require.Equal(t, []mapping.Unmapped{{Part: mapping.PlacePart, Vocabulary: "other"}}, result.Unmapped)
}

// TestRecordsNameWhoGaveTheCare by the element that each type has for it.
func TestRecordsNameWhoGaveTheCare(t *testing.T) {
	t.Parallel()
	const code = `"code":{"text":"x"}`
	const doctor = `{"reference":"Practitioner/d1"}`
	for resourceType, members := range map[string]string{
		"Condition":          `"asserter":` + doctor + `,"recordedDate":"2020-03-01",` + code,
		"Procedure":          `"status":"completed","performer":[{"actor":` + doctor + `}],"performedDateTime":"2020-03-01",` + code,
		"Observation":        `"status":"final","performer":[` + doctor + `],"effectiveDateTime":"2020-03-01",` + code,
		"MedicationRequest":  `"status":"active","intent":"order","requester":` + doctor + `,"authoredOn":"2020-03-01","medicationCodeableConcept":{"text":"x"}`,
		"Immunization":       `"status":"completed","patient":{"reference":"Patient/p1"},"performer":[{"actor":` + doctor + `}],"occurrenceDateTime":"2020-03-01","vaccineCode":{"text":"x"}`,
		"AllergyIntolerance": `"patient":{"reference":"Patient/p1"},"recorder":` + doctor + `,"recordedDate":"2020-03-01",` + code,
	} {
		b, _ := mapped(t, memory{}, resourceType, ofPatient+members)
		var got []omop.Key
		for _, r := range b.Conditions {
			got = append(got, r.Provider)
		}
		for _, r := range b.Procedures {
			got = append(got, r.Provider)
		}
		for _, r := range b.Observations {
			got = append(got, r.Provider)
		}
		for _, r := range b.Drugs {
			got = append(got, r.Provider)
		}
		require.Equal(t, []omop.Key{omop.NewKey("fhir|Practitioner/d1")}, got, resourceType)
	}
	const visit = `"status":"finished","class":{"code":"IMP"},"subject":{"reference":"Patient/p1"},"period":{"start":"2020-03-01"},"serviceProvider":{"reference":"Organization/o1"},
		"participant":[{"individual":{"reference":"RelatedPerson/x"}},{"individual":{"reference":"PractitionerRole/d1"}}]`
	b, _ := mapped(t, memory{}, "Encounter", visit)
	require.Equal(t, omop.NewKey("fhir|PractitionerRole/d1"), b.Visits[0].Provider, "the first who gives care")
	require.Equal(t, omop.NewKey("fhir|Organization/o1"), b.Visits[0].CareSite)
	b, _ = mapped(t, memory{}, "Encounter", visit+`,"location":[{"location":{"reference":"Location/l1"}}]`)
	require.Equal(t, omop.NewKey("fhir|Location/l1"), b.Visits[0].CareSite)
	b, _ = mapped(t, memory{}, "Condition", ofPatient+`"asserter":{"reference":"Patient/p1"},"recordedDate":"2020-03-01",`+code)
	require.True(t, b.Conditions[0].Provider.IsZero(), "the patient gave no care")
}
