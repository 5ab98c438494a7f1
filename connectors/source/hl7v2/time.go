package hl7v2

import (
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// stampLayouts are the forms of a DTM by how many digits it has, without fraction and
// offset, and FHIR's form of the same.
var stampLayouts = map[int]struct {
	layout, fhir string
	precision    fhir.Precision
}{
	4:  {"2006", "2006", fhir.PrecisionYear},
	6:  {"200601", "2006-01", fhir.PrecisionMonth},
	8:  {"20060102", "2006-01-02", fhir.PrecisionDay},
	10: {"2006010215", "2006-01-02T15:04:05Z07:00", fhir.PrecisionMinute},
	12: {"200601021504", "2006-01-02T15:04:05Z07:00", fhir.PrecisionMinute},
	14: {"20060102150405", "2006-01-02T15:04:05.999999999Z07:00", fhir.PrecisionSecond},
}

// ParseTime reads YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ] (HL7 v2.8 chapter
// 2.A.22). The result's Text is the FHIR form, so that both sources give the same. A
// time of day without an offset is in zone, which is that of MSH-7, or else in UTC and
// not Zoned. Zeros, which senders write for an unknown month, day or year, end the
// stated precision; 24:00:00 is the next day's start. ok is false for what is no time.
// HL7 v3 kept the format for its TS.
func ParseTime(s string, zone *time.Location) (t fhir.Time, ok bool) {
	digits, stated, ok := cutOffset(strings.TrimSpace(s))
	if !ok {
		return fhir.Time{}, false
	}
	if stated != nil {
		zone = stated
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	if strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" || len(fraction) > 9 {
		return fhir.Time{}, false
	}
	whole = known(whole)
	l, ok := stampLayouts[len(whole)]
	if !ok {
		return fhir.Time{}, whole == ""
	}
	if len(whole) == 14 && fraction != "" {
		l.layout, whole = l.layout+"."+strings.Repeat("0", len(fraction)), whole+"."+fraction
	}
	add := time.Duration(0)
	if len(whole) >= 10 && whole[8:10] == "24" && strings.Trim(whole[10:], "0.") == "" {
		whole, add = whole[:8]+"00"+whole[10:], 24*time.Hour
	}
	zoned := zone != nil && l.precision > fhir.PrecisionDay
	if !zoned {
		zone = time.UTC
	}
	at, err := time.ParseInLocation(l.layout, whole, zone)
	at = at.Add(add)
	if err != nil || at.Year() < 1 || at.Year() > 9999 {
		return fhir.Time{}, false
	}
	return fhir.Time{At: at, Precision: l.precision, Zoned: zoned, Text: at.Format(l.fhir)}, true
}

// maxOffset is the largest offset from UTC that is in use anywhere, in seconds.
const maxOffset = 14 * 3600

// cutOffset splits the offset from the end of a time; zone is nil if there is none.
func cutOffset(s string) (digits string, zone *time.Location, ok bool) {
	at := strings.IndexAny(s, "+-")
	if at <= 0 {
		return s, nil, true
	}
	parsed, err := time.Parse("-0700", s[at:])
	if err != nil || s[at+3] > '5' {
		return "", nil, false
	}
	_, seconds := parsed.Zone()
	return s[:at], time.FixedZone("", seconds), seconds >= -maxOffset && seconds <= maxOffset
}

// known cuts a time where its sender did not know more: 19800000 is 1980.
func known(digits string) string {
	switch {
	case strings.Trim(digits, "0") == "", strings.HasPrefix(digits, "0000"):
		return ""
	case len(digits) >= 6 && digits[4:6] == "00":
		return digits[:4]
	case len(digits) >= 8 && digits[6:8] == "00":
		return digits[:6]
	}
	return digits
}

// Day is t without its time of day.
func Day(t fhir.Time) fhir.Time {
	if t.Precision <= fhir.PrecisionDay {
		return t
	}
	y, m, d := t.At.Date()
	at := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	return fhir.Time{At: at, Precision: fhir.PrecisionDay, Text: at.Format(time.DateOnly)}
}

// parseClock reads a TM, HH[MM[SS[.S]]], and returns hh:mm:ss as FHIR writes a time.
// An offset is dropped, as FHIR's time has none.
func parseClock(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if at := strings.IndexAny(s, "+-"); at > 0 {
		s = s[:at]
	}
	for _, layout := range []string{"150405", "1504", "15", "150405.0000", "150405.000", "150405.00", "150405.0"} {
		if at, err := time.Parse(layout, s); err == nil && len(s) == len(layout) {
			return at.Format("15:04:05.9999"), true
		}
	}
	return "", false
}
