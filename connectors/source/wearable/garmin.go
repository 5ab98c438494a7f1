package wearable

import (
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// garmin reads the answers of Garmin Connect: days of heart rate, stress and body
// battery, heart rate variability, sleep, weight, daily totals and training readiness; and
// the summaries of the Health API, see garminSummary.
// What it has in GMT is used, and the clock beside that for the day's zone. Below 0
// stands "not measured" (-1) and "moving too much" (-2).
var garmin = maker{
	lists: map[string]func(*batch, node){
		"dateWeightList":       garminWeight,
		"dailyWeightSummaries": func(b *batch, n node) { garminWeights(b, n.member("allWeightMetrics")) },
		"hrvSummaries":         func(b *batch, n node) { garminNight(b, n, b.zone) },
	},
	rest:    garminRest,
	element: garminElement,
}

var (
	garminStress    = score("garmin/stress")
	garminStressDay = score("garmin/stress-24h")
	bodyBattery     = score("garmin/body-battery")
	garminHRV       = variable{system: SystemOwn, code: "garmin/hrv", unit: "ms"}
	garminHRVNight  = variable{system: SystemOwn, code: "garmin/hrv-night", unit: "ms"}
)

// garminRest takes an answer that is an object.
func garminRest(b *batch, n node) bool {
	for _, name := range []string{"userProfilePK", "userProfilePk", "userProfileId", "userId"} {
		if !b.ownedBy(n.member(name)) {
			return true
		}
	}
	switch {
	case n.has("heartRateValues"):
		garminHeartRate(b, n)
	case n.has("stressValuesArray"), n.has("bodyBatteryValuesArray"):
		garminCurves(b, n)
	case n.has("hrvReadings"):
		garminNight(b, n.member("hrvSummary"), garminZone(n, "startTimestampGMT", "startTimestampLocal", b.zone))
		for e := range n.member("hrvReadings").each() {
			if at, ok := b.when(e.member("readingTimeGMT"), time.UTC); ok {
				b.put(garminHRV, at, e.member("hrvValue").orMissing())
			}
		}
	case n.has("dailySleepDTO"):
		garminSleep(b, n.member("dailySleepDTO"))
	case n.has("totalSteps"), n.has("totalKilocalories"):
		garminDay(b, n)
	case n.has("valueInML"): // what was drunk
		b.once(RuleNotKept, n.path, "")
	default:
		return b.understood
	}
	return true
}

// garminElement takes an element of an answer that is a list.
func garminElement(b *batch, n node) bool {
	if !b.ownedBy(n.member("userProfilePK")) {
		return true
	}
	switch values := n.member("values"); {
	case n.has("summaryId"):
		garminSummary(b, n)
	case n.has("stressValuesArray"), n.has("bodyBatteryValuesArray"):
		garminCurves(b, n)
	case n.has("totalSteps"):
		garminDay(b, n)
	case values.has("overallStressLevel"):
		if day, ok := b.day(n.member("calendarDate"), b.zone); ok {
			b.span(garminStressDay, day, values.member("overallStressLevel").orMissing())
		}
	case values.has("wellnessDataDaysCount"), n.has("value") && n.has("calendarDate"):
		b.once(RuleNotKept, n.path, "") // means and totals of a week, which the days have
	case n.has("recoveryTimeFactorPercent"):
		if at, ok := b.when(n.member("timestamp"), time.UTC); ok {
			b.put(score("garmin/training-readiness"), at, n.member("score").orMissing())
		}
	default:
		return false
	}
	return true
}

// garminZone returns the zone that two clocks of one moment tell, GMT and local, or
// another.
func garminZone(n node, gmt, clock string, other *time.Location) *time.Location {
	var times [2]time.Time
	for i, name := range []string{gmt, clock} {
		s, _ := n.member(name).v.(string)
		if t, err := time.Parse(layouts[0], strings.TrimSuffix(s, "Z")); err == nil {
			times[i] = t
		}
	}
	east := times[1].Sub(times[0])
	if times[0].IsZero() || times[1].IsZero() || east.Abs() > 14*time.Hour {
		return other
	}
	return time.FixedZone("", int(east/time.Second))
}

func garminHeartRate(b *batch, n node) {
	b.pairs(heartRate, n.member("heartRateValues"), garminColumn(n, "heartRateValueDescriptors", "key", "index", "heartrate", 1))
	if !n.has("restingHeartRate") {
		return
	}
	if day, ok := b.day(n.member("calendarDate"), garminZone(n, "startTimestampGMT", "startTimestampLocal", b.zone)); ok {
		b.span(restingHeartRate, day, n.member("restingHeartRate").orMissing())
	}
}

// garminCurves takes stress and body battery. The level of the battery stands behind
// its state, if that is there.
func garminCurves(b *batch, n node) {
	b.pairs(garminStress, n.member("stressValuesArray"), garminColumn(n, "stressValueDescriptorsDTOList", "key", "index", "stressLevel", 1))
	column := 2
	if first := n.member("bodyBatteryValuesArray").element(0); first.element(0).present && !first.element(2).present {
		column = 1
	}
	b.pairs(bodyBattery, n.member("bodyBatteryValuesArray"),
		garminColumn(n, "bodyBatteryValueDescriptorsDTOList", "bodyBatteryValueDescriptorKey", "bodyBatteryValueDescriptorIndex", "bodyBatteryLevel", column))
}

// garminColumn returns the place of a value in each row, as the answer describes it.
func garminColumn(n node, list, key, index, name string, usual int) int {
	for d := range n.member(list).each() {
		if i, ok := d.member(index).integerIn(0, 20); ok && d.member(key).is(name) {
			return int(i)
		}
	}
	return usual
}

// pairs takes rows of a time in milliseconds and values.
func (b *batch) pairs(v variable, rows node, column int) {
	for row := range rows.each() {
		if _, ok := row.v.([]any); !ok {
			b.problem(fhir.RuleWrongType, row.path, "want array")
			continue
		}
		if at, ok := b.epoch(row.element(0), 1e6); ok {
			b.put(v, at, row.element(column).orMissing())
		}
	}
}
