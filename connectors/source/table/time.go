package table

import (
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// dateForm is how a table writes dates. ISO 8601 is read in every table, as it cannot be
// taken for one of the others.
type dateForm uint8

const (
	isoDates   dateForm = iota // 2024-01-31, 2024-01, 2024
	usDates                    // 1/31/2024
	euDates                    // 31.1.2024, 31/1/2024
	plainDates                 // 20240131
)

var dateForms = map[string]dateForm{"iso": isoDates, "us": usDates, "eu": euDates, "yyyymmdd": plainDates}

// maxOffset is the largest offset from UTC that is in use anywhere, in minutes.
const maxOffset = 14 * 60

// parseTime reads a date with or without a time of day: 31.01.2024 14:05, 1/31/2024 2:05
// PM, 2024-01-31T14:05:09.25+01:00, 20240131140509. A time without an offset is in zone,
// or else in UTC and not Zoned. Years have four digits, from 1 to 9999. The rule says why
// s is none; an empty one is that it is.
//
// A number of days as spreadsheets count them (44927) is refused, as they count from two
// different days.
func parseTime(s string, form dateForm, zone *time.Location) (t fhir.Time, rule fhir.Rule) {
	year, month, day, rest, precision := date(s, form)
	if precision == fhir.PrecisionNone {
		if whole, fraction, _ := strings.Cut(s, "."); len(whole) == 5 && digitsOnly(whole+fraction) {
			return t, RuleSpreadsheet
		}
		return t, fhir.RuleInvalidTime
	}
	c, ok := parseClock(rest)
	if !ok || c.given && precision != fhir.PrecisionDay {
		return t, fhir.RuleInvalidTime
	}
	at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 1 || at.Day() != day || int(at.Month()) != month {
		return t, fhir.RuleInvalidTime
	}
	if !c.given {
		text := [...]string{fhir.PrecisionYear: "2006", fhir.PrecisionMonth: "2006-01", fhir.PrecisionDay: time.DateOnly}[precision]
		return fhir.Time{At: at, Precision: precision, Text: at.Format(text)}, ""
	}
	t = fhir.Time{Precision: c.precision, Zoned: true}
	if c.zone != nil {
		zone = c.zone
	}
	layout := "2006-01-02T15:04:05.999999999Z07:00"
	if zone == nil {
		zone, t.Zoned, layout = time.UTC, false, "2006-01-02T15:04:05.999999999"
	}
	// 24:00 is the next day's beginning, which time.Date makes of it.
	t.At = time.Date(year, time.Month(month), day, c.hour, c.minute, c.second, c.nano, zone)
	t.Text = t.At.Format(layout)
	return t, ""
}

// date reads the date with which s begins; the precision is none if there is none.
func date(s string, form dateForm) (year, month, day int, rest string, precision fhir.Precision) {
	switch {
	case form == plainDates && len(s) >= 8 && digitsOnly(s[:8]):
		return atoi(s[:4]), atoi(s[4:6]), atoi(s[6:8]), s[8:], fhir.PrecisionDay
	case form == usDates && strings.IndexByte(s, '/') > 0:
		month, day, year, rest, precision = numbers(s, '/')
		return year, month, day, rest, precision
	case form == euDates && len(s) > 2 && strings.ContainsAny(s[1:3], "./"):
		day, month, year, rest, precision = numbers(s, s[1+strings.IndexAny(s[1:3], "./")])
		return year, month, day, rest, precision
	case len(s) >= 10 && s[4] == '-' && s[7] == '-' && digitsOnly(s[:4]) && digitsOnly(s[5:7]) && digitsOnly(s[8:10]):
		return atoi(s[:4]), atoi(s[5:7]), atoi(s[8:10]), s[10:], fhir.PrecisionDay
	case len(s) == 7 && s[4] == '-' && digitsOnly(s[:4]) && digitsOnly(s[5:]):
		return atoi(s[:4]), atoi(s[5:]), 1, "", fhir.PrecisionMonth
	case len(s) == 4 && digitsOnly(s):
		return atoi(s), 1, 1, "", fhir.PrecisionYear
	}
	return 0, 0, 0, "", fhir.PrecisionNone
}

// numbers reads 1/31/2024: two numbers of one or two digits and one of four.
func numbers(s string, separator byte) (a, b, c int, rest string, precision fhir.Precision) {
	first, s, _ := strings.Cut(s, string(separator))
	second, s, ok := strings.Cut(s, string(separator))
	if !ok || len(first) > 2 || len(second) > 2 || len(s) < 4 || !digitsOnly(first) || !digitsOnly(second) || !digitsOnly(s[:4]) {
		return 0, 0, 0, "", fhir.PrecisionNone
	}
	return atoi(first), atoi(second), atoi(s[:4]), s[4:], fhir.PrecisionDay
}

// atoi is the number that at most eight digits are.
func atoi(digits string) (n int) {
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// clock is a time of day.
type clock struct {
	given                      bool
	hour, minute, second, nano int
	precision                  fhir.Precision
	zone                       *time.Location
}

// parseClock reads what stands behind a date: nothing, or a blank or T and h:mm[:ss[.fff]]
// or hhmm[ss], then AM or PM, then Z or an offset.
func parseClock(s string) (c clock, ok bool) {
	s = strings.TrimLeft(strings.TrimPrefix(s, "T"), " ")
	if s == "" {
		return c, true
	}
	c.given = true
	if s, c.zone, ok = cutZone(s); !ok {
		return c, false
	}
	s, begins := cutHalf(s)
	whole, fraction, pointed := strings.Cut(s, ".")
	if pointed && (!digitsOnly(fraction) || len(fraction) > 9) {
		return c, false
	}
	parts := strings.Split(whole, ":")
	if len(parts) == 1 && (len(whole) == 4 || len(whole) == 6) {
		parts = nil
		for i := 0; i < len(whole); i += 2 {
			parts = append(parts, whole[i:i+2])
		}
	}
	if len(parts) < 2 || len(parts) > 3 || pointed && len(parts) == 2 {
		return c, false
	}
	var n [3]int
	for i, part := range parts {
		if !digitsOnly(part) || len(part) > 2 || i > 0 && len(part) != 2 {
			return c, false
		}
		n[i] = atoi(part)
	}
	c.hour, c.minute, c.second, c.precision = n[0], n[1], n[2], fhir.PrecisionMinute
	if len(parts) == 3 {
		c.precision = fhir.PrecisionSecond
		c.nano, _ = strconv.Atoi((fraction + "000000000")[:9])
	}
	if begins >= 0 {
		if c.hour < 1 || c.hour > 12 {
			return c, false
		}
		c.hour = c.hour%12 + begins
	}
	midnight := c.hour == 24 && c.minute == 0 && c.second == 0 && c.nano == 0
	return c, (c.hour < 24 || midnight) && c.minute < 60 && c.second < 60
}

// cutHalf cuts AM or PM off the end. Its second result is the hour at which that half of
// the day begins, -1 if there is neither.
func cutHalf(s string) (rest string, begins int) {
	switch upper := strings.ToUpper(s); {
	case strings.HasSuffix(upper, "AM"):
		return strings.TrimSpace(s[:len(s)-2]), 0
	case strings.HasSuffix(upper, "PM"):
		return strings.TrimSpace(s[:len(s)-2]), 12
	}
	return s, -1
}

// cutZone cuts Z, +01:00, -0500 or +01 off the end of a time of day.
func cutZone(s string) (rest string, zone *time.Location, ok bool) {
	if rest, found := strings.CutSuffix(s, "Z"); found {
		return rest, time.UTC, true
	}
	at := strings.LastIndexAny(s, "+-")
	if at < 0 {
		return s, nil, true
	}
	digits := strings.Replace(s[at+1:], ":", "", 1)
	if len(digits) == 2 {
		digits += "00"
	}
	if len(digits) != 4 || !digitsOnly(digits) || atoi(digits[2:]) > 59 {
		return "", nil, false
	}
	minutes := atoi(digits[:2])*60 + atoi(digits[2:])
	if minutes > maxOffset {
		return "", nil, false
	}
	if s[at] == '-' {
		minutes = -minutes
	}
	return strings.TrimSpace(s[:at]), time.FixedZone("", minutes*60), true
}
