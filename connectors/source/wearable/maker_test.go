package wearable_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// gives requires the facts of one payload, and its problems.
func gives(t *testing.T, doc string, want []string, problems ...string) {
	t.Helper()
	list, found := facts(t, doc)
	require.Equal(t, want, list)
	require.Equal(t, problems, found)
}

// TestFitbitsUnitsAreThoseItWasAskedFor: a weight says nothing of its unit, but the
// BMI beside it does.
func TestFitbitsUnitsAreThoseItWasAskedFor(t *testing.T) {
	t.Parallel()
	entry := func(weight string) string {
		return `{"weight":[{"bmi":23.0,"weight":` + weight + `,"date":"2026-03-01","time":"08:00:00","logId":1}]}`
	}
	for units, c := range map[string]struct{ weight, want string }{
		"":       {"70", "29463-7 70 kg at 2026-03-01T08:00:00Z"},
		"metric": {"70", "29463-7 70 kg at 2026-03-01T08:00:00Z"},
		"us":     {"154.5", "29463-7 70.080021165 kg at 2026-03-01T08:00:00Z"},
		"uk":     {"11", "29463-7 69.85322498 kg at 2026-03-01T08:00:00Z"},
	} {
		h := wearable.Header{Wearable: "fitbit", Patient: "p", Timezone: "UTC", Units: units}
		gives(t, h.Open()+entry(c.weight)+wearable.Close, []string{c.want, "39156-5 23 kg/m2 at 2026-03-01T08:00:00Z"})
		for other, wrong := range map[string]string{"us": "154.5", "uk": "11", "metric": "70"} {
			child := units == "us" && other == "metric" // 1.17 m, which may be
			if other != units && units+other != "metric" && !child {
				gives(t, h.Open()+entry(wrong)+wearable.Close, []string{"39156-5 23 kg/m2 at 2026-03-01T08:00:00Z"}, "unit-mismatch payloads[0].weight[0].weight")
			}
		}
	}
	h := wearable.Header{Wearable: "fitbit", Patient: "p", Timezone: "UTC", Units: "us"}
	gives(t, h.Open()+entry("154.5")+","+strings.ReplaceAll(entry("70"), "03-01", "03-02")+wearable.Close, []string{
		"29463-7 70.080021165 kg at 2026-03-01T08:00:00Z", "39156-5 23 kg/m2 at 2026-03-01T08:00:00Z", "39156-5 23 kg/m2 at 2026-03-02T08:00:00Z",
	}, "unit-mismatch payloads[1].weight[0].weight")
	gives(t, h.Open()+`{"activities-distance":[{"dateTime":"2026-03-01","value":"2.5"}]}`+wearable.Close,
		[]string{"distance-24h 4023.36 m at 2026-03-01T00:00:00Z for 86400 s"})
}

func TestFitbitsDays(t *testing.T) {
	t.Parallel()
	const day = " at 2026-03-01T05:00:00Z for 86400 s"
	gives(t, document("fitbit", "America/New_York",
		`{"br":[{"value":{"breathingRate":17.8},"dateTime":"2026-03-01"}]}`,
		`{"hrv":[{"value":{"dailyRmssd":34.9,"deepRmssd":31.5},"dateTime":"2026-03-01"}]}`,
		`{"tempSkin":[{"value":{"nightlyRelative":-0.4},"dateTime":"2026-03-01","logType":"other_sensors"}]}`,
		`{"dateTime":"2026-03-01","value":{"avg":97.5,"min":94.0,"max":100.0}}`,
		`[{"dateTime":"2026-03-02","value":{"avg":96,"min":null,"max":99}}]`,
		`{"activities-heart":[{"dateTime":"2026-03-01","value":{"customHeartRateZones":[],"heartRateZones":[],"restingHeartRate":58}}]}`,
		`{"activities-minutesFairlyActive":[{"dateTime":"2026-03-01","value":"21"}]}`,
		`{"sleep":[{"startTime":"2026-03-01T23:00:00.000","endTime":"2026-03-02T06:00:00.000","minutesAsleep":390,"efficiency":93,"isMainSleep":true,
		   "levels":{"summary":{"deep":{"minutes":80},"light":{"minutes":220},"rem":{"minutes":90},"wake":{"minutes":30}}}}]}`,
	), []string{
		"respiratory-rate/average 17.8 /min" + day, "rmssd/average 34.9 ms" + day, "rmssd/deep-sleep 31.5 ms" + day, "temperature-deviation -0.4 K" + day,
		"oxygen-saturation/average 97.5 %" + day, "oxygen-saturation/minimum 94 %" + day, "oxygen-saturation/maximum 100 %" + day,
		"oxygen-saturation/average 96 % at 2026-03-02T05:00:00Z for 86400 s", "oxygen-saturation/minimum 1 missing",
		"oxygen-saturation/maximum 99 % at 2026-03-02T05:00:00Z for 86400 s",
		"40443-4 58 /min" + day, "minutes-moderate-activity 21 min" + day,
		"93832-4 390 min at 2026-03-02T04:00:00Z for 25200 s", "sleep-episode/sleep_maintenance_efficiency_percentage 93 % at 2026-03-02T04:00:00Z for 25200 s",
		"sleep-episode/is_main_sleep 1 1 at 2026-03-02T04:00:00Z for 25200 s", "93831-6 80 min at 2026-03-02T04:00:00Z for 25200 s",
		"93830-8 220 min at 2026-03-02T04:00:00Z for 25200 s", "93829-0 90 min at 2026-03-02T04:00:00Z for 25200 s",
		"sleep-episode/wake_after_sleep_onset 30 min at 2026-03-02T04:00:00Z for 25200 s",
	})
	gives(t, document("fitbit", "", `{"activities-steps":[{"dateTime":"2026-03-01","value":"7"},{"dateTime":"2026-03-02","value":"8"}]}`), nil,
		"missing-timezone payloads[0].activities-steps[0].dateTime")
}

