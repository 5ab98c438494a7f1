package wearable

import (
	"strings"
	"time"
)

// healthTypes are the kinds of data points of the Google Health API that become
// series, by the member that has them. They are tried in this order.
//
// Source: https://developers.google.com/health/reference/rest/v4/users.dataTypes.dataPoints
var healthTypes = []struct {
	name string
	list []measured
}{
	{"steps", []measured{{"count", steps, ""}}},
	{"heartRate", []measured{{"beatsPerMinute", heartRate, ""}}},
	{"oxygenSaturation", []measured{{"percentage", spO2, ""}}},
	{"weight", []measured{{"weightGrams", weight, "g"}}},
	{"height", []measured{{"heightMillimeters", height, "mm"}}},
	{"bodyFat", []measured{{"percentage", bodyFat, ""}}},
	{"distance", []measured{{"millimeters", distance, "mm"}}},
	{"activeEnergyBurned", []measured{{"kcal", activeEnergy, ""}}},
	{"basalEnergyBurned", []measured{{"kcal", basalEnergy, ""}}},
	{"coreBodyTemperature", []measured{{"temperatureCelsius", temperature, ""}}},
	{"heartRateVariability", []measured{
		{"rootMeanSquareOfSuccessiveDifferencesMilliseconds", rmssd, ""}, {"standardDeviationMilliseconds", standardRR, ""},
	}},
	{"dailyRestingHeartRate", []measured{{"beatsPerMinute", restingHeartRate, ""}}},
	{"dailyRespiratoryRate", []measured{{"breathsPerMinute", respiratoryMean, ""}}},
	{"dailyOxygenSaturation", []measured{{"averagePercentage", spO2Mean, ""}}},
	{"dailyHeartRateVariability", []measured{
		{"averageHeartRateVariabilityMilliseconds", rmssdMean, ""}, {"deepSleepRootMeanSquareOfSuccessiveDifferencesMilliseconds", rmssdDeepMean, ""},
	}},
}

func healthPoint(b *batch, n node) {
	if name, _ := n.member("name").v.(string); strings.HasPrefix(name, "users/") && !strings.HasPrefix(name, "users/me/") {
		user := n.member("name")
		user.v, _, _ = strings.Cut(strings.TrimPrefix(name, "users/"), "/")
		if !b.ownedBy(user) {
			return
		}
	}
	for _, t := range healthTypes {
		if n.has(t.name) {
			b.healthValues(n.member(t.name), t.list)
			return
		}
	}
	switch {
	case n.has("sleep"):
		healthSleep(b, n.member("sleep"))
	case n.has("activeMinutes"):
		healthMinutes(b, n.member("activeMinutes"))
	case n.has("exercise"):
		healthExercise(b, n.member("exercise"))
	case n.has("bloodGlucose"):
		healthGlucose(b, n.member("bloodGlucose"))
	default:
		b.once(RuleUnknownMeasure, n.path, "")
	}
}

// healthValues takes the values of a moment, an interval or a day.
func (b *batch) healthValues(n node, list []measured) {
	var s interval
	var ok bool
	switch {
	case n.has("sampleTime"):
		s.from, ok = b.when(n.member("sampleTime").member("physicalTime"), nil)
		s.to = s.from
	case n.has("interval"):
		s, ok = b.healthInterval(n.member("interval"))
	default:
		s, ok = b.healthDate(n.member("date"))
	}
	if !ok {
		return
	}
	for _, m := range list {
		b.during(m.variable, s, n.member(m.name).in(m.unit))
	}
}

func (b *batch) healthInterval(n node) (interval, bool) {
	from, fromOK := b.when(n.member("startTime"), nil)
	to, toOK := b.when(n.member("endTime"), nil)
	return b.between(from, fromOK, to, toOK, n)
}

// healthDate reads a day in the user's time zone, which only the document names.
func (b *batch) healthDate(n node) (interval, bool) {
	year, yearOK := n.member("year").integerIn(1900, 2199)
	month, monthOK := n.member("month").integerIn(1, 12)
	day, dayOK := n.member("day").integerIn(1, 31)
	date := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if !yearOK || !monthOK || !dayOK || date.Day() != int(day) {
		b.problem(RuleUndated, n.path, "want year, month and day")
		return interval{}, false
	}
	return b.dayOf(date, n.path, b.zone)
}

func healthSleep(b *batch, n node) {
	s, ok := b.healthInterval(n.member("interval"))
	if !ok {
		return
	}
	s = s.named(ofSleep)
	sum := n.member("summary")
	b.all(sum, s, []measured{
		{"minutesAsleep", sleepTime, ""}, {"minutesToFallAsleep", sleepOnset, ""}, {"minutesAfterWakeUp", sleepArising, ""},
	})
	for stage := range sum.member("stagesSummary").each() {
		kind, _ := stage.member("type").text()
		v, known := map[string]variable{"DEEP": deepSleep, "LIGHT": lightSleep, "REM": remSleep, "AWAKE": sleepAwake}[kind]
		if known {
			b.span(v, s, stage.member("minutes"))
		}
	}
}

func healthMinutes(b *batch, n node) {
	s, ok := b.healthInterval(n.member("interval"))
	if !ok {
		return
	}
	for level := range n.member("activeMinutesByActivityLevel").each() {
		kind, _ := level.member("activityLevel").text()
		v, known := map[string]variable{"LIGHT": lightActivity, "MODERATE": moderate, "VIGOROUS": vigorous}[kind]
		if known {
			b.span(v, s, level.member("activeMinutes"))
		}
	}
}

func healthExercise(b *batch, n node) {
	s, ok := b.healthInterval(n.member("interval"))
	if !ok {
		return
	}
	s = s.named(ofActivity)
	sum := n.member("metricsSummary")
	b.lasted(activity, s, n)
	b.span(activityEnergy, s, sum.member("caloriesKcal"))
	b.span(activityDistance, s, sum.member("distanceMillimeters").in("mm"))
}

// healthGlucose takes a glucose level of blood, or of what is not said; one of another
// fluid is another measure.
func healthGlucose(b *batch, n node) {
	v := glucoseMass
	switch fluid, _ := n.member("specimen").v.(string); fluid {
	case "", "SPECIMEN_UNSPECIFIED", "CAPILLARY_BLOOD", "WHOLE_BLOOD":
	case "INTERSTITIAL_FLUID", "PLASMA", "SERUM", "TEARS":
		v = glucoseIn(strings.ReplaceAll(strings.ToLower(fluid), "_", "-"), "mg/dL")
	default:
		b.problem(RuleUnknownMeasure, n.member("specimen").path, "")
		return
	}
	b.healthValues(n, []measured{{"bloodGlucoseMilligramsPerDeciliter", v, ""}})
}

// glucoseIn is the glucose level of another fluid than blood.
func glucoseIn(fluid, unit string) variable {
	return variable{system: SystemOMH, code: "blood-glucose/" + fluid, unit: unit}
}
