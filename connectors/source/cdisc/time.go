package cdisc

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// A date and time of SDTM is ISO 8601, cut off at the right where more is not known
// (2003-12), or with a hyphen in place of a part that is not known (2003---15, -----T07:15).
//
// Source: CDISC SDTM Implementation Guide 3.4, section 4.4.2, "Date/time precision".
var (
	datePart  = regexp.MustCompile(`^([0-9]{4})(?:-([0-9]{2}|-)(?:-([0-9]{2}|-))?)?$`)
	clockPart = regexp.MustCompile(`^([0-9]{2}|-)(?::([0-9]{2}|-)(?::([0-9]{2}|-)(?:[.,]([0-9]{1,9}))?)?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$`)
)

// maxOffset is the largest offset from UTC that is in use anywhere, in minutes.
const maxOffset = 14 * 60

// parseDTC reads the value of a --DTC variable as far as its parts are known without a gap:
// of 2003---15 that is the year. An interval (2003-12-15/2003-12-20) gives its begin. ok is
// false for what is no date, and for one without a year, such as --12-15.
func parseDTC(s string) (t fhir.Time, ok bool) {
	s, _, _ = strings.Cut(s, "/")
	day, clock, timed := strings.Cut(s, "T")
	d := datePart.FindStringSubmatch(day)
	if d == nil {
		return t, false
	}
	precision, month, date := fhir.PrecisionYear, 1, 1
	if isKnown(d[2]) {
		precision, month = fhir.PrecisionMonth, atoi(d[2])
		if isKnown(d[3]) {
			precision, date = fhir.PrecisionDay, atoi(d[3])
		}
	}
	at := time.Date(atoi(d[1]), time.Month(month), date, 0, 0, 0, 0, time.UTC)
	if at.Year() != atoi(d[1]) || at.Year() == 0 || int(at.Month()) != month || at.Day() != date {
		return t, false
	}
	t = fhir.Time{At: at, Precision: precision, Text: at.Format(layouts[precision])}
	if timed {
		return withClock(t, clock)
	}
	return t, true
}

var layouts = map[fhir.Precision]string{fhir.PrecisionYear: "2006", fhir.PrecisionMonth: "2006-01", fhir.PrecisionDay: time.DateOnly}

// withClock adds the time of day if hour and minute are known, and the day they are of.
func withClock(t fhir.Time, clock string) (fhir.Time, bool) {
	c := clockPart.FindStringSubmatch(clock)
	if c == nil {
		return fhir.Time{}, false
	}
	if t.Precision != fhir.PrecisionDay || !isKnown(c[1]) || !isKnown(c[2]) {
		return t, true
	}
	hour, minute, second, nano := atoi(c[1]), atoi(c[2]), 0, 0
	precision, layout := fhir.PrecisionMinute, "2006-01-02T15:04"
	if isKnown(c[3]) {
		second, _ = strconv.Atoi(c[3])
		nano, _ = strconv.Atoi((c[4] + "000000000")[:9])
		precision, layout = fhir.PrecisionSecond, "2006-01-02T15:04:05.999999999"
	}
	zone, ok := offset(c[5])
	if !ok || minute > 59 || second > 59 || hour > 24 || hour == 24 && minute+second+nano > 0 {
		return fhir.Time{}, false
	}
	if c[5] != "" {
		layout += "Z07:00"
	}
	// 24:00 is the next day's beginning, which time.Date makes of it.
	at := time.Date(t.At.Year(), t.At.Month(), t.At.Day(), hour, minute, second, nano, zone)
	return fhir.Time{At: at, Precision: precision, Zoned: c[5] != "", Text: at.Format(layout)}, true
}

// offset reads Z, +01, +0100 or +01:00; nothing is UTC.
func offset(s string) (*time.Location, bool) {
	if s == "" || s == "Z" {
		return time.UTC, true
	}
	digits := strings.Replace(s[1:], ":", "", 1)
	minutes := atoi(digits[:2]) * 60
	if len(digits) == 4 {
		minutes += atoi(digits[2:])
	}
	if minutes > maxOffset {
		return nil, false
	}
	if s[0] == '-' {
		minutes = -minutes
	}
	return time.FixedZone("", minutes*60), true
}

// isKnown reports whether a part of a date was stated.
func isKnown(part string) bool { return part != "" && part != "-" }

// atoi is the number that a few digits are.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// sasEpoch is the day 0 of SAS dates and datetimes.
var sasEpoch = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)

// maxSASDay is the last day that SAS has: 31 December 9999. Its first is 1 January 1582.
const (
	minSASDay = -138_061
	maxSASDay = 2_936_549
)

// parseSASDate reads the value of a --DT variable of ADaM, days since 1 January 1960, or the
// ISO date that other containers write in its place. The days before 1582, which SAS has
// not, are no dates.
func parseSASDate(s string) (fhir.Time, bool) {
	days, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return parseDTC(s)
	}
	if !(days >= minSASDay && days <= maxSASDay) || days != math.Trunc(days) {
		return fhir.Time{}, false
	}
	at := sasEpoch.AddDate(0, 0, int(days))
	return fhir.Time{At: at, Precision: fhir.PrecisionDay, Text: at.Format(time.DateOnly)}, true
}
