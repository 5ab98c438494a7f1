package wearable_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/sourcetest"
)

// TestFitbitGivesWhatShimmerExpects compares every number, time and interval of the
// list. Shimmer takes Fitbit's clock for UTC, so the documents say so. Series have no
// place for the names and Fitbit's numbers of 4 activities, nor for one of which
// nothing is known but when it was.
func TestFitbitGivesWhatShimmerExpects(t *testing.T) {
	t.Parallel()
	var files map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(payload(t, "fitbit-expected.json")), &files))
	delete(files, "source")
	require.Len(t, files, 10)
	compared := 0
	for name, raw := range files {
		ours, _ := facts(t, document("fitbit", "UTC", payload(t, "fitbit/"+name)))
		var measures map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &measures))
		delete(measures, "rule")
		if count, empty := measures["count"]; empty {
			require.JSONEq(t, "0", string(count))
			require.Empty(t, ours, name)
			compared++
			continue
		}
		for measure, raw := range measures {
			var e expectation
			require.NoError(t, json.Unmarshal(raw, &e))
			for _, fact := range e.facts(t, measure) {
				require.Contains(t, ours, fact, name)
				compared++
			}
			if code := map[string]string{"body-weight": "29463-7", "body-mass-index": "39156-5", "heart-rate": "8867-4"}[measure]; code != "" {
				require.Equal(t, e.Count, having(ours, code+" "), name)
				compared++
			}
			if measure == "physical-activity" {
				require.Equal(t, e.Count, having(ours, "physical-activity/kcal_burned ")+e.numberless(t), name)
				compared++
			}
			if measure == "step-count" { // of minutes or of days; an answer with both is mapped twice
				require.Equal(t, e.Count, max(having(ours, "55423-8 "), having(ours, "41950-7 "))-having(ours, "55423-8 1 missing")-having(ours, "41950-7 1 missing"), name)
				compared++
			}
		}
	}
	require.Equal(t, 37, compared)
}

// having counts the facts that begin so.
func having(facts []string, prefix string) (n int) {
	for _, f := range facts {
		if strings.HasPrefix(f, prefix) {
			n++
		}
	}
	return n
}

// expectation is what the list says of one measure of one file.
type expectation struct {
	Count  int
	Points []json.RawMessage
	First  *moment
	Sleep  *moment `json:"point_index_1"`
}

// moment is a point, as the list names its parts.
type moment struct {
	Value, Steps, Minutes *float64
	Start, End, At, Day   string
	DurationMin           float64 `json:"duration_min"`
	DurationMs            float64 `json:"duration_ms"`
	DistanceKm            float64 `json:"distance_km"`
	Kcal                  *float64
	Onset                 *float64 `json:"latency_to_sleep_onset_min"`
	Arising               *float64 `json:"latency_to_arising_min"`
	Total                 *float64 `json:"total_sleep_min"`
	Main                  *bool    `json:"main_sleep"`
	Efficiency            *float64 `json:"efficiency_percent"`
}

func (e expectation) facts(t *testing.T, measure string) (list []string) {
	t.Helper()
	for _, raw := range e.Points {
		var row []any
		if json.Unmarshal(raw, &row) == nil { // a value, a time, and Fitbit's number of the entry
			code := map[string]string{"body-weight": "29463-7 %v kg at %v", "body-mass-index": "39156-5 %v kg/m2 at %v"}[measure]
			list = append(list, fmt.Sprintf(code, row[0], row[1]))
			continue
		}
		var m moment
		require.NoError(t, json.Unmarshal(raw, &m))
		list = append(list, m.facts()...)
	}
	if e.First != nil {
		list = append(list, e.First.facts()...)
	}
	if e.Sleep != nil {
		list = append(list, e.Sleep.sleep(t)...)
	}
	return list
}

// numberless counts the points that have no number.
func (e expectation) numberless(t *testing.T) (n int) {
	t.Helper()
	for _, raw := range e.Points {
		var m moment
		require.NoError(t, json.Unmarshal(raw, &m))
		if m.Kcal == nil && m.DistanceKm == 0 && m.DurationMs == 0 {
			n++
		}
	}
	return n
}

func (m moment) facts() (list []string) {
	at, length := m.Start, m.DurationMin*60+m.DurationMs/1000
	if m.Day != "" {
		at, length = m.Day+"T00:00:00Z", 86400
	}
	tail := fmt.Sprintf(" at %s for %v s", at, length)
	switch {
	case m.Value != nil:
		list = append(list, fmt.Sprintf("8867-4 %v /min", *m.Value)+tail)
	case m.Steps != nil && m.Day != "":
		list = append(list, fmt.Sprintf("41950-7 %v {steps}/(24.h)", *m.Steps)+tail)
	case m.Steps != nil:
		list = append(list, fmt.Sprintf("55423-8 %v {steps}", *m.Steps)+tail)
	case m.Kcal != nil:
		list = append(list,
			fmt.Sprintf("physical-activity/kcal_burned %v kcal", *m.Kcal)+tail,
			fmt.Sprintf("physical-activity/distance %v m", m.DistanceKm*1000)+tail)
		if m.DurationMs > 0 {
			list = append(list, fmt.Sprintf("physical-activity %v min", m.DurationMs/60_000)+tail)
		}
	}
	return list
}

