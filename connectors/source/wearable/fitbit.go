package wearable

import (
	"cmp"
	"time"
)

// fitbit reads the answers of Fitbit's Web API: time series of activities, intraday
// steps and heart rate, logs of activities, weight, fat and sleep, and daily
// breathing rate, heart rate variability, SpO2 and skin temperature. Its times are of
// the account's clock and have no offset.
//
// Source: https://dev.fitbit.com/build/reference/web-api/
var fitbit = maker{
	lists: map[string]func(*batch, node){
		"activities": fitbitActivity,
		"sleep":      fitbitSleep,
		"weight":     fitbitWeight,
		"fat":        fitbitFat,
		"br":         fitbitDay("value", []measured{{"breathingRate", respiratoryMean, ""}}),
		"hrv":        fitbitDay("value", []measured{{"dailyRmssd", rmssdMean, ""}, {"deepRmssd", rmssdDeepMean, ""}}),
		"tempSkin":   fitbitDay("value", []measured{{"nightlyRelative", temperatureDeviation, ""}}),
	},
	rest:    fitbitRest,
	element: fitbitSpO2,
}

// measured is a member that holds a number, its variable and its unit, where that is
// not the variable's.
type measured struct {
	name string
	variable
	unit string
}

// fitbitUnits are the units of weight and distance by what Accept-Language asked for.
//
// Source: https://dev.fitbit.com/build/reference/web-api/developer-guide/application-design/#Unit-Systems
var fitbitUnits = map[string]*struct{ weight, distance string }{
	"":       {"kg", "km"},
	"metric": {"kg", "km"},
	"us":     {"[lb_av]", "[mi_i]"},
	"uk":     {"[stone_av]", "[mi_i]"},
}

// fitbitActivity takes an entry of an activity log. One without a time of day may be
// of any part of its day.
func fitbitActivity(b *batch, n node) {
	var s interval
	var ok bool
	switch date, dated := n.member("startDate").text(); {
	case n.member("hasStartTime").v == false:
		s, ok = b.day(n.member("startDate"), b.zone)
	case dated:
		clock, _ := n.member("startTime").text()
		s.from, ok = b.parseTime(date+"T"+clock, n.member("startTime").path, b.zone)
	default: // in a list of logs the time has date and offset
		s.from, ok = b.when(n.member("startTime"), b.zone)
	}
	if !ok {
		return
	}
	if s.to == 0 {
		length, _ := n.member("duration").integerIn(0, 366*dayLength)
		s.to = s.from + length
	}
	s = s.named(cmp.Or(s.of, ofActivity))
	b.span(activity, s, n.member("duration").in("ms"))
	b.span(activityDistance, s, n.member("distance").in(fitbitUnits[b.header.Units].distance))
	b.span(activityEnergy, s, n.member("calories"))
}

func fitbitSleep(b *batch, n node) {
	from, fromOK := b.when(n.member("startTime"), b.zone)
	to, toOK := b.when(n.member("endTime"), b.zone)
	s, ok := b.between(from, fromOK, to, toOK, n)
	if !ok {
		return
	}
	s = s.named(ofSleep)
	b.all(n, s, []measured{
		{"minutesAsleep", sleepTime, ""},
		{"minutesToFallAsleep", sleepOnset, ""},
		{"minutesAfterWakeup", sleepArising, ""},
		{"efficiency", sleepEfficiency, ""},
	})
	b.span(sleepMain, s, n.member("isMainSleep").flag())
	levels := n.member("levels").member("summary")
	for _, m := range []measured{{"deep", deepSleep, ""}, {"light", lightSleep, ""}, {"rem", remSleep, ""}, {"wake", sleepAwake, ""}} {
		b.span(m.variable, s, levels.member(m.name).member("minutes"))
	}
}

// fits reports whether a weight in kg and the BMI beside it can be of the person whose
// other entries were seen: of somebody between 0.9 m and 2.3 m, and of the same height
// within a fifth.
func (r *reader) fits(kg, index float64) bool {
	square := kg / index
	if square < 0.81 || square > 5.29 || r.square > 0 && (square < r.square/1.44 || square > r.square*1.44) {
		return false
	}
	r.square = square
	return true
}

// fitbitWeight takes an entry of the weight log. A weight that does not fit its BMI
// has another unit than the document says.
func fitbitWeight(b *batch, n node) {
	at, ok := b.fitbitLog(n)
	if !ok {
		return
	}
	mass := n.member("weight").in(fitbitUnits[b.header.Units].weight)
	index := n.member("bmi")
	kg, weighed := mass.number(weight.unit)
	ratio, rated := index.number(bmi.unit)
	if weighed && rated && ratio > 0 && !b.fits(kg, ratio) {
		b.problem(RuleUnitMismatch, mass.path, "does not fit its BMI; which units was Fitbit asked for?")
	} else if weighed {
		b.put(weight, at, mass)
	}
	if rated {
		b.put(bmi, at, index)
	}
	b.put(bodyFat, at, n.member("fat"))
}

