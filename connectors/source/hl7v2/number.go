package hl7v2

import (
	"math"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// ParseDecimal reads an NM: digits with an optional sign and point (HL7 v2.8 chapter
// 2.A.46). The digits are kept as sent, as FHIR writes them: no plus sign, a digit
// before the point. It is nil for everything else.
func ParseDecimal(s string) *fhir.Decimal {
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	number, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" && fraction == "" || strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" {
		return nil
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	text := whole
	if point && fraction != "" {
		text += "." + fraction
	}
	if negative {
		text = "-" + text
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(value, 0) {
		return nil
	}
	return &fhir.Decimal{Text: text, Value: value}
}

// compared splits a comparator from the front of a number: "<15", ">= 3", "<  0.01".
// It is empty if there is none.
func compared(s string) (comparator, rest string) {
	s = strings.TrimSpace(s)
	for _, c := range []string{"<=", ">=", "<", ">"} {
		if after, ok := strings.CutPrefix(s, c); ok {
			return c, strings.TrimSpace(after)
		}
	}
	return "", s
}

// ParseQuantity reads a number with or without a comparator in front of it, in unit.
// It is nil if s is none.
func ParseQuantity(s string, unit fhir.Quantity) *fhir.Quantity {
	q := unit
	q.Comparator, s = compared(s)
	if q.Value = ParseDecimal(s); q.Value == nil {
		return nil
	}
	return &q
}

// maxRange is the length in bytes of a text that can be two numbers.
const maxRange = 100

// parseRange reads a reference range as laboratories print it (OBX-7): "3.5 - 5.3",
// "[ 0.04 - 0.40 ]", "<0.21", "> 1.5". The text is kept whatever it says. An open end
// is not told from a closed one, as FHIR's range has no place for it.
func parseRange(s string, unit fhir.Quantity) fhir.ReferenceRange {
	r := fhir.ReferenceRange{Text: s}
	if len(s) > maxRange {
		return r
	}
	s = strings.TrimSpace(strings.Trim(strings.TrimSpace(s), "[]()"))
	if comparator, rest := compared(s); comparator != "" {
		limit := ParseQuantity(rest, unit)
		if comparator[0] == '<' {
			r.High = limit
		} else {
			r.Low = limit
		}
		return r
	}
	// The hyphen between two numbers is not the sign of the first.
	for at := 1; at < len(s); at++ {
		if s[at] != '-' {
			continue
		}
		low, high := ParseDecimal(s[:at]), ParseDecimal(s[at+1:])
		if low != nil && high != nil && low.Value <= high.Value {
			r.Low, r.High = withValue(unit, low), withValue(unit, high)
			return r
		}
	}
	return r
}

func withValue(unit fhir.Quantity, value *fhir.Decimal) *fhir.Quantity {
	unit.Value = value
	return &unit
}
