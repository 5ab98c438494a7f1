package fhirapi_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestUSCoreExamplesAreGivenBack stores each example of US Core 3.1.1 by itself and
// reads it back.
func TestUSCoreExamplesAreGivenBack(t *testing.T) {
	t.Parallel()
	all, err := examples()
	require.NoError(t, err)
	require.Len(t, all, 84)
	s := newSQLite(t)
	for name, text := range all {
		a := s.do("PUT", "/fhir/"+name, text)
		require.Equal(t, 201, a.status, "%s: %s", name, a.body)
		require.Equal(t, value(t, text), value(t, a.body), name)
	}
	for name, text := range all {
		a := s.get("/fhir/" + name)
		require.Equal(t, 200, a.status, name)
		require.Equal(t, value(t, text), value(t, a.body), name)
		require.Equal(t, `W/"1"`, a.header.Get("ETag"))
		require.Equal(t, "Sun, 22 Nov 2026 09:00:00 GMT", a.header.Get("Last-Modified"))
	}
	t.Run("the same again is no new version", func(t *testing.T) {
		a := s.do("PUT", "/fhir/Patient/example", all["Patient/example"])
		require.Equal(t, 200, a.status)
		require.Equal(t, `W/"1"`, a.header.Get("ETag"))
		require.Empty(t, a.header.Get("Trialmesh-Job"))
	})
	t.Run("each write has a Provenance", func(t *testing.T) {
		b := bundleOf(t, s.get("/fhir/Provenance?target=Patient/example"))
		require.Len(t, b.Entry, 1)
		who := b.Entry[0].Resource["agent"].([]any)[0].(map[string]any)["who"].(map[string]any)
		require.Equal(t, "API client test-ehr/1", who["display"])
		require.Equal(t, "2026-11-22T09:00:00.000Z", b.Entry[0].Resource["recorded"])
		b = bundleOf(t, s.get("/fhir/Patient?_id=example&_revinclude=Provenance:target"))
		require.Len(t, b.Entry, 2)
		require.Equal(t, "include", b.Entry[1].Search.Mode)
	})
}

// TestUSCoreExamplesAreFound stores the examples in one transaction.
func TestUSCoreExamplesAreFound(t *testing.T) {
	t.Parallel()
	all, err := examples()
	require.NoError(t, err)
	var entries []string
	for name, text := range all {
		entries = append(entries, `{"resource":`+text+`,"request":{"method":"PUT","url":"`+name+`"}}`)
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		bundleOf(t, s.do("POST", "/fhir", asked("transaction", entries...)))
		searchExamples(t, s, all)
		s.run()
		require.Len(t, s.loaded(), 1)
		n := s.rows()
		require.EqualValues(t, 3, n[omop.PersonTable])
		require.EqualValues(t, 1, n[omop.VisitTable], "of patients who are examples")
	})
}

