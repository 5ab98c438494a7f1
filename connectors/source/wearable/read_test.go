package wearable_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

const pulse = `{"data":[{"bpm":60,"timestamp":"2026-03-01T08:00:00Z"}]}`

func TestADocumentIsReadPlainAndZippedAndInParts(t *testing.T) {
	t.Parallel()
	doc := document("oura", "Europe/Helsinki", pulse, payload(t, "oura/v1-sleep_summary.json"))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, doc)
	require.NoError(t, w.Close())
	for name, src := range map[string]io.Reader{
		"plain": strings.NewReader(doc), "gzip": &zipped, "byte by byte": iotest.OneByteReader(strings.NewReader(doc)),
	} {
		all, problems := read(t, src, fhir.Options{})
		require.Empty(t, problems, name)
		require.Len(t, all, 20, name)
		require.Equal(t, observation.Series{
			Source: "oura", Person: "p", System: "http://loinc.org", Code: "8867-4", Unit: "/min", Times: []int64{1772352000000}, Values: []float64{60},
		}, *all[0], name)
	}
}

func TestADamagedDocumentIsAProblem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "truncated ",
		"[]":                                "wrong-type ",
		`{"wearable":"oura"`:                "truncated ",
		`{"wearable":"oura"}`:               "missing-field payloads",
		`{"wearable":"oura","payloads":[]}`: "missing-field patient",
		`{"patient":"p","payloads":[]}`:     "missing-field wearable",
		`{"wearable":"abacus","patient":"p","payloads":[]}`:                         "unknown-wearable wearable",
		`{"wearable":7,"patient":"p","payloads":[]}`:                                "wrong-type wearable",
		`{"wearable":"oura","wearable":"oura"}`:                                     "duplicate-key wearable",
		`{"wearable":"oura","patient":"` + strings.Repeat("p", 65) + `"}`:           "too-large patient",
		"{\"wearable\":\"oura\",\"patient\":\"p\xff\"}":                             "invalid-utf8 patient",
		`{"wearable":"oura","patient":"p\u0000"}`:                                   "forbidden-character patient",
		`{"wearable":"oura","patient":"p","timezone":"Mars/Olympus","payloads":[]}`: "invalid-time timezone",
		`{"wearable":"oura","patient":"p","units":"us","payloads":[]}`:              "invalid-unit units",
		`{"wearable":"fitbit","patient":"p","units":"ell","payloads":[]}`:           "invalid-unit units",
		`{"wearable":"oura","patient":"p","note":"n","payloads":[]}`:                "malformed-json ",
		`{"wearable":"oura","patient":"p","payloads":{}}`:                           "wrong-type ",
		`{"wearable":"oura","patient":"p","payloads":[],"payloads":[]}`:             "malformed-json ",
		`{"wearable":"oura","patient":"p","payloads":[]} {}`:                        "malformed-json ",
		`{"wearable":"oura","patient":"p","payloads":[{"data":[{"bpm":`:             "truncated ",
		`{"wearable":"oura","patient":"p","payloads":[{"data":[{"bpm" 1}]}]}`:       "malformed-json ",
		`{"wearable":"oura","patient":"p","payloads":[{"data":[]}`:                  "truncated ",
	} {
		list, problems := facts(t, text)
		require.Empty(t, list, text)
		require.Equal(t, []string{want}, problems, text)
	}
}

