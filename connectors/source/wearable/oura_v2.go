package wearable

// ouraV2 takes an element of any collection of version 2. The answer does not say
// which it is of, so its members tell.
func ouraV2(b *batch, n node) {
	switch {
	case n.has("bpm"):
		if at, ok := b.when(n.member("timestamp"), nil); ok {
			b.put(heartRate, at, n.member("bpm"))
		}
	case n.has("bedtime_start"):
		ouraSleepV2(b, n)
	case n.has("total_calories"):
		ouraActivityV2(b, n)
	case n.has("activity") && n.has("start_datetime"):
		if s, ok := b.ouraSession(n); ok {
			b.lasted(activity, s, n)
			b.span(activityDistance, s, n.member("distance"))
			b.span(activityEnergy, s, n.member("calories"))
		}
	case n.has("start_datetime"): // a session of rest or breathing
		if _, ok := b.ouraSession(n); ok {
			b.ouraSamples(heartRate, n.member("heart_rate"))
			b.ouraSamples(ouraHRV, n.member("heart_rate_variability"))
		}
	case n.has("spo2_percentage"):
		if day, ok := b.day(n.member("day"), b.zone); ok {
			b.span(spO2Mean, day, n.member("spo2_percentage").member("average"))
		}
	case n.has("tags"):
		b.once(RuleNotKept, n.path, "")
	default:
		b.once(RuleUnknownPayload, n.path, "")
	}
}

// ouraHRV is what version 2 calls heart rate variability without saying which.
var ouraHRV = variable{system: SystemOwn, code: "oura/hrv", unit: "ms"}

func (b *batch) ouraSession(n node) (interval, bool) {
	from, fromOK := b.when(n.member("start_datetime"), nil)
	to, toOK := b.when(n.member("end_datetime"), nil)
	s, ok := b.between(from, fromOK, to, toOK, n)
	return s.named(ofActivity), ok
}

func ouraSleepV2(b *batch, n node) {
	s, ok := b.ouraBedtime(n)
	if !ok {
		return
	}
	b.all(n, s, []measured{
		{"total_sleep_duration", sleepTime, "s"},
		{"deep_sleep_duration", deepSleep, "s"},
		{"light_sleep_duration", lightSleep, "s"},
		{"rem_sleep_duration", remSleep, "s"},
		{"awake_time", sleepAwake, "s"},
		{"latency", sleepOnset, "s"},
		{"efficiency", sleepEfficiency, ""},
		{"lowest_heart_rate", heartRateMin, ""},
		{"average_heart_rate", heartRateMean, ""},
		{"average_breath", respiratoryMean, ""},
		{"average_hrv", variable{system: SystemOwn, code: "oura/hrv-average", unit: "ms"}, ""},
	})
	b.ouraSamples(heartRate, n.member("heart_rate"))
	b.ouraSamples(ouraHRV, n.member("hrv"))
}

func ouraActivityV2(b *batch, n node) {
	day, ok := b.day(n.member("day"), offsetOf(n.member("timestamp"), b.zone))
	if !ok {
		return
	}
	b.all(n, day, []measured{
		{"steps", stepsDay, ""},
		{"total_calories", energyDay, ""},
		{"active_calories", activeEnergyDay, ""},
		{"equivalent_walking_distance", distanceDay, ""},
		{"sedentary_time", sedentary, "s"},
		{"low_activity_time", lightActivity, "s"},
		{"medium_activity_time", moderate, "s"},
		{"high_activity_time", vigorous, "s"},
		{"score", score("oura/activity-score"), ""},
	})
	b.ouraSamples(met, n.member("met"))
}

// ouraSamples takes values at equal steps of so many seconds.
func (b *batch) ouraSamples(v variable, n node) {
	if n.v == nil {
		return
	}
	from, ok := b.when(n.member("timestamp"), nil)
	every, known := n.member("interval").number("s")
	if !known || every <= 0 || every > 86_400 {
		b.problem(RuleUnknownMeasure, n.path, "want an interval in seconds")
		return
	}
	if ok {
		b.ouraList(v, from, int64(every*1000), n.member("items"))
	}
}
