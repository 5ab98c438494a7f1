package wearable

import (
	"math"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// interval is a span of time in milliseconds since 1970 UTC.
type interval struct {
	from, to int64
	of       string // what many values are of together: day, night or exercise; or empty
}

// What an interval may be of.
const (
	ofDay      = "day"
	ofSleep    = "sleep-episode"
	ofActivity = "physical-activity"
)

// named says what the interval is of.
func (s interval) named(of string) interval {
	s.of = of
	return s
}

// between returns the interval of two times that were read.
func (b *batch) between(from int64, fromOK bool, to int64, toOK bool, n node) (interval, bool) {
	if fromOK && toOK && to < from {
		b.problem(RuleEndBeforeStart, n.path, "")
		return interval{}, false
	}
	return interval{from: from, to: to}, fromOK && toOK
}

// lasting returns the interval of a length in milliseconds.
func lasting(from, length int64) interval { return interval{from: from, to: from + length} }

const dayLength = 24 * 60 * 60 * 1000

// layouts are those of RFC 3339, and without seconds.
var layouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04"}

// when reads a required time. If it has no offset it is of zone, or, if that is nil,
// a problem.
func (b *batch) when(n node, zone *time.Location) (int64, bool) {
	if n.v == nil {
		b.problem(fhir.RuleMissingField, n.path, "")
		return 0, false
	}
	s, ok := n.text()
	if !ok {
		return 0, false
	}
	return b.parseTime(s, n.path, zone)
}

func (b *batch) parseTime(s, path string, zone *time.Location) (int64, bool) {
	if t, ok := parseOffset(s); ok {
		return b.plausible(t, path)
	}
	for _, layout := range layouts {
		wall, err := time.Parse(layout, s)
		switch {
		case err != nil:
			continue
		case zone == nil:
			b.once(RuleMissingTimezone, path, "")
			return 0, false
		}
		t, ok := local(wall, zone)
		if !ok {
			b.problem(fhir.RuleInvalidTime, path, "the clock was set forward over it")
			return 0, false
		}
		return b.plausible(t, path)
	}
	b.problem(fhir.RuleInvalidTime, path, "")
	return 0, false
}

// parseOffset reads a time that has an offset.
func parseOffset(s string) (time.Time, bool) {
	if n := len(s); n < 7 || s[n-1] != 'Z' && s[n-6] != '+' && s[n-6] != '-' {
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout+"Z07:00", s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// local returns the first instant at which clocks in zone show the date and time of
// wall, and false if they never do.
func local(wall time.Time, zone *time.Location) (time.Time, bool) {
	show := func(offset int) (time.Time, bool) {
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		_, real := t.Zone()
		return t, real == offset
	}
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	_, after := t.Add(26 * time.Hour).Zone()
	_, before := t.Add(-26 * time.Hour).Zone()
	_, now := t.Zone()
	var found time.Time
	for _, offset := range []int{before, now, after} {
		if t, ok := show(offset); ok && (found.IsZero() || t.Before(found)) {
			found = t
		}
	}
	return found, !found.IsZero()
}

// day reads a required date and returns the interval of that day in zone.
func (b *batch) day(n node, zone *time.Location) (interval, bool) {
	if n.v == nil {
		b.problem(fhir.RuleMissingField, n.path, "")
		return interval{}, false
	}
	s, ok := n.text()
	if !ok {
		return interval{}, false
	}
	date, err := time.Parse(time.DateOnly, s)
	if err != nil {
		b.problem(fhir.RuleInvalidTime, n.path, "want a date")
		return interval{}, false
	}
	return b.dayOf(date, n.path, zone)
}

// dayOf returns the interval from the first instant of date in zone to that of the
// next.
func (b *batch) dayOf(date time.Time, path string, zone *time.Location) (interval, bool) {
	if zone == nil {
		b.once(RuleMissingTimezone, path, "")
		return interval{}, false
	}
	from, ok := b.plausible(midnight(date, zone), path)
	return interval{from, midnight(date.AddDate(0, 0, 1), zone).UnixMilli(), ofDay}, ok
}

// midnight returns the first instant of a day, which is later where the clock is set
// forward at midnight.
func midnight(date time.Time, zone *time.Location) time.Time {
	if t, ok := local(date, zone); ok {
		return t
	}
	return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
}

// epoch reads a required whole number of ticks since 1970 UTC, each of that many
// nanoseconds.
func (b *batch) epoch(n node, tick int64) (int64, bool) {
	if n.v == nil {
		b.problem(fhir.RuleMissingField, n.path, "")
		return 0, false
	}
	i, ok := n.integer()
	if !ok {
		return 0, false
	}
	if i > math.MaxInt64/tick || i < math.MinInt64/tick {
		b.problem(fhir.RuleInvalidTime, n.path, "want the years 1900 to 2199")
		return 0, false
	}
	return b.plausible(time.Unix(0, i*tick), n.path)
}

// plausible returns t in milliseconds if it may be the time of a measurement.
func (b *batch) plausible(t time.Time, path string) (int64, bool) {
	if y := t.Year(); y < 1900 || y > 2199 {
		b.problem(fhir.RuleInvalidTime, path, "want the years 1900 to 2199")
		return 0, false
	}
	return t.UnixMilli(), true
}