// TestWithings reads answers in the form of the maker's reference; the numbers are
// ours.
func TestWithings(t *testing.T) {
	t.Parallel()
	gives(t, document("withings", "",
		`{"status":0,"body":{"updatetime":1772352100,"timezone":"Europe/Paris","measuregrps":[
		  {"grpid":1,"attrib":0,"category":1,"date":1772352000,"measures":[
		    {"type":9,"unit":0,"value":68},{"type":10,"unit":0,"value":104},{"type":11,"unit":0,"value":41},{"type":999,"unit":-3,"value":-1000},
		    {"type":1,"unit":-3,"value":74126},{"type":54,"unit":-2,"value":9700}]},
		  {"grpid":2,"attrib":2,"category":1,"date":1772355600,"measures":[{"type":4,"unit":-3,"value":1930},{"type":71,"unit":-1,"value":-5}]},
		  {"grpid":3,"attrib":0,"category":2,"date":1772355600,"measures":[{"type":1,"unit":0,"value":60}]}]}}`,
	), []string{
		"8462-4 68 mm[Hg] at 2026-03-01T08:00:00Z", "8480-6 104 mm[Hg] at 2026-03-01T08:00:00Z", "8867-4 41 /min at 2026-03-01T08:00:00Z",
		"29463-7 74.126 kg at 2026-03-01T08:00:00Z", "59408-5 97 % at 2026-03-01T08:00:00Z", "8302-2 193 cm at 2026-03-01T09:00:00Z",
		"8310-5 -0.5 Cel at 2026-03-01T09:00:00Z",
	}, "unknown-measure payloads[0].body.measuregrps[0].measures[3]")
	const day, night = " at 2026-02-28T23:00:00Z for 86400 s", " at 2026-03-01T22:00:00Z for 28800 s"
	gives(t, document("withings", "",
		`{"status":0,"body":{"activities":[{"calories":139,"totalcalories":2100.5,"date":"2026-03-01","distance":2563,"intense":120,"moderate":540,"soft":780,"steps":2934,"timezone":"Europe/Paris"}]}}`,
		`{"status":0,"body":{"series":{"1772352000":{"calories":1,"distance":15,"duration":60,"elevation":0,"steps":21},"1772352060":{"duration":1440},"1772352120":{"heart_rate":66}}}}`,
		`{"status":0,"body":{"series":[{"id":1,"timezone":"Europe/Paris","startdate":1772402400,"enddate":1772431200,
		   "data":{"lightsleepduration":12000,"deepsleepduration":6000,"wakeupduration":600,"wakeupcount":2,"durationtosleep":300,"hr_average":52}}],"more":false}}`,
		`{"status":401,"body":{},"error":"invalid_token"}`,
	), []string{
		"41950-7 2934 {steps}/(24.h)" + day, "distance-24h 2563 m" + day, "active-energy-24h 139 kcal" + day, "41979-6 2100.5 kcal/(24.h)" + day,
		"minutes-light-activity 13 min" + day, "minutes-moderate-activity 9 min" + day, "minutes-vigorous-activity 2 min" + day,
		"55423-8 21 {steps} at 2026-03-01T08:00:00Z for 60 s", "55430-3 15 m at 2026-03-01T08:00:00Z for 60 s", "active-energy 1 kcal at 2026-03-01T08:00:00Z for 60 s",
		"8867-4 66 /min at 2026-03-01T08:02:00Z",
		"93831-6 100 min" + night, "93830-8 200 min" + night, "sleep-episode/wake_after_sleep_onset 10 min" + night, "sleep-episode/number_of_awakenings 2 1" + night,
		"sleep-episode/latency_to_sleep_onset 5 min" + night, "heart-rate/average 52 /min" + night, "93832-4 300 min" + night,
	}, "refused-request payloads[3].status")
}

