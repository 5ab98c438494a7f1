package wearable

import "time"

// garminDay takes the totals of a day.
func garminDay(b *batch, n node) {
	day, ok := b.day(n.member("calendarDate"), garminZone(n, "wellnessStartTimeGmt", "wellnessStartTimeLocal", b.zone))
	if !ok {
		return
	}
	for _, m := range []measured{
		{"totalSteps", stepsDay, ""},
		{"totalKilocalories", energyDay, ""},
		{"activeKilocalories", activeEnergyDay, ""},
		{"totalDistance", distanceDay, ""},
		{"totalDistanceMeters", distanceDay, ""},
		{"restingHeartRate", restingHeartRate, ""},
		{"minHeartRate", heartRateMin, ""},
		{"maxHeartRate", heartRateMax, ""},
		{"averageStressLevel", garminStressDay, ""},
		{"moderateIntensityMinutes", moderate, ""},
		{"vigorousIntensityMinutes", vigorous, ""},
		{"averageSpo2", spO2Mean, ""},
		{"lowestSpo2", spO2Min, ""},
	} {
		b.span(m.variable, day, n.member(m.name).orMissing())
	}
}

// garminNight takes the heart rate variability of a night, dated by the day on which
// it ends.
func garminNight(b *batch, n node, zone *time.Location) {
	if n.v == nil {
		return
	}
	if day, ok := b.day(n.member("calendarDate"), zone); ok {
		b.span(garminHRVNight, day, n.member("lastNightAvg").orMissing())
	}
}

// garminSleep takes a night. A day without one has no times.
func garminSleep(b *batch, n node) {
	if !b.ownedBy(n.member("userProfilePK")) || n.member("sleepStartTimestampGMT").v == nil {
		return
	}
	from, fromOK := b.epoch(n.member("sleepStartTimestampGMT"), 1e6)
	to, toOK := b.epoch(n.member("sleepEndTimestampGMT"), 1e6)
	s, ok := b.between(from, fromOK, to, toOK, n)
	if !ok {
		return
	}
	s = s.named(ofSleep)
	for _, m := range []measured{
		{"sleepTimeSeconds", sleepTime, "s"},
		{"deepSleepSeconds", deepSleep, "s"},
		{"lightSleepSeconds", lightSleep, "s"},
		{"remSleepSeconds", remSleep, "s"},
		{"awakeSleepSeconds", sleepAwake, "s"},
		{"awakeCount", sleepAwakenings, ""},
		{"averageSpO2Value", spO2Mean, ""},
		{"lowestSpO2Value", spO2Min, ""},
		{"highestSpO2Value", spO2Max, ""},
		{"averageSpO2HRSleep", heartRateMean, ""},
		{"averageRespirationValue", respiratoryMean, ""},
		{"lowestRespirationValue", respiratoryMin, ""},
		{"highestRespirationValue", respiratoryMax, ""},
	} {
		b.span(m.variable, s, n.member(m.name).in(m.unit).orMissing())
	}
	b.span(score("garmin/sleep-score"), s, n.member("sleepScores").member("overall").member("value").orMissing())
}

func garminWeights(b *batch, list node) {
	for e := range list.each() {
		garminWeight(b, e)
	}
}

// garminWeight takes a weighing. Masses are in grams; date is the local clock as if it
// were GMT, and is not used.
func garminWeight(b *batch, n node) {
	at, ok := b.epoch(n.member("timestampGMT"), 1e6)
	if !ok {
		return
	}
	b.put(weight, at, n.member("weight").in("g"))
	b.put(bmi, at, n.member("bmi"))
	b.put(bodyFat, at, n.member("bodyFat"))
	b.put(bodyWater, at, n.member("bodyWater"))
	b.put(boneMass, at, n.member("boneMass").in("g"))
	b.put(muscleMass, at, n.member("muscleMass").in("g"))
}
