package fhir

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestR5GivesWhatR4Gives: each element that R5 names or shapes differently.
func TestR5GivesWhatR4Gives(t *testing.T) {
	t.Parallel()
	const (
		of    = `,"id":"1","subject":{"reference":"Patient/1"}`
		ofOne = `,"id":"1","patient":{"reference":"Patient/1"}`
		pain  = `{"coding":[{"system":"http://snomed.info/sct","code":"22253000"}]}`
		cough = `{"text":"cough"}`
		drug  = `"code":{"coding":[{"code":"1"}]}`
	)
	for name, c := range map[string]struct{ kind, r4, r5 string }{
		"Encounter.class": {
			"Encounter", of + `,"status":"finished","class":{"system":"` + actCode + `","code":"AMB"}`,
			of + `,"status":"finished","class":[{"coding":[{"system":"urn:x","code":"walk"}]},{"coding":[{"system":"` + actCode + `","code":"AMB"}]}]`,
		},
		"Encounter.class of another system": {
			"Encounter", of + `,"status":"finished","class":{"system":"urn:x","code":"walk"}`,
			of + `,"status":"finished","class":[{"text":"walk"},{"coding":[{"system":"urn:x","code":"walk"}]}]`,
		},
		"Encounter.actualPeriod": {
			"Encounter", of + `,"status":"in-progress","period":{"start":"2020-01-02"}`, of + `,"status":"in-progress","actualPeriod":{"start":"2020-01-02"}`,
		},
		"Encounter.status completed":    {"Encounter", of + `,"status":"finished"`, of + `,"status":"completed"`},
		"Encounter.status discharged":   {"Encounter", of + `,"status":"finished"`, of + `,"status":"discharged"`},
		"Encounter.status on-hold":      {"Encounter", of + `,"status":"onleave"`, of + `,"status":"on-hold"`},
		"Encounter.status discontinued": {"Encounter", of + `,"status":"cancelled"`, of + `,"status":"discontinued"`},
		"Encounter.reason": {
			"Encounter", of + `,"status":"finished","reasonCode":[` + pain + `,` + cough + `]`,
			of + `,"status":"finished","reason":[{"use":[` + cough + `],"value":[{"concept":` + pain + `},{"reference":{"reference":"Condition/1"}}]},{"value":[{"concept":` + cough + `}]}]`,
		},
		"Encounter.admission": {
			"Encounter", of + `,"status":"finished","hospitalization":{"dischargeDisposition":` + pain + `}`,
			of + `,"status":"finished","admission":{"dischargeDisposition":` + pain + `}`,
		},
		"Encounter.participant.actor": {
			"Encounter", of + `,"status":"finished","participant":[{"individual":{"reference":"Practitioner/1"}}]`,
			of + `,"status":"finished","participant":[{"actor":{"reference":"Practitioner/1"}}]`,
		},
		"MedicationRequest.medication, a concept": {
			"MedicationRequest", of + `,"status":"active","medicationCodeableConcept":` + pain, of + `,"status":"active","medication":{"concept":` + pain + `}`,
		},
		"MedicationRequest.medication, a record": {
			"MedicationRequest", of + `,"status":"active","medicationReference":{"reference":"Medication/1"}`,
			of + `,"status":"active","medication":{"reference":{"reference":"Medication/1"}}`,
		},
		"MedicationRequest.medication, contained": {
			"MedicationRequest", of + `,"status":"active","contained":[{"resourceType":"Medication","id":"m",` + drug + `}],"medicationReference":{"reference":"#m"}`,
			of + `,"status":"active","contained":[{"resourceType":"Medication","id":"m",` + drug + `}],"medication":{"reference":{"reference":"#m"}}`,
		},
		"MedicationRequest.reason and dosage": {
			"MedicationRequest", of + `,"status":"active","medicationCodeableConcept":` + cough + `,"reasonCode":[` + pain + `],"reasonReference":[{"reference":"Condition/1"}],"dosageInstruction":[{"asNeededBoolean":true}]`,
			of + `,"status":"active","medication":{"concept":` + cough + `},"reason":[{"concept":` + pain + `},{"reference":{"reference":"Condition/1"}}],"dosageInstruction":[{"asNeeded":true}]`,
		},
		"Procedure": {
			"Procedure", of + `,"status":"completed","code":` + pain + `,"category":` + cough + `,"performedDateTime":"2020-01-02","reasonReference":[{"reference":"Condition/1"}]`,
			of + `,"status":"completed","code":` + pain + `,"category":[` + cough + `],"occurrenceDateTime":"2020-01-02","reason":[{"reference":{"reference":"Condition/1"}}]`,
		},
		"Procedure of a while": {
			"Procedure", of + `,"status":"completed","code":` + pain + `,"performedPeriod":{"start":"2020-01-02"}`,
			of + `,"status":"completed","code":` + pain + `,"occurrencePeriod":{"start":"2020-01-02"}`,
		},
		"AllergyIntolerance": {
			"AllergyIntolerance", ofOne + `,"type":"allergy","reaction":[{"manifestation":[` + pain + `]}]`,
			ofOne + `,"type":{"coding":[{"system":"http://hl7.org/fhir/allergy-intolerance-type","code":"allergy"}]},"reaction":[{"manifestation":[{"concept":` + pain + `},{"reference":{"reference":"Observation/1"}}]}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := func(members string) Resource {
				return decodeOne[Resource](t, fmt.Sprintf(`{"resourceType":%q%s}`, c.kind, members))
			}
			require.Equal(t, read(c.r4), read(c.r5))
		})
	}
}

// TestR4WinsWhereBothStand: a resource of R4 with elements of R5 is one of R4.
func TestR4WinsWhereBothStand(t *testing.T) {
	t.Parallel()
	e := decodeOne[*Encounter](t, `{"resourceType":"Encounter","id":"1","status":"finished","subject":{"reference":"Patient/1"},
"period":{"start":"2020-01-02"},"actualPeriod":{"start":"2021-01-02"},"reasonCode":[{"text":"a"}],"reason":[{"value":[{"concept":{"text":"b"}}]}]}`)
	require.Equal(t, "2020-01-02", e.Period.Start.Text)
	require.Equal(t, []CodeableConcept{{Text: "a"}}, e.Reason)
}

// unread are published examples that in both versions lack what they would say something by:
// no subject, no code of what was done or ordered.
var unread = []string{
	"Observation/decimal", "Procedure/appendectomy-narrative",
	"MedicationRequest/medrx0322", "MedicationRequest/medrx0323", "MedicationRequest/medrx0329",
	"MedicationRequest/medrx0336", "MedicationRequest/medrx0337", "MedicationRequest/medrx0338",
}

// TestPublishedExamplesOfBothVersionsAreRead as lines, as a page of a search and as a
// collection: 162 pairs, all but those of unread.
func TestPublishedExamplesOfBothVersionsAreRead(t *testing.T) {
	t.Parallel()
	var ids [][]string
	for _, version := range []string{"r4", "r5"} {
		text := unzip(t, "versions/"+version+".ndjson.gz")
		lines := collect(t, bytes.NewReader(text), Options{})
		require.Len(t, lines.records, 162-len(unread), version)
		require.Len(t, lines.problems, len(unread))
		for _, r := range lines.records {
			require.NotContains(t, unread, r.Type+"/"+r.ID)
			require.NotNil(t, r.Resource)
		}
		missing := map[string]int{}
		for _, p := range lines.problems {
			require.Equal(t, RuleMissingField, p.Rule)
			missing[p.Path]++
		}
		require.Equal(t, map[string]int{"subject": 1, "code": 1, "medicationCodeableConcept": 6}, missing)
		ids = append(ids, lines.ids())
		for _, kind := range []string{"searchset", "collection"} {
			resources := strings.Split(strings.TrimSpace(string(text)), "\n")
			bundle := collectText(t, `{"resourceType":"Bundle","type":"`+kind+`","entry":[{"resource":`+strings.Join(resources, `},{"resource":`)+`}]}`)
			require.Equal(t, lines.ids(), bundle.ids())
			for i := range lines.records {
				require.Equal(t, lines.records[i].Resource, bundle.records[i].Resource)
			}
		}
	}
	require.Equal(t, ids[0], ids[1])
}