// TestOneBadValueKeepsNoOtherOut puts each fault between two good values.
func TestOneBadValueKeepsNoOtherOut(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		`7`:         "wrong-type payloads[0].data[1]",
		`{"bpm":1}`: "missing-field payloads[0].data[1].timestamp",
		`{"bpm":"NaN","timestamp":"2026-03-01T09:00:00Z"}`:                "wrong-type payloads[0].data[1].bpm",
		`{"bpm":"0x1p3","timestamp":"2026-03-01T09:00:00Z"}`:              "wrong-type payloads[0].data[1].bpm",
		`{"bpm":1e999,"timestamp":"2026-03-01T09:00:00Z"}`:                "invalid-number payloads[0].data[1].bpm",
		`{"bpm":-1,"timestamp":"2026-03-01T09:00:00Z"}`:                   "invalid-number payloads[0].data[1].bpm",
		`{"bpm":[60],"timestamp":"2026-03-01T09:00:00Z"}`:                 "wrong-type payloads[0].data[1].bpm",
		`{"bpm":60,"timestamp":"yesterday"}`:                              "invalid-time payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":"2026-02-30T09:00:00Z"}`:                   "invalid-time payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":1772352000}`:                               "wrong-type payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":"9026-03-01T09:00:00Z"}`:                   "invalid-time payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":"0026-03-01T09:00:00Z"}`:                   "invalid-time payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":"2026-03-01T09:00:00"}`:                    "missing-timezone payloads[0].data[1].timestamp",
		`{"bpm":60,"timestamp":"2026-03-01T08:00:00Z"}`:                   "repeated-point payloads[0].data[1].bpm",
		`{"bpm":61,"timestamp":"2026-03-01T09:00:00+01:00"}`:              "conflicting-point payloads[0].data[1].bpm",
		`{"x":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`: "too-deep payloads[0].data[1]",
		`{"never":"seen"}`: "unknown-payload payloads[0].data[1]",
	} {
		doc := document("oura", "", `{"data":[{"bpm":60,"timestamp":"2026-03-01T08:00:00Z"},`+bad+`,{"bpm":62,"timestamp":"2026-03-01T10:00:00Z"}]}`)
		list, problems := facts(t, doc)
		require.Equal(t, []string{"8867-4 60 /min at 2026-03-01T08:00:00Z", "8867-4 62 /min at 2026-03-01T10:00:00Z"}, list, bad)
		require.Equal(t, []string{want}, problems, bad)
	}
}

func TestAnotherMakersAnswerIsNoPayload(t *testing.T) {
	t.Parallel()
	for maker, text := range map[string]string{
		"fitbit": pulse, "oura": `{"activities-steps":[]}`, "garmin": pulse, "google": pulse, "withings": pulse, "openmhealth": pulse,
	} {
		for _, text := range []string{text, "[" + text + "]", "7", `"x"`, "null"} {
			list, problems := facts(t, document(maker, "UTC", text, text))
			require.Empty(t, list, "%s %s", maker, text)
			require.Len(t, problems, 2, "%s %s", maker, text)
			require.Contains(t, problems[1], "unknown-payload payloads[1]", "%s %s", maker, text)
		}
	}
}

// TestLongListsAreStreamed: what is in memory is one element and 10,000 points.
func TestLongListsAreStreamed(t *testing.T) {
	t.Parallel()
	const n = 25_000
	elements := make([]io.Reader, 0, n)
	for i := range n {
		comma := ","
		if i == 0 {
			comma = ""
		}
		elements = append(elements, strings.NewReader(fmt.Sprintf(`%s{"bpm":%d,"timestamp":"2026-03-01T%02d:%02d:%02dZ"}`, comma, 50+i%50, i/3600, i/60%60, i%60)))
	}
	h := wearable.Header{Wearable: "oura", Patient: "p"}
	src := io.MultiReader(strings.NewReader(h.Open()+`{"data":[`), io.MultiReader(elements...), strings.NewReader("]}"+wearable.Close))
	all, problems := read(t, src, fhir.Options{MaxRecord: 70_000}) // the document has 1.3 MB
	require.Empty(t, problems)
	require.Len(t, all, 3)
	require.Len(t, all[0].Times, 10_000)
	require.Len(t, all[2].Times, n-20_000)

	doc := document("oura", "", `{"data":[{"x":"`+strings.Repeat("x", 200_000)+`"}]}`)
	_, problems = read(t, strings.NewReader(doc), fhir.Options{MaxRecord: 70_000})
	require.Len(t, problems, 1)
	require.Equal(t, fhir.RuleTooLarge, problems[0].Rule)

	list, found := facts(t, document("oura", "", `{"data":[{"x":[`+strings.Repeat("0,", 600_000)+`0]},{"bpm":60,"timestamp":"2026-03-01T08:00:00Z"}]}`))
	require.Equal(t, []string{"too-large payloads[0].data[0]"}, found)
	require.Len(t, list, 1, "reading goes on behind an element of many values")
}

func TestAFailingSourceAndAnEndedContextAreErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk gone")
	doc := document("oura", "", pulse)
	for _, err := range wearable.Read(t.Context(), io.MultiReader(strings.NewReader(doc[:80]), iotest.ErrReader(broken)), fhir.Options{}) {
		require.ErrorIs(t, err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range wearable.Read(ctx, strings.NewReader(doc), fhir.Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	for range wearable.Read(t.Context(), strings.NewReader(document("oura", "", pulse, pulse)), fhir.Options{}) {
		break // a caller may have had enough
	}
}

// TestADocumentIsOfOnePerson: a second user in it is refused, whoever they are.
func TestADocumentIsOfOnePerson(t *testing.T) {
	t.Parallel()
	hour := func(user, at string) string {
		return `{"userProfilePK":` + user + `,"calendarDate":"2026-03-01","heartRateValues":[[` + at + `,60]]}`
	}
	list, problems := facts(t, document("garmin", "", hour("17", "1772352000000"), hour("18", "1772352060000"), hour("17", "1772352120000")))
	require.Len(t, list, 2)
	require.Equal(t, []string{"several-users payloads[1].userProfilePK"}, problems)

	point := func(user string) string {
		return `{"header":{"id":"1","creation_date_time":"2026-01-01T00:00:00Z","user_id":"` + user + `","schema_id":{"namespace":"omh","name":"heart-rate","version":"1.0"}},
			"body":{"heart_rate":{"value":60,"unit":"beats/min"},"effective_time_frame":{"date_time":"2026-03-01T08:00:00Z"}}}`
	}
	_, problems = facts(t, document("openmhealth", "", point("ada"), point("bob")))
	require.Equal(t, []string{"several-users payloads[1].header.user_id"}, problems)

	_, problems = facts(t, document("google", "", `{"dataPoints":[{"name":"users/1/dataTypes/steps/dataPoints/a","steps":{}},{"name":"users/2/x","steps":{}}]}`))
	require.Contains(t, problems, "several-users payloads[0].dataPoints[1].name")

	list, problems = facts(t, document("withings", "", `{"status":0,"body":{"measuregrps":[
		{"attrib":1,"category":1,"date":1772352000,"measures":[{"type":1,"unit":-3,"value":70000}]}]}}`))
	require.Empty(t, list, "the scale does not know who stood on it")
	require.Equal(t, []string{"ambiguous-user payloads[0].body.measuregrps[0]"}, problems)
}

// TestAHeaderIsOnlyText: what a patient's id holds cannot end the header.
func TestAHeaderIsOnlyText(t *testing.T) {
	t.Parallel()
	h := wearable.Header{Wearable: "oura", Patient: `p","wearable":"fitbit`}
	all, problems := read(t, strings.NewReader(h.Open()+pulse+wearable.Close), fhir.Options{})
	require.Empty(t, problems)
	require.Equal(t, h.Patient, all[0].Person)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", h, &h, h, h), "fitbit")
	_, err := json.Marshal(h)
	require.Error(t, err)
	require.True(t, wearable.Detect([]byte(h.Open())))
	require.False(t, wearable.Detect([]byte(`{"resourceType":"Basic","wearable":"x"}`)))
	require.False(t, wearable.Detect([]byte(`{"source":"s"}`)))
}

// TestUnitsAreUCUM reads everything that the other tests read and parses the units.
func TestUnitsAreUCUM(t *testing.T) {
	t.Parallel()
	units := map[string]bool{}
	for maker, names := range map[string][]string{
		"fitbit": {"fitbit/fitbit-sleep-date.json", "fitbit/fitbit-activities-steps-1d-1m-intraday.json", "fitbit/fitbit-body-log-weight.json"},
		"google": {"google/googlefit-merge-height.json", "google/googlefit-merge-speed.json"},
		"oura":   {"oura/v1-sleep_summary.json", "oura/v1-activity_summary.json", "oura/v2-daily_activity.json"},
		"garmin": {"garmin/daily_sleep_data_get.0.json", "garmin/daily_summary_get.2.json", "garmin/get_daily_weight_data.0.json"},
	} {
		for _, name := range names {
			all, _ := read(t, strings.NewReader(document(maker, "UTC", payload(t, name))), fhir.Options{})
			for _, s := range all {
				units[s.Unit] = true
				require.NotEmpty(t, s.Unit, s.Code)
				require.LessOrEqual(t, len(s.System)+len(s.Code), 256)
			}
		}
	}
	require.Greater(t, len(units), 14)
	for u := range units {
		_, err := ucum.Parse(u)
		require.NoError(t, err, u)
	}
}
