package wearable_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/sourcetest"
)

// TestTheDocumentsOfOpenMHealth reads the documents that its schemas must accept or
// refuse, each as the body of a data point. The golden file lists those of which we
// think otherwise; DESIGN.md says why.
func TestTheDocumentsOfOpenMHealth(t *testing.T) {
	t.Parallel()
	var schemas map[string]map[string]map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(payload(t, "openmhealth-documents.json")), &schemas))
	agree, others := map[string]int{}, []string(nil)
	for _, schema := range slices.Sorted(maps.Keys(schemas)) {
		for kind, documents := range schemas[schema] {
			for _, name := range slices.Sorted(maps.Keys(documents)) {
				list, problems := facts(t, document("openmhealth", "", dataPoint(schema, string(documents[name]))))
				refused := slices.ContainsFunc(problems, func(p string) bool { return !strings.HasPrefix(p, "unknown-measure payloads[0].header.schema_id") })
				if refused && strings.HasPrefix(schema, "header") { // its body is empty
					refused = slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, ".header") })
				}
				if refused != (kind == "shouldFail") {
					others = append(others, fmt.Sprintf("%s %s %s: %d points, %s", schema, kind, name, len(list), strings.Join(problems, ", ")))
					continue
				}
				agree[kind]++
			}
		}
	}
	slices.Sort(others)
	sourcetest.Golden(t, "openmhealth.golden", fmt.Sprintf("agree: %d accepted, %d refused\n%s\n", agree["shouldPass"], agree["shouldFail"], strings.Join(others, "\n")))
}

// dataPoint makes a data point of a document: a body, a header, or both.
func dataPoint(schema, document string) string {
	name, version, _ := strings.Cut(schema, "/")
	header := fmt.Sprintf(`{"id":"1","creation_date_time":"2026-01-01T00:00:00Z","schema_id":{"namespace":"omh","name":%q,"version":%q}}`, name, version)
	switch name {
	case "data-point":
		return document
	case "header":
		return `{"header":` + document + `,"body":{}}`
	}
	return `{"header":` + header + `,"body":` + document + `}`
}

// TestWhatShimmerSends reads the three forms of data points, with the statistic, the
// place and the unit that change what a value is.
func TestWhatShimmerSends(t *testing.T) {
	t.Parallel()
	const at = `"effective_time_frame":{"date_time":"2026-03-01T08:30:00+01:00"}`
	const hour = `"effective_time_frame":{"time_interval":{"end_date_time":"2026-03-01T08:00:00Z","duration":{"value":1,"unit":"h"}}}`
	points := []string{
		dataPoint("heart-rate/1.0", `{"heart_rate":{"value":60,"unit":"beats/min"},`+at+`}`),
		dataPoint("heart-rate/1.0", `{"heart_rate":{"value":50,"unit":"beats/min"},"temporal_relationship_to_physical_activity":"at rest",`+at+`}`),
		dataPoint("heart-rate/1.0", `{"heart_rate":{"value":99,"unit":"beats/min"},"descriptive_statistic":"maximum",`+hour+`}`),
		dataPoint("body-weight/1.0", `{"body_weight":{"value":150,"unit":"lb"},`+at+`}`),
		dataPoint("body-temperature/1.0", `{"body_temperature":{"value":98.6,"unit":"F"},`+at+`}`),
		dataPoint("blood-glucose/1.0", `{"blood_glucose":{"value":5.5,"unit":"mmol/L"},`+at+`}`),
		dataPoint("blood-glucose/2.0", `{"blood_glucose":{"value":110,"unit":"mg/dL"},"specimen_source":"interstitial fluid",`+at+`}`),
		dataPoint("blood-pressure/1.0", `{"systolic_blood_pressure":{"value":120,"unit":"mmHg"},"diastolic_blood_pressure":{"value":80,"unit":"mmHg"},`+at+`}`),
		dataPoint("step-count/2.0", `{"step_count":{"value":500,"unit":"steps"},`+hour+`}`),
		dataPoint("step-count/1.0", `{"step_count":501,`+strings.ReplaceAll(hour, "08:00", "10:00")+`}`),
		dataPoint("respiratory-rate/1.0", `{"respiratory_rate":{"value":14,"unit":"breaths/min"},`+at+`}`),
		dataPoint("calories-burned/2.0", `{"kcal_burned":{"value":80,"unit":"kcal"},`+hour+`}`),
		dataPoint("minutes-moderate-activity/1.0", `{"minutes_moderate_activity":{"value":20,"unit":"min"},`+hour+`}`),
		dataPoint("sleep-episode/1.0", `{"total_sleep_time":{"value":50,"unit":"min"},"number_of_awakenings":2,"is_main_sleep":false,`+hour+`}`),
	}
	want := []string{
		"8867-4 60 /min at 2026-03-01T07:30:00Z",
		"40443-4 50 /min at 2026-03-01T07:30:00Z",
		"heart-rate/maximum 99 /min at 2026-03-01T07:00:00Z for 3600 s",
		"29463-7 68.0388555 kg at 2026-03-01T07:30:00Z",
		"8310-5 37 Cel at 2026-03-01T07:30:00Z",
		"15074-8 5.5 mmol/L at 2026-03-01T07:30:00Z",
		"blood-glucose/interstitial-fluid 110 mg/dL at 2026-03-01T07:30:00Z",
		"8480-6 120 mm[Hg] at 2026-03-01T07:30:00Z",
		"8462-4 80 mm[Hg] at 2026-03-01T07:30:00Z",
		"55423-8 500 {steps} at 2026-03-01T07:00:00Z for 3600 s",
		"55423-8 501 {steps} at 2026-03-01T09:00:00Z for 3600 s",
		"9279-1 14 /min at 2026-03-01T07:30:00Z",
		"55424-6 80 kcal at 2026-03-01T07:00:00Z for 3600 s",
		"minutes-moderate-activity 20 min at 2026-03-01T07:00:00Z for 3600 s",
		"93832-4 50 min at 2026-03-01T07:00:00Z for 3600 s",
		"sleep-episode/number_of_awakenings 2 1 at 2026-03-01T07:00:00Z for 3600 s",
		"sleep-episode/is_main_sleep 0 1 at 2026-03-01T07:00:00Z for 3600 s",
	}
	list := "[" + strings.Join(points, ",") + "]"
	for form, doc := range map[string]string{
		"single":  document("openmhealth", "", points...),
		"a list":  document("openmhealth", "", list),
		"Shimmer": document("openmhealth", "", `{"shim":"fitbit","timeStamp":1772352000,"body":`+list+`}`),
	} {
		ours, problems := facts(t, doc)
		require.Empty(t, problems, form)
		require.ElementsMatch(t, want, ours, form)
	}
}