// sleep states a night. The list gives its bounds only with the minutes asleep.
func (m moment) sleep(t *testing.T) (list []string) {
	t.Helper()
	const night = " at 2016-12-13T01:16:00Z for 7080 s"
	if m.Minutes != nil {
		from, err := time.Parse(time.RFC3339, m.Start)
		require.NoError(t, err)
		to, err := time.Parse(time.RFC3339, m.End)
		require.NoError(t, err)
		return []string{fmt.Sprintf("93832-4 %v min at %s for %v s", *m.Minutes, m.Start, to.Sub(from).Seconds())}
	}
	main := 0
	if *m.Main {
		main = 1
	}
	return []string{
		fmt.Sprintf("93832-4 %v min", *m.Total) + night, fmt.Sprintf("sleep-episode/latency_to_sleep_onset %v min", *m.Onset) + night,
		fmt.Sprintf("sleep-episode/latency_to_arising %v min", *m.Arising) + night, fmt.Sprintf("sleep-episode/is_main_sleep %d 1", main) + night,
		fmt.Sprintf("sleep-episode/sleep_maintenance_efficiency_percentage %v %%", *m.Efficiency) + night,
	}
}

// TestGoogleFitGivesWhatShimmerExpects states what Shimmer's tests assert of the same
// answers: each value, time and interval. What it leaves out (steps of 0, what a body
// at rest burns, being still) is no such point here either.
func TestGoogleFitGivesWhatShimmerExpects(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"step-deltas": {
			"55423-8 4146 {steps} at 2015-02-02T22:49:39.811Z for 2141 s", "55423-8 17 {steps} at 2015-07-10T21:58:17.687Z for 60 s",
			"55423-8 184 {steps} at 2015-07-10T22:05:21.162Z for 116.844 s", "55423-8 1 missing",
		},
		"heart-rate": {"8867-4 54 /min at 2015-01-30T15:37:48.186Z", "8867-4 58 /min at 2015-07-10T14:34:32.914Z for 1.001 s"},
		"weight": {
			"29463-7 72.0999984741211 kg at 2015-02-13T00:00:00Z", "29463-7 72 kg at 2015-02-17T16:57:13.313Z",
			"29463-7 75.75070190429688 kg at 2015-07-08T03:17:00Z for 10.02 s",
		},
		"height": { // in metres there
			"8302-2 182.879900932312 cm at 2015-07-08T03:17:06.03Z", "8302-2 182.8800082206726 cm at 2015-07-08T14:43:57.544Z for 1.001 s",
		},
		"calories-expended": {
			"55424-6 200 kcal at 2015-07-07T13:30:00Z for 1800 s", "55424-6 4.221510410308838 kcal at 2015-07-08T14:43:49.73Z for 218.079 s",
			"basal-energy 1672.50634765625 kcal at 2015-07-07T14:00:00Z for 86400 s",
		},
		"speed": {"speed 0.75 m/s at 2017-10-04T13:55:56Z", "speed 2.25 m/s at 2017-10-04T14:05:53Z"},
		"activity-segments": {
			"physical-activity 67.86666666666666 min at 2015-01-01T22:21:57Z for 4072 s",
			"physical-activity 3.2 min at 2015-01-05T00:27:29.151Z for 192 s", "physical-activity 30 min at 2015-07-07T13:30:00Z for 1800 s",
		},
		"activity-segments-only-sleep":               {"93832-4 30 min at 2015-07-07T13:30:00Z for 1800 s"},
		"activity-segments-only-stationary-activity": nil,
	} {
		ours, problems := facts(t, document("google", "", payload(t, "google/googlefit-merge-"+name+".json")))
		require.Equal(t, want, ours, name)
		require.Empty(t, problems, name)
	}
	ours, problems := facts(t, document("google", "", payload(t, "google/googlefit-empty.json")))
	require.Empty(t, ours)
	require.Empty(t, problems)
}

// TestGarminsGapsAreCounted states what a script counts in the answers: numbers of 0 and
// more, and other rows.
func TestGarminsGapsAreCounted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string][2]int{
		"daily_heart_rate_get.0.json":                          {"8867-4": {707, 3}},
		"daily_heart_rate_list.2.json":                         {"8867-4": {694, 3}},
		"daily_body_battery_stress_get_incomplete_data.0.json": {"garmin/stress": {230, 167}, "garmin/body-battery": {260, 137}},
		"hrv_data_get.0.json":                                  {"garmin/hrv": {81, 0}},
	} {
		ours, problems := facts(t, document("garmin", "", payload(t, "garmin/"+name)))
		require.Empty(t, problems, name)
		for code, n := range want {
			require.Equal(t, n[0], having(ours, code+" ")-min(n[1], 1), "%s %s", name, code)
			if n[1] > 0 {
				require.Contains(t, ours, fmt.Sprintf("%s %d missing", code, n[1]), name)
			}
		}
	}
}

// TestAllAnswersGiveTheseSeries keeps what becomes of every answer at hand, shortened
// to the first point and the last of each series.
func TestAllAnswersGiveTheseSeries(t *testing.T) {
	t.Parallel()
	for maker, zone := range map[string]string{"fitbit": "UTC", "google": "", "oura": "Europe/Helsinki", "garmin": "America/Denver"} {
		files, err := filepath.Glob(filepath.Join("testdata", maker, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		var b strings.Builder
		for _, f := range files {
			ours, problems := facts(t, document(maker, zone, payload(t, maker+"/"+filepath.Base(f))))
			fmt.Fprintf(&b, "%s\n", filepath.Base(f))
			for i, fact := range ours {
				code, _, _ := strings.Cut(fact, " ")
				first := i == 0 || !strings.HasPrefix(ours[i-1], code+" ")
				last := i == len(ours)-1 || !strings.HasPrefix(ours[i+1], code+" ")
				if first || last || strings.HasSuffix(fact, " missing") {
					fmt.Fprintf(&b, "\t%s\n", fact)
				}
			}
			for _, p := range problems {
				fmt.Fprintf(&b, "\t! %s\n", p)
			}
		}
		sourcetest.Golden(t, maker+".golden", b.String())
	}
}
