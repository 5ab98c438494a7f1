package cdm

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// format is how a value is written.
type format int

const (
	text   format = iota
	whole         // 64 bits: keys of sites are negative or large
	number        // 64-bit floating point
	day           // of the calendar
	moment        // without a zone
)

// value is a value of a row; set is false for none.
type value struct {
	set  bool
	bits int64  // the integer, the number's bits, days or microseconds since 1970
	text string // of a text
}

const secondsPerDay = 24 * 60 * 60

// isNull reports whether s stands for no value: nothing, PostgreSQL's \N, or, where no
// text can stand, what R and SQL clients write.
func isNull(s string, f format) bool {
	switch s {
	case "", `\N`:
		return true
	case "NA", "NULL", "null", "NaN", "nan", "NaT":
		return f != text
	}
	return false
}

// parse reads s, which is not empty, and reports whether it is of the format.
func (f format) parse(s string) (value, bool) {
	v, ok := value{set: true}, false
	switch f {
	case text:
		v.text, ok = s, true
	case whole:
		v.bits, ok = parseWhole(s)
	case number:
		n, err := strconv.ParseFloat(s, 64)
		v.bits, ok = int64(math.Float64bits(n)), err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) //nolint:gosec // same bits
	case day:
		at, fine := parseMoment(s)
		_, offset := at.Zone() // the day is that of the place, as it is written
		v.bits, ok = floorDay(at.Unix()+int64(offset)), fine
	case moment:
		at, fine := parseMoment(s)
		v.bits, ok = at.UnixMicro(), fine
	}
	if !ok {
		return value{}, false
	}
	return v, true
}

// parseWhole reads an integer. Programs that keep columns with gaps as floating point
// write 8507 as 8507.0.
func parseWhole(s string) (int64, bool) {
	if before, after, dot := strings.Cut(s, "."); dot && before != "" && strings.Trim(after, "0") == "" {
		s = before
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// layouts are those of dates and times, by what they begin with: databases write a
// date with a midnight behind it, and a time as a date.
var layouts = []string{
	time.DateOnly, "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07",
	"2006-01-02 15:04", "2006-01-02T15:04", "20060102",
}

// parseMoment reads a date or a time, with fractions of seconds. A time without a zone
// stays as it is written.
func parseMoment(s string) (time.Time, bool) {
	if len(s) == len(time.DateOnly) {
		if at, err := time.Parse(time.DateOnly, s); err == nil {
			return at, true
		}
	}
	if len(s) < 8 || len(s) > 40 {
		return time.Time{}, false
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// floorDay is the day of a second since 1970.
func floorDay(seconds int64) int64 {
	d := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		d--
	}
	return d
}

// faultsOf lists what a text breaks.
func faultsOf(s string, width int) (rules []Rule) {
	if !utf8.ValidString(s) {
		rules = append(rules, InvalidUTF8)
	}
	if width > 0 && len(s) > width && utf8.RuneCountInString(s) > width {
		rules = append(rules, TooLong)
	}
	return rules
}
