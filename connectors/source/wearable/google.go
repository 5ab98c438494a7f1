package wearable

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// google reads the answers of Google Fit (data sets and aggregates) and of its
// successor, the Google Health API.
var google = maker{
	lists: map[string]func(*batch, node){
		"point":      fitPoint,
		"bucket":     fitBucket,
		"dataPoints": healthPoint,
	},
	rest: func(_ *batch, n node) bool {
		return n.has("dataSourceId") || n.has("nextPageToken") // a page without points
	},
}

// fitTypes are the data types of Google Fit whose points have one value.
//
// Source: https://developers.google.com/fit/datatypes
var fitTypes = map[string]measured{
	"com.google.heart_rate.bpm":      {"fpVal", heartRate, ""},
	"com.google.step_count.delta":    {"intVal", steps, ""},
	"com.google.weight":              {"fpVal", weight, ""},
	"com.google.height":              {"fpVal", height, "m"},
	"com.google.calories.expended":   {"fpVal", energy, ""},
	"com.google.distance.delta":      {"fpVal", distance, ""},
	"com.google.speed":               {"fpVal", speed, ""},
	"com.google.body.fat.percentage": {"fpVal", bodyFat, ""},
	"com.google.oxygen_saturation":   {"fpVal", spO2, ""},
	"com.google.body.temperature":    {"fpVal", temperature, ""},
	"com.google.blood_glucose":       {"fpVal", glucoseMoles, ""},
}

// Numbers of Google Fit's activities that are no exercise.
//
// Source: https://developers.google.com/fit/rest/v1/reference/activity-types
const (
	fitVehicle, fitStill, fitUnknown, fitTilting = 0, 3, 4, 5
	fitSleep, fitLight, fitDeep, fitREM, fitWake = 72, 109, 110, 111, 112
)

func fitBucket(b *batch, n node) {
	for set := range n.member("dataset").each() {
		for point := range set.member("point").each() {
			fitPoint(b, point)
		}
	}
}

func fitPoint(b *batch, n node) {
	kind, ok := n.member("dataTypeName").text()
	if !ok {
		b.once(fhir.RuleMissingField, n.path+".dataTypeName", "")
		return
	}
	m, known := fitTypes[kind]
	switch {
	case known, kind == "com.google.blood_pressure", kind == "com.google.activity.segment":
	case strings.HasPrefix(kind, "com.google.location."), kind == "com.google.nutrition", kind == "com.google.hydration":
		b.once(RuleNotKept, n.path, kind)
		return
	default:
		b.once(RuleUnknownMeasure, n.path, kind)
		return
	}
	from, fromOK := b.epoch(n.member("startTimeNanos"), 1)
	to, toOK := b.epoch(n.member("endTimeNanos"), 1)
	s, ok := b.between(from, fromOK, to, toOK, n)
	if !ok {
		return
	}
	switch values := n.member("value"); kind {
	case "com.google.blood_pressure":
		b.during(systolic, s, values.element(0).member("fpVal"))
		b.during(diastolic, s, values.element(1).member("fpVal"))
	case "com.google.activity.segment":
		b.fitActivity(s, values.element(0).member("intVal"))
	case "com.google.calories.expended":
		// What the body would burn at rest is no part of what was done.
		if origin, _ := n.member("originDataSourceId").v.(string); strings.HasSuffix(origin, ":from_bmr") {
			m.variable = basalEnergy
		}
		b.span(m.variable, s, values.element(0).member(m.name))
	default:
		b.during(m.variable, s, values.element(0).member(m.name).in(m.unit))
	}
}

// during takes a value of an interval or, if that has no length, of a moment.
func (b *batch) during(v variable, s interval, n node) {
	if s.from == s.to {
		b.put(v, s.from, n)
		return
	}
	b.span(v, s, n)
}

// fitActivity takes how long an activity was; its number says which it was.
func (b *batch) fitActivity(s interval, n node) {
	number, ok := n.integer()
	if !ok {
		return
	}
	v := activity
	s = s.named(ofActivity)
	switch number {
	case fitVehicle, fitStill, fitUnknown, fitTilting, fitWake:
		return
	case fitSleep:
		v, s.of = sleepTime, ofSleep
	case fitLight:
		v, s.of = lightSleep, ""
	case fitDeep:
		v, s.of = deepSleep, ""
	case fitREM:
		v, s.of = remSleep, ""
	}
	b.lasted(v, s, n)
}