func fitbitFat(b *batch, n node) {
	if at, ok := b.fitbitLog(n); ok {
		b.put(bodyFat, at, n.member("fat"))
	}
}

// fitbitLog returns the time of an entry that has a date and a time.
func (b *batch) fitbitLog(n node) (int64, bool) {
	date, ok := n.member("date").text()
	clock, timed := n.member("time").text()
	if !ok || !timed {
		b.problem(RuleUndated, n.path, "want date and time")
		return 0, false
	}
	return b.parseTime(date+"T"+clock, n.member("time").path, b.zone)
}

// fitbitDay takes values that Fitbit gives once a day.
func fitbitDay(inner string, list []measured) func(*batch, node) {
	return func(b *batch, n node) {
		s, ok := b.day(n.member("dateTime"), b.zone)
		for _, m := range list {
			if ok {
				b.span(m.variable, s, n.member(inner).member(m.name))
			}
		}
	}
}

// fitbitSpO2 takes a day of SpO2, of which an answer may have a list.
func fitbitSpO2(b *batch, n node) bool {
	value, _ := n.member("value").v.(map[string]any)
	if _, known := value["avg"]; !known {
		return false
	}
	fitbitDay("value", []measured{{"avg", spO2Mean, ""}, {"min", spO2Min, ""}, {"max", spO2Max, ""}})(b, n)
	return true
}

// fitbitSeries are the time series of activities by the name behind "activities-".
// The day's variable is of whole days, the other of parts of a day.
var fitbitSeries = []struct {
	name, unit  string
	day, within variable
}{
	{"steps", "", stepsDay, steps},
	{"calories", "", energyDay, energy},
	{"distance", "distance", distanceDay, distance},
	{"activityCalories", "", activeEnergyDay, activeEnergy},
	{"minutesSedentary", "", sedentary, sedentary},
	{"minutesLightlyActive", "", lightActivity, lightActivity},
	{"minutesFairlyActive", "", moderate, moderate},
	{"minutesVeryActive", "", vigorous, vigorous},
	{"heart", "", restingHeartRate, heartRate},
}

func fitbitRest(b *batch, n node) bool {
	known := n.has("summary") && b.understood
	if n.member("summary").has("steps") {
		b.once(RuleUndated, n.member("summary").path, "")
	}
	for _, s := range fitbitSeries {
		name := "activities-" + s.name
		if !n.has(name) && !n.has(name+"-intraday") {
			continue
		}
		known = true
		unit := s.unit
		if unit == "distance" {
			unit = fitbitUnits[b.header.Units].distance
		}
		var first node
		for e := range n.member(name).each() {
			if first.v == nil {
				first = e.member("dateTime")
			}
			value := e.member("value")
			if s.name == "heart" { // an object; older answers have the day's average there
				if _, object := value.v.(map[string]any); !object {
					continue
				}
				value = value.member("restingHeartRate")
			}
			if day, ok := b.day(e.member("dateTime"), b.zone); ok {
				b.span(s.day, day, value.in(unit))
			}
		}
		if intraday := n.member(name + "-intraday"); intraday.v != nil {
			b.fitbitIntraday(s.within, unit, first, intraday)
		}
	}
	return known || fitbitSpO2(b, n)
}

// fitbitIntraday takes a day in steps of one second to fifteen minutes. Fitbit leaves
// out what has no value, except for counts, which are 0 there.
func (b *batch) fitbitIntraday(v variable, unit string, day, n node) {
	ticks := map[string]int64{"second": 1000, "minute": 60_000}
	kind, _ := n.member("datasetType").text()
	every, ok := n.member("datasetInterval").integerIn(1, 1440)
	if ticks[kind] == 0 || !ok {
		b.problem(RuleUnknownMeasure, n.path, "want a datasetInterval of seconds or minutes")
		return
	}
	date, ok := day.v.(string)
	if _, err := time.Parse(time.DateOnly, date); !ok || err != nil {
		b.problem(RuleUndated, n.path, "want the day beside it")
		return
	}
	for e := range n.member("dataset").each() {
		clock, ok := e.member("time").text()
		if !ok {
			continue
		}
		if at, ok := b.parseTime(date+"T"+clock, e.path, b.zone); ok {
			b.span(v, lasting(at, every*ticks[kind]), e.member("value").in(unit))
		}
	}
}
