package linkage

import (
	"regexp"
	"strings"
	"time"
)

var (
	yearFirst = regexp.MustCompile(`^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?$`)
	yearLast  = regexp.MustCompile(`^(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4})$`)
)

// normalDate returns a date as 1999-12-31, or the digits of what is none. Years
// before 1850 are no birth of a patient.
func normalDate(text string, order DateOrder) string {
	text = strings.TrimSpace(text)
	var year, month, day string
	if len(text) == 8 && digitsOf(text) == text {
		year, month, day = text[:4], text[4:6], text[6:]
	} else if m := yearFirst.FindStringSubmatch(text); m != nil {
		year, month, day = m[1], m[2], m[3]
	} else if m := yearLast.FindStringSubmatch(text); m != nil {
		switch {
		case m[2] != "/" || order == DayFirst:
			year, month, day = m[4], m[3], m[1]
		case order == MonthFirst:
			year, month, day = m[4], m[1], m[3]
		}
	}
	if year != "" {
		if at, err := time.Parse("2006-1-2", year+"-"+month+"-"+day); err == nil && at.Year() >= 1850 {
			return at.Format(time.DateOnly)
		}
	}
	digits := cut(digitsOf(text))
	if isFiller(digits) {
		return ""
	}
	return digits
}

// isDate reports whether a normal birth date is one.
func isDate(value string) bool { return len(value) == 10 && value[4] == '-' }

func digitsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}
