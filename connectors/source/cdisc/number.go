package cdisc

import (
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// maxNumber is the length in bytes of a number, as it is kept and without its sign.
const maxNumber = 64

// quantity reads a number in decimal notation, in front of which a comparator may stand
// ("<0.5") and behind which an exponent of up to three digits; nil for what is none. Its
// digits are kept, in FHIR's notation: 0.5 for .5.
func quantity(s string) *fhir.Quantity {
	comparator := ""
	for _, c := range [...]string{"<=", ">=", "<", ">"} {
		if rest, ok := strings.CutPrefix(s, c); ok {
			comparator, s = c, strings.TrimLeft(rest, " ")
			break
		}
	}
	s, negative := strings.CutPrefix(strings.TrimPrefix(s, "+"), "-")
	rest := strings.TrimLeft(s, "0123456789")
	whole, fraction := s[:len(s)-len(rest)], ""
	if after, ok := strings.CutPrefix(rest, "."); ok {
		rest = strings.TrimLeft(after, "0123456789")
		fraction = after[:len(after)-len(rest)]
	}
	if whole+fraction == "" || !isExponent(rest) {
		return nil
	}
	text := strings.TrimLeft(whole, "0")
	if text == "" {
		text = "0"
	}
	if fraction != "" {
		text += "." + fraction
	}
	text += strings.ToLower(rest)
	if len(text) > maxNumber {
		return nil
	}
	if negative {
		text = "-" + text
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &fhir.Quantity{Comparator: comparator, Value: &fhir.Decimal{Text: text, Value: v}}
}

// isExponent reports whether s is empty or e with one to three digits.
func isExponent(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