// TestGoogleHealth reads data points in the form of the API's description; the numbers
// are ours.
func TestGoogleHealth(t *testing.T) {
	t.Parallel()
	const moment = `"sampleTime":{"physicalTime":"2026-03-01T08:00:00Z","utcOffset":"3600s"}`
	const hour = `"interval":{"startTime":"2026-03-01T07:00:00Z","startUtcOffset":"3600s","endTime":"2026-03-01T08:00:00Z","endUtcOffset":"3600s"}`
	const date = `"date":{"year":2026,"month":3,"day":1}`
	points := []string{
		`{"steps":{` + hour + `,"count":"512"}}`, `{"heartRate":{` + moment + `,"beatsPerMinute":"61"}}`,
		`{"weight":{` + moment + `,"weightGrams":70500}}`, `{"height":{` + moment + `,"heightMillimeters":"1815"}}`,
		`{"distance":{` + hour + `,"millimeters":"400500"}}`, `{"oxygenSaturation":{` + moment + `,"percentage":97.5}}`,
		`{"heartRateVariability":{` + moment + `,"rootMeanSquareOfSuccessiveDifferencesMilliseconds":41.5,"standardDeviationMilliseconds":52}}`,
		`{"dailyRestingHeartRate":{` + date + `,"beatsPerMinute":"52"}}`, `{"bloodGlucose":{` + moment + `,"bloodGlucoseMilligramsPerDeciliter":95,"specimen":"INTERSTITIAL_FLUID"}}`,
		`{"coreBodyTemperature":{` + moment + `,"temperatureCelsius":36.9}}`,
		`{"activeMinutes":{` + hour + `,"activeMinutesByActivityLevel":[{"activityLevel":"MODERATE","activeMinutes":"12"}]}}`,
		`{"exercise":{` + hour + `,"exerciseType":"WALKING","metricsSummary":{"caloriesKcal":210,"distanceMillimeters":4100000}}}`,
		`{"sleep":{` + strings.NewReplacer("T07", "T01", "T08", "T03").Replace(hour) + `,"summary":{"minutesAsleep":"100","stagesSummary":[{"type":"DEEP","minutes":"30","count":"2"}]}}}`,
		`{"moods":{}}`,
	}
	gives(t, document("google", "Europe/Berlin", `{"dataPoints":[`+strings.Join(points, ",")+`],"nextPageToken":""}`, `{"nextPageToken":""}`), []string{
		"55423-8 512 {steps} at 2026-03-01T07:00:00Z for 3600 s", "8867-4 61 /min at 2026-03-01T08:00:00Z", "29463-7 70.5 kg at 2026-03-01T08:00:00Z",
		"8302-2 181.5 cm at 2026-03-01T08:00:00Z", "55430-3 400.5 m at 2026-03-01T07:00:00Z for 3600 s", "59408-5 97.5 % at 2026-03-01T08:00:00Z",
		"rmssd 41.5 ms at 2026-03-01T08:00:00Z", "80404-7 52 ms at 2026-03-01T08:00:00Z", "40443-4 52 /min at 2026-02-28T23:00:00Z for 86400 s",
		"blood-glucose/interstitial-fluid 95 mg/dL at 2026-03-01T08:00:00Z", "8310-5 36.9 Cel at 2026-03-01T08:00:00Z",
		"minutes-moderate-activity 12 min at 2026-03-01T07:00:00Z for 3600 s", "physical-activity 60 min at 2026-03-01T07:00:00Z for 3600 s",
		"physical-activity/kcal_burned 210 kcal at 2026-03-01T07:00:00Z for 3600 s", "physical-activity/distance 4100 m at 2026-03-01T07:00:00Z for 3600 s",
		"93832-4 100 min at 2026-03-01T01:00:00Z for 7200 s", "93831-6 30 min at 2026-03-01T01:00:00Z for 7200 s",
	}, "unknown-measure payloads[0].dataPoints[13]")
}

