package wearable

import (
	"encoding/json"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// omhMeasures take the body of a data point, by the name of its schema.
var omhMeasures = map[string]func(*batch, node, interval){
	"heart-rate":                omhHeartRate,
	"respiratory-rate":          omhOne("respiratory_rate", respiratoryRate),
	"oxygen-saturation":         omhOne("oxygen_saturation", spO2),
	"body-temperature":          omhOne("body_temperature", temperature),
	"body-weight":               omhOne("body_weight", weight),
	"body-height":               omhOne("body_height", height),
	"body-mass-index":           omhOne("body_mass_index", bmi),
	"body-fat-percentage":       omhOne("body_fat_percentage", bodyFat),
	"rr-interval":               omhOne("rr_interval", rrInterval),
	"speed":                     omhOne("speed", speed),
	"calories-burned":           omhOne("kcal_burned", energy),
	"minutes-moderate-activity": omhOne("minutes_moderate_activity", moderate),
	"sleep-duration":            omhOne("sleep_duration", sleepTime),
	"total-sleep-time":          omhOne("total_sleep_time", sleepTime),
	"step-count":                omhSteps,
	"blood-pressure":            omhPressure,
	"blood-glucose":             omhGlucose,
	"sleep-episode":             omhSleep,
	"physical-activity":         omhActivity,
}

// ofIntervals are the variables that a moment cannot have.
var ofIntervals = map[variable]bool{steps: true, energy: true, sleepTime: true}

// omhPut takes a value of the body. What is a statistic has a variable of its own.
func (b *batch) omhPut(v variable, schema string, s interval, body, n node) {
	value, ok := omhValue(n, v.unit)
	if !ok {
		return
	}
	if name, ok := body.member("descriptive_statistic").v.(string); ok {
		v = statistic(schema, strings.ReplaceAll(name, " ", "-"), v.unit)
	} else if ofIntervals[v] && s.from == s.to {
		b.problem(fhir.RuleInvalidTime, body.path, "want a time interval")
		return
	}
	b.during(v, s, value)
}

// omhOne takes a body with one value.
func omhOne(name string, v variable) func(*batch, node, interval) {
	schema := strings.ReplaceAll(name, "_", "-")
	if v == energy {
		schema = "calories-burned"
	}
	return func(b *batch, n node, s interval) { b.omhPut(v, schema, s, n, n.member(name)) }
}

func omhHeartRate(b *batch, n node, s interval) {
	v := heartRate
	if n.member("temporal_relationship_to_physical_activity").is("at rest") {
		v = restingHeartRate
	}
	b.omhPut(v, "heart-rate", s, n, n.member("heart_rate"))
}

// omhSteps takes a count, which version 1 writes as a number and later ones with
// their unit.
func omhSteps(b *batch, n node, s interval) {
	count := n.member("step_count")
	if _, plain := count.v.(json.Number); plain {
		b.during(steps, s, count)
		return
	}
	b.omhPut(steps, "step-count", s, n, count)
}

func omhPressure(b *batch, n node, s interval) {
	upper, lower := n.member("systolic_blood_pressure"), n.member("diastolic_blood_pressure")
	_, upperOK := omhValue(upper, systolic.unit)
	_, lowerOK := omhValue(lower, diastolic.unit)
	if upperOK && lowerOK {
		b.omhPut(systolic, "systolic-blood-pressure", s, n, upper)
		b.omhPut(diastolic, "diastolic-blood-pressure", s, n, lower)
	}
}

// omhFluids are the specimens of blood glucose, of all versions of the schema.
var omhFluids = map[string]bool{
	"interstitial fluid": true, "capillary blood": true, "plasma": true, "serum": true, "tears": true, "whole blood": true,
	"breath": true, "saliva": true, "sweat": true, "urine": true,
}

func omhGlucose(b *batch, n node, s interval) {
	level := n.member("blood_glucose")
	v := glucoseMass
	if level.member("unit").is("mmol/L") {
		v = glucoseMoles
	}
	for _, name := range []string{"specimen_source", "blood_specimen_type"} {
		fluid, ok := n.member(name).text()
		switch {
		case !ok || fluid == "capillary blood" || fluid == "whole blood":
		case !omhFluids[fluid]:
			b.problem(RuleUnknownMeasure, n.member(name).path, "")
			return
		default:
			v = glucoseIn(strings.ReplaceAll(fluid, " ", "-"), v.unit)
		}
	}
	b.omhPut(v, "blood-glucose", s, n, level)
}

func omhSleep(b *batch, n node, s interval) {
	if s.from == s.to {
		b.problem(fhir.RuleInvalidTime, n.path, "want a time interval")
		return
	}
	s = s.named(ofSleep)
	for _, m := range []measured{
		{"total_sleep_time", sleepTime, ""},
		{"latency_to_sleep_onset", sleepOnset, ""},
		{"latency_to_arising", sleepArising, ""},
		{"wake_after_sleep_onset", sleepAwake, ""},
		{"sleep_maintenance_efficiency_percentage", sleepEfficiency, ""},
	} {
		if value := n.member(m.name); value.v != nil {
			b.omhPut(m.variable, "sleep-episode", s, n, value)
		}
	}
	b.span(sleepAwakenings, s, n.member("number_of_awakenings"))
	b.span(sleepMain, s, n.member("is_main_sleep").flag())
}

// omhActivity takes the numbers of an activity. Its name is a text, and not kept.
func omhActivity(b *batch, n node, s interval) {
	if _, named := n.member("activity_name").text(); !named {
		b.problem(fhir.RuleMissingField, n.path+".activity_name", "")
		return
	}
	s = s.named(ofActivity)
	if s.to > s.from {
		b.lasted(activity, s, n)
	}
	for _, m := range []measured{{"distance", activityDistance, ""}, {"kcal_burned", activityEnergy, ""}} {
		if value := n.member(m.name); value.v != nil {
			b.omhPut(m.variable, "physical-activity", s, n, value)
		}
	}
}