// searchExamples asks by each search that US Core 3.1.1 wants of a server, and counts
// by hand-made rules over the files what must be found.
func searchExamples(t *testing.T, s *site, all map[string]string) {
	t.Helper()
	count := func(resourceType string, parts ...string) int {
		n := 0
		for name, text := range all {
			ok := strings.HasPrefix(name, resourceType+"/")
			flat := strings.Join(strings.Fields(text), "")
			for _, p := range parts {
				ok = ok && strings.Contains(flat, p)
			}
			if ok {
				n++
			}
		}
		return n
	}
	ofExample := `"subject":{"reference":"Patient/example"`
	for path, want := range map[string]int{
		"Patient?_id=example": 1,
		"Patient?identifier=http://hospital.smarthealthit.org|1032702": 1,
		"Patient?identifier=1032702":                                   1,
		"Patient?name=shaw":                                            1,
		"Patient?family=SHAW&gender=female":                            1,
		"Patient?given=amy&birthdate=1987-02-20":                       1,
		"Patient?birthdate=1987":                                       1,
		"Patient?birthdate=lt1987":                                     0,
		"Patient?birthdate=gt1987":                                     count("Patient", `"birthDate":"20`),
		"Observation?patient=Patient/example&category=laboratory":      count("Observation", ofExample, `"code":"laboratory"`),
		"Observation?patient=example&category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs": count("Observation", ofExample, `"code":"vital-signs"`),
		"Observation?patient=example&code=http://loinc.org|2339-0,http://loinc.org|8867-4":                            count("Observation", ofExample, `"code":"2339-0"`) + count("Observation", ofExample, `"code":"8867-4"`),
		"Observation?subject:Patient=example":                               count("Observation", ofExample),
		"Observation?patient=nobody":                                        0,
		"Observation?status=final&patient=example":                          count("Observation", ofExample, `"status":"final"`),
		"Observation?patient=example&date=2005-07-05":                       count("Observation", ofExample, `"effectiveDateTime":"2005-07-05"`),
		"Observation?patient=example&date=ge2005-07-05&date=le2005-07-06":   count("Observation", ofExample, `"effectiveDateTime":"2005-07-05"`),
		"Observation?patient=example&date=2005-07":                          count("Observation", ofExample, `"effectiveDateTime":"2005-07`),
		"Condition?patient=example&clinical-status=active":                  count("Condition", ofExample, `"code":"active"`),
		"Condition?patient=example&category=problem-list-item":              count("Condition", ofExample, `"code":"problem-list-item"`),
		"AllergyIntolerance?patient=example&clinical-status=active":         count("AllergyIntolerance", `"patient":{"reference":"Patient/example"`),
		"CarePlan?patient=example&category=assess-plan":                     count("CarePlan", ofExample, `"code":"assess-plan"`),
		"CareTeam?patient=example&status=active":                            count("CareTeam", ofExample, `"status":"active"`),
		"Device?patient=example&type=http://snomed.info/sct|468063009":      count("Device", `"code":"468063009"`, `Patient/example"`),
		"DiagnosticReport?patient=example&category=LAB":                     count("DiagnosticReport", ofExample, `"code":"LAB"`),
		"DiagnosticReport?patient=example&code=58410-2":                     count("DiagnosticReport", ofExample, `"code":"58410-2"`),
		"DocumentReference?patient=example&type=34133-9":                    count("DocumentReference", ofExample, `"code":"34133-9"`),
		"Encounter?patient=example&class=AMB":                               count("Encounter", ofExample, `"code":"AMB"`),
		"Goal?patient=example&lifecycle-status=active":                      count("Goal", ofExample, `"lifecycleStatus":"active"`),
		"Immunization?patient=example&status=completed":                     count("Immunization", `"patient":{"reference":"Patient/example"`),
		"MedicationRequest?patient=example&intent=order":                    count("MedicationRequest", ofExample, `"intent":"order"`),
		"MedicationRequest?patient=example&intent=order,plan&status=active": count("MedicationRequest", ofExample, `"status":"active"`),
		"Organization?name=acme":                                            count("Organization", `"name":"Acme`),
		"Practitioner?name=bone":                                            count("Practitioner", `"family":"Bone"`),
		"Procedure?patient=example&status=completed":                        count("Procedure", ofExample, `"status":"completed"`),
		"Location?address-city=ann%20arbor":                                 count("Location", `"city":"AnnArbor"`),
		"Observation?_id=heart-rate,bmi,none":                               2,
	} {
		b := bundleOf(t, s.get("/fhir/"+path+"&_summary=count"))
		require.NotNil(t, b.Total, path)
		assert.Equal(t, want, *b.Total, path)
	}
	require.Greater(t, count("Observation", ofExample, `"code":"laboratory"`), 20, "the files are what they were")

	t.Run("pages hold everything once", func(t *testing.T) {
		var names []string
		for at, pages := "/fhir/Observation?patient=example&_sort=-date&_count=7", 1; at != ""; pages++ {
			b := bundleOf(t, s.get(at))
			names = append(names, b.names()...)
			require.Equal(t, count("Observation", ofExample), *b.Total, "page %d", pages)
			at = b.link("next")
		}
		require.Len(t, names, count("Observation", ofExample))
		slices.Sort(names)
		require.Len(t, slices.Compact(names), count("Observation", ofExample))
	})
	t.Run("everything", func(t *testing.T) {
		want := 1
		for name, text := range all {
			flat := strings.Join(strings.Fields(text), "")
			if !strings.HasPrefix(name, "Bundle/") && (strings.Contains(flat, ofExample) || strings.Contains(flat, `"patient":{"reference":"Patient/example"`)) {
				want++
			}
		}
		names := map[string]bool{}
		at := "/fhir/Patient/example/$everything?_count=10"
		for at != "" {
			b := bundleOf(t, s.get(at))
			require.LessOrEqual(t, len(b.Entry), 10)
			for _, name := range b.names() {
				require.False(t, names[name], "%s twice", name)
				names[name] = true
			}
			at = b.link("next")
		}
		require.Len(t, names, want, strings.Join(slices.Sorted(maps.Keys(names)), " "))
		require.True(t, names["Patient/example"])
		require.Greater(t, want, 40, strconv.Itoa(want))
	})
}
