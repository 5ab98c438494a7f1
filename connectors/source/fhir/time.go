package fhir

import "time"

// Precision says how much of a [Time] its sender stated.
type Precision uint8

const (
	PrecisionNone Precision = iota // no time was given
	PrecisionYear
	PrecisionMonth
	PrecisionDay
	PrecisionMinute
	PrecisionSecond // with or without a fraction
)

// Time is a FHIR date, dateTime or instant as sent.
type Time struct {
	private

	Text      string // as sent
	Precision Precision

	// At is the first instant of the stated period, in the offset that was
	// stated, else in UTC. Zoned says whether an offset was stated; FHIR asks for
	// one with every time of day, senders forget it.
	At    time.Time
	Zoned bool
}

// IsZero reports whether no time was given.
func (t Time) IsZero() bool { return t.Precision == PrecisionNone }

// Period is a FHIR Period; either end may be missing.
type Period struct {
	private

	Start, End Time
}

var timeLayouts = []struct {
	layout    string
	precision Precision
	zoned     bool
}{
	{"2006-01-02T15:04:05.999999999Z07:00", PrecisionSecond, true},
	{"2006-01-02", PrecisionDay, false},
	{"2006", PrecisionYear, false},
	{"2006-01", PrecisionMonth, false},
	{"2006-01-02T15:04:05.999999999", PrecisionSecond, false},
	{"2006-01-02T15:04Z07:00", PrecisionMinute, true},
	{"2006-01-02T15:04", PrecisionMinute, false},
}

// parseTime reads the formats of https://hl7.org/fhir/R4/datatypes.html#dateTime, and
// times of day without seconds or offset. It refuses impossible dates and year 0.
func parseTime(s string) (Time, bool) {
	for _, l := range timeLayouts {
		at, err := time.Parse(l.layout, s)
		if err == nil && at.Year() > 0 {
			return Time{Text: s, At: at, Precision: l.precision, Zoned: l.zoned}, true
		}
	}
	return Time{}, false
}

func (t *tree) time(at int, name string) Time {
	c := t.typed(at, name, kindString)
	if c == none {
		return Time{}
	}
	parsed, ok := parseTime(t.textOf(c))
	if !ok {
		t.fail(RuleInvalidTime, c, "want a FHIR date or dateTime")
	}
	return parsed
}

func (t *tree) period(at int, name string) Period {
	c := t.typed(at, name, kindObject)
	return Period{Start: t.time(c, "start"), End: t.time(c, "end")}
}
