package wearable

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// withings reads the answers of the Withings API: measures of scales, cuffs and
// thermometers, activity by day and within a day, and summaries of sleep.
//
// Source: https://developer.withings.com/api-reference
var withings = maker{rest: withingsRest}

// withingsMeasures are the kinds of measures by their number; each has SI units and a
// power of ten of its own.
var withingsMeasures = map[int64]measured{
	1: {"", weight, "kg"}, 4: {"", height, "m"}, 5: {"", leanMass, "kg"}, 6: {"", bodyFat, "%"}, 8: {"", fatMass, "kg"},
	9: {"", diastolic, ""}, 10: {"", systolic, ""}, 11: {"", heartRate, ""}, 12: {"", temperature, ""}, 54: {"", spO2, ""},
	71: {"", temperature, ""}, 73: {"", skinTemperature, ""}, 76: {"", muscleMass, "kg"}, 88: {"", boneMass, "kg"},
}

var skinTemperature = variable{system: SystemOwn, code: "skin-temperature", unit: "Cel", signed: true}

func withingsRest(b *batch, n node) bool {
	body := n.member("body")
	if _, failed := n.member("status").integerIn(1, math.MaxInt32); failed {
		b.problem(RuleRefused, n.member("status").path, "the maker answered with an error")
		return true
	}
	if body.v == nil {
		return false
	}
	switch {
	case body.has("measuregrps"):
		for g := range body.member("measuregrps").each() {
			withingsGroup(b, g)
		}
	case body.has("activities"):
		for a := range body.member("activities").each() {
			withingsDay(b, a)
		}
	case body.has("series"):
		withingsSeries(b, body.member("series"))
	default:
		return false
	}
	return true
}

// withingsGroup takes what a device measured at one moment. Goals are no measurements,
// and what may be of another user of the scale is nobody's.
func withingsGroup(b *batch, n node) {
	if category, ok := n.member("category").integerIn(1, 2); ok && category == 2 {
		return
	}
	if attribution, ok := n.member("attrib").integerIn(0, 100); ok && attribution == 1 {
		b.problem(RuleAmbiguousUser, n.path, "")
		return
	}
	at, ok := b.epoch(n.member("date"), 1e9)
	if !ok {
		return
	}
	for m := range n.member("measures").each() {
		kind, ok := m.member("type").integer()
		if !ok {
			continue
		}
		known, ok := withingsMeasures[kind]
		if !ok {
			b.once(RuleUnknownMeasure, m.path, strconv.FormatInt(kind, 10))
			continue
		}
		if value, ok := m.withPower(); ok {
			b.put(known.variable, at, value.in(known.unit))
		}
	}
}

// withPower returns value · 10^unit.
func (n node) withPower() (node, bool) {
	value, ok := n.member("value").integer()
	power, known := n.member("unit").integerIn(-12, 12)
	if !ok || !known {
		n.b.problem(fhir.RuleInvalidNumber, n.path, "want value and unit, a power of ten")
		return node{}, false
	}
	x, err := strconv.ParseFloat(strconv.FormatInt(value, 10)+"e"+strconv.FormatInt(power, 10), 64)
	n.v = jsonNumber(x)
	return n, err == nil
}

// withingsDay takes the totals of a day in the account's zone.
func withingsDay(b *batch, n node) {
	zone := b.zone
	if name, ok := n.member("timezone").text(); ok {
		if named, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
			zone = named
		}
	}
	day, ok := b.day(n.member("date"), zone)
	if !ok {
		return
	}
	b.all(n, day, []measured{
		{"steps", stepsDay, ""},
		{"distance", distanceDay, ""},
		{"calories", activeEnergyDay, ""},
		{"totalcalories", energyDay, ""},
		{"soft", lightActivity, "s"},
		{"moderate", moderate, "s"},
		{"intense", vigorous, "s"},
		{"hr_average", heartRateMean, ""},
		{"hr_min", heartRateMin, ""},
		{"hr_max", heartRateMax, ""},
	})
}

// withingsSeries takes summaries of sleep, or what happened within a day, which is
// listed by seconds since 1970.
func withingsSeries(b *batch, n node) {
	if _, list := n.v.([]any); list {
		for e := range n.each() {
			if e.has("data") {
				withingsSleep(b, e)
			} else {
				b.once(RuleNotKept, e.path, "") // a phase; the summary has their sums
			}
		}
		return
	}
	moments, ok := n.v.(map[string]any)
	if !ok {
		b.problem(fhir.RuleWrongType, n.path, "want object or array")
		return
	}
	for _, second := range slices.Sorted(maps.Keys(moments)) {
		e := node{b: b, path: n.path + ".*", v: moments[second], present: true}
		key := e
		key.v = second
		from, ok := b.epoch(key, 1e9)
		if !ok {
			continue
		}
		seconds, _ := e.member("duration").integerIn(0, 86_400)
		s := lasting(from, seconds*1000)
		b.during(steps, s, e.member("steps"))
		b.during(distance, s, e.member("distance"))
		b.during(activeEnergy, s, e.member("calories"))
		b.put(heartRate, from, e.member("heart_rate"))
		b.put(spO2, from, e.member("spo2_auto"))
	}
}

func withingsSleep(b *batch, n node) {
	from, fromOK := b.epoch(n.member("startdate"), 1e9)
	to, toOK := b.epoch(n.member("enddate"), 1e9)
	s, ok := b.between(from, fromOK, to, toOK, n)
	if !ok {
		return
	}
	s = s.named(ofSleep)
	data := n.member("data")
	b.all(data, s, []measured{
		{"total_sleep_time", sleepTime, "s"},
		{"deepsleepduration", deepSleep, "s"},
		{"lightsleepduration", lightSleep, "s"},
		{"remsleepduration", remSleep, "s"},
		{"wakeupduration", sleepAwake, "s"},
		{"wakeupcount", sleepAwakenings, ""},
		{"durationtosleep", sleepOnset, "s"},
		{"durationtowakeup", sleepArising, "s"},
		{"hr_average", heartRateMean, ""},
		{"hr_min", heartRateMin, ""},
		{"hr_max", heartRateMax, ""},
		{"rr_average", respiratoryMean, ""},
		{"rr_min", respiratoryMin, ""},
		{"rr_max", respiratoryMax, ""},
		{"sleep_score", score("withings/sleep-score"), ""},
	})
	if data.has("total_sleep_time") {
		return
	}
	// Older answers have the phases only.
	total, any := 0.0, false
	for _, phase := range []string{"lightsleepduration", "deepsleepduration", "remsleepduration"} {
		if x, ok := data.member(phase).integerIn(0, 7*86_400); ok {
			total, any = total+float64(x), true
		}
	}
	if any {
		sum := data
		sum.v = jsonNumber(total)
		b.span(sleepTime, s, sum.in("s"))
	}
}
