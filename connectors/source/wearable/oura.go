package wearable

import "time"

// oura reads the answers of Oura's API, version 1 and 2. Its times have an offset; a
// day is given by its date, and runs there from 4 to 4 o'clock.
//
// Source: https://cloud.ouraring.com/docs and https://cloud.ouraring.com/v2/docs
var oura = maker{
	lists: map[string]func(*batch, node){
		"sleep":          ouraSleepV1,
		"activity":       ouraActivityV1,
		"readiness":      ouraReadinessV1,
		"ideal_bedtimes": notKept,
		"data":           ouraV2,
	},
	rest: func(b *batch, n node) bool {
		if n.has("age") { // user_info, personal_info
			b.once(RuleNotKept, n.path, "")
			return true
		}
		return false
	},
}

// notKept says once that a list is known and holds no series.
func notKept(b *batch, n node) { b.once(RuleNotKept, n.path, "") }

// minutesEast returns the zone of an offset in minutes, or another if there is none.
func minutesEast(n node, other *time.Location) *time.Location {
	if m, ok := n.integerIn(-14*60, 14*60); ok {
		return time.FixedZone("", int(m)*60)
	}
	return other
}

// offsetOf returns the zone of the offset that a time has, or another.
func offsetOf(n node, other *time.Location) *time.Location {
	s, _ := n.v.(string)
	if t, ok := parseOffset(s); ok {
		return t.Location()
	}
	return other
}

func ouraSleepV1(b *batch, n node) {
	s, ok := b.ouraBedtime(n)
	if !ok {
		return
	}
	b.all(n, s, []measured{
		{"total", sleepTime, "s"},
		{"deep", deepSleep, "s"},
		{"light", lightSleep, "s"},
		{"rem", remSleep, "s"},
		{"awake", sleepAwake, "s"},
		{"onset_latency", sleepOnset, "s"},
		{"efficiency", sleepEfficiency, ""},
		{"is_longest", sleepMain, ""},
		{"hr_lowest", heartRateMin, ""},
		{"hr_average", heartRateMean, ""},
		{"rmssd", rmssdMean, ""},
		{"breath_average", respiratoryMean, ""},
		{"temperature_delta", temperatureDeviation, ""},
		{"score", score("oura/sleep-score"), ""},
	})
	const five = 5 * 60_000
	b.ouraList(heartRate, s.from, five, n.member("hr_5min"))
	b.ouraList(rmssd, s.from, five, n.member("rmssd_5min"))
}

// ouraBedtime returns the time in bed.
func (b *batch) ouraBedtime(n node) (interval, bool) {
	from, fromOK := b.when(n.member("bedtime_start"), nil)
	to, toOK := b.when(n.member("bedtime_end"), nil)
	s, ok := b.between(from, fromOK, to, toOK, n)
	return s.named(ofSleep), ok
}

// all takes several members of one interval.
func (b *batch) all(n node, s interval, list []measured) {
	for _, m := range list {
		b.span(m.variable, s, n.member(m.name).in(m.unit))
	}
}

// ouraList takes a list of values at equal steps, of which 0 is none.
func (b *batch) ouraList(v variable, from, step int64, list node) {
	i := int64(0)
	for e := range list.each() {
		if x, ok := e.number(v.unit); ok && x == 0 {
			e.missing = true
		}
		b.span(v, lasting(from+i*step, step), e)
		i++
	}
}

func ouraActivityV1(b *batch, n node) {
	zone := minutesEast(n.member("timezone"), offsetOf(n.member("day_start"), b.zone))
	day, ok := b.day(n.member("summary_date"), zone)
	if !ok {
		return
	}
	b.all(n, day, []measured{
		{"steps", stepsDay, ""},
		{"cal_total", energyDay, ""},
		{"cal_active", activeEnergyDay, ""},
		{"daily_movement", distanceDay, ""},
		{"inactive", sedentary, ""},
		{"low", lightActivity, ""},
		{"medium", moderate, ""},
		{"high", vigorous, ""},
		{"score", score("oura/activity-score"), ""},
	})
	if from, ok := b.when(n.member("day_start"), nil); ok {
		b.ouraList(met, from, 60_000, n.member("met_1min"))
	}
}

func ouraReadinessV1(b *batch, n node) {
	if day, ok := b.day(n.member("summary_date"), b.zone); ok {
		b.span(score("oura/readiness-score"), day, n.member("score"))
	}
}