func TestOurasVersionTwo(t *testing.T) {
	t.Parallel()
	const night = " at 2026-03-01T22:00:00Z for 28800 s"
	gives(t, document("oura", "Europe/Berlin", `{"data":[
		{"bedtime_start":"2026-03-01T23:00:00+01:00","bedtime_end":"2026-03-02T07:00:00+01:00","total_sleep_duration":25200,"efficiency":90,"average_hrv":55,
		 "lowest_heart_rate":48,"heart_rate":{"interval":300.0,"items":[50,null,0,51],"timestamp":"2026-03-01T23:00:00+01:00"},"hrv":null},
		{"day":"2026-03-02","spo2_percentage":{"average":96.5}},
		{"activity":"walking","calories":100,"day":"2026-03-01","distance":2500,"start_datetime":"2026-03-01T10:00:00Z","end_datetime":"2026-03-01T10:30:00Z"}],
		"next_token":null}`), []string{
		"93832-4 420 min" + night, "sleep-episode/sleep_maintenance_efficiency_percentage 90 %" + night, "heart-rate/minimum 48 /min" + night, "oura/hrv-average 55 ms" + night,
		"8867-4 50 /min at 2026-03-01T22:00:00Z for 300 s", "8867-4 51 /min at 2026-03-01T22:15:00Z for 300 s", "8867-4 2 missing",
		"oxygen-saturation/average 96.5 % at 2026-03-01T23:00:00Z for 86400 s",
		"physical-activity 30 min at 2026-03-01T10:00:00Z for 1800 s", "physical-activity/distance 2500 m at 2026-03-01T10:00:00Z for 1800 s",
		"physical-activity/kcal_burned 100 kcal at 2026-03-01T10:00:00Z for 1800 s",
	})
}

// TestGarminsHealthSummaries are those of its interface for partners, by the words of its
// documents; the numbers are ours.
func TestGarminsHealthSummaries(t *testing.T) {
	t.Parallel()
	const day = " at 2026-02-28T23:00:00Z for 86400 s"
	const night = " at 2026-02-28T22:00:00Z for 27000 s"
	gives(t, document("garmin", "",
		`[{"userId":"u","summaryId":"x1","calendarDate":"2026-03-01","startTimeInSeconds":1772319600,"startTimeOffsetInSeconds":3600,"steps":9206,
			"distanceInMeters":7100.5,"activeKilocalories":410,"restingHeartRateInBeatsPerMinute":52,"averageStressLevel":-1,
			"vigorousIntensityDurationInSeconds":600,"timeOffsetHeartRateSamples":{"900":71,"15":60,"1e3":1}}]`,
		`[{"userId":"u","summaryId":"x2","calendarDate":"2026-03-01","startTimeInSeconds":1772316000,"startTimeOffsetInSeconds":3600,"durationInSeconds":25200,
			"awakeDurationInSeconds":1800,"deepSleepDurationInSeconds":6000,"remSleepInSeconds":5400,"overallSleepScore":{"value":87,"qualifierKey":"GOOD"}}]`,
		`[{"userId":"u","summaryId":"x3","calendarDate":"2026-03-01","startTimeInSeconds":1772316000,"startTimeOffsetInSeconds":3600,"lastNightAvg":44,"hrvValues":{"300":38}}]`,
		`[{"userId":"u","summaryId":"x4","calendarDate":"2026-03-01","startTimeInSeconds":1772323200,"startTimeOffsetInSeconds":3600,
			"timeOffsetStressLevelValues":{"0":18,"180":-2},"timeOffsetBodyBatteryValues":{"0":55}}]`,
		`[{"userId":"u","summaryId":"x5","measurementTimeInSeconds":1772352000,"weightInGrams":72500,"bodyFatInPercent":21.5}]`,
		`[{"userId":"another","summaryId":"x6","measurementTimeInSeconds":1772352000,"weightInGrams":99000}]`,
		`[{"summaryId":"x7","vo2Max":48.0}]`,
	), []string{
		"8867-4 60 /min at 2026-02-28T23:00:15Z", "8867-4 71 /min at 2026-02-28T23:15:00Z",
		"41950-7 9206 {steps}/(24.h)" + day, "distance-24h 7100.5 m" + day, "active-energy-24h 410 kcal" + day, "40443-4 52 /min" + day,
		"garmin/stress-24h 1 missing", "minutes-vigorous-activity 10 min" + day,
		"93832-4 420 min" + night, "93831-6 100 min" + night, "93829-0 90 min" + night, "sleep-episode/wake_after_sleep_onset 30 min" + night,
		"garmin/sleep-score 87 {score}" + night,
		"garmin/hrv-night 44 ms" + day, "garmin/hrv 38 ms at 2026-02-28T22:05:00Z",
		"garmin/stress 18 {score} at 2026-03-01T00:00:00Z", "garmin/stress 1 missing", "garmin/body-battery 55 {score} at 2026-03-01T00:00:00Z",
		"29463-7 72.5 kg at 2026-03-01T08:00:00Z", "41982-0 21.5 % at 2026-03-01T08:00:00Z",
	}, "invalid-time payloads[0][0].timeOffsetHeartRateSamples.*", "several-users payloads[5][0].userId", "unknown-measure payloads[6][0]")
}
