package wearable

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// garminSummary takes a summary of the Health API that Garmin has for partners: a day, a
// night, a weighing, or curves of a part of a day. Their times are seconds in GMT, with the
// offset of the person's clock beside them.
//
// Source: Garmin Connect Developer Program, Health API 1.2, which Garmin gives to members;
// names of members as in public code that reads it.
func garminSummary(b *batch, n node) {
	if !b.ownedBy(n.member("userId")) {
		return
	}
	zone := b.zone
	if east, ok := n.member("startTimeOffsetInSeconds").integerIn(-14*3600, 14*3600); ok {
		zone = time.FixedZone("", int(east))
	}
	switch {
	case n.has("deepSleepDurationInSeconds"), n.has("sleepLevelsMap"):
		garminHealthSleep(b, n)
	case n.has("hrvValues"), n.has("lastNightAvg"):
		garminNight(b, n, zone)
		b.garminOffsets(garminHRV, n, n.member("hrvValues"))
	case n.has("timeOffsetStressLevelValues"), n.has("timeOffsetBodyBatteryValues"):
		b.garminOffsets(garminStress, n, n.member("timeOffsetStressLevelValues"))
		b.garminOffsets(bodyBattery, n, n.member("timeOffsetBodyBatteryValues"))
	case n.has("measurementTimeInSeconds"):
		garminHealthWeight(b, n)
	case n.has("calendarDate") && n.has("steps"):
		garminHealthDay(b, n, zone)
	default:
		b.once(RuleUnknownMeasure, n.path, "")
	}
}

func garminHealthDay(b *batch, n node, zone *time.Location) {
	b.garminOffsets(heartRate, n, n.member("timeOffsetHeartRateSamples"))
	day, ok := b.day(n.member("calendarDate"), zone)
	if !ok {
		return
	}
	for _, m := range []measured{
		{"steps", stepsDay, ""},
		{"distanceInMeters", distanceDay, ""},
		{"activeKilocalories", activeEnergyDay, ""},
		{"restingHeartRateInBeatsPerMinute", restingHeartRate, ""},
		{"minHeartRateInBeatsPerMinute", heartRateMin, ""},
		{"maxHeartRateInBeatsPerMinute", heartRateMax, ""},
		{"averageStressLevel", garminStressDay, ""},
		{"moderateIntensityDurationInSeconds", moderate, "s"},
		{"vigorousIntensityDurationInSeconds", vigorous, "s"},
	} {
		b.span(m.variable, day, n.member(m.name).in(m.unit).orMissing())
	}
}

// garminHealthSleep takes a night, whose length is that of its parts: the duration is without
// what was awake.
func garminHealthSleep(b *batch, n node) {
	from, ok := b.epoch(n.member("startTimeInSeconds"), 1e9)
	if !ok {
		return
	}
	var seconds int64
	for _, name := range []string{"durationInSeconds", "awakeDurationInSeconds", "unmeasurableSleepInSeconds"} {
		part, _ := n.member(name).integerIn(0, 7*86_400)
		seconds += part
	}
	s := lasting(from, seconds*1000).named(ofSleep)
	for _, m := range []measured{
		{"durationInSeconds", sleepTime, "s"},
		{"deepSleepDurationInSeconds", deepSleep, "s"},
		{"lightSleepDurationInSeconds", lightSleep, "s"},
		{"remSleepInSeconds", remSleep, "s"},
		{"awakeDurationInSeconds", sleepAwake, "s"},
	} {
		b.span(m.variable, s, n.member(m.name).in(m.unit).orMissing())
	}
	b.span(score("garmin/sleep-score"), s, n.member("overallSleepScore").member("value").orMissing())
	b.garminOffsets(spO2, n, n.member("timeOffsetSleepSpo2"))
}

func garminHealthWeight(b *batch, n node) {
	at, ok := b.epoch(n.member("measurementTimeInSeconds"), 1e9)
	if !ok {
		return
	}
	for _, m := range []measured{
		{"weightInGrams", weight, "g"},
		{"bodyMassIndex", bmi, ""},
		{"bodyFatInPercent", bodyFat, ""},
		{"bodyWaterInPercent", bodyWater, ""},
		{"boneMassInGrams", boneMass, "g"},
		{"muscleMassInGrams", muscleMass, "g"},
	} {
		b.put(m.variable, at, n.member(m.name).in(m.unit))
	}
}

// garminOffsets takes values by the seconds from the summary's start on, in the order of time.
func (b *batch) garminOffsets(v variable, n, values node) {
	samples, ok := values.v.(map[string]any)
	if !ok {
		return
	}
	start, ok := b.epoch(n.member("startTimeInSeconds"), 1e9)
	if !ok {
		return
	}
	byTime := func(x, y string) int { return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) }
	for _, second := range slices.SortedFunc(maps.Keys(samples), byTime) {
		e := node{b: b, path: values.path + ".*", v: samples[second], present: true}
		offset, err := strconv.ParseUint(second, 10, 32)
		if err != nil || offset > 7*86_400 {
			b.problem(fhir.RuleInvalidTime, e.path, "want seconds from the start")
			continue
		}
		b.put(v, start+int64(offset)*1000, e.orMissing())
	}
}
