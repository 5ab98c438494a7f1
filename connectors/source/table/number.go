package table

import (
	"math"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// maxNumber is the length in bytes of a text that can be a number.
const maxNumber = 64

// parseNumber reads digits with an optional sign and decimal sign, in front of which a
// comparator may stand ("<0,5"). The digits are kept as sent, in FHIR's notation. Both
// results are empty for a text that does not look like a number; the rule is set for one
// that does and cannot be taken as such:
//
//   - separators of thousands, or the other decimal sign: 1,234.5 (invalid-number);
//   - an exponent that says less than the digits did: 1E+05 (spreadsheet). One that
//     leaves no digit open is read: 1.5E-3, 1.23456E+05.
func parseNumber(s string, comma bool) (q *fhir.Quantity, rule fhir.Rule) {
	comparator, s := compared(s)
	if len(s) > maxNumber || !looksNumeric(s) {
		return nil, ""
	}
	if comma {
		if strings.IndexByte(s, '.') >= 0 {
			return nil, fhir.RuleInvalidNumber
		}
		s = strings.Replace(s, ",", ".", 1)
	}
	number, exponent := strings.TrimPrefix(s, "+"), ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		number, exponent = number[:i], number[i+1:]
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" && fraction == "" || whole != "" && !digitsOnly(whole) || point && fraction != "" && !digitsOnly(fraction) {
		return nil, fhir.RuleInvalidNumber
	}
	text := strings.TrimLeft(whole, "0")
	if text == "" {
		text = "0"
	}
	if fraction != "" {
		text += "." + fraction
	}
	if negative {
		text = "-" + text
	}
	if exponent != "" {
		power, err := strconv.Atoi(exponent)
		if err != nil || power < -300 || power > 300 {
			return nil, fhir.RuleInvalidNumber
		}
		if power > len(fraction) {
			return nil, RuleSpreadsheet
		}
		text += "e" + strconv.Itoa(power)
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(value, 0) {
		return nil, fhir.RuleInvalidNumber
	}
	return &fhir.Quantity{Comparator: comparator, Value: &fhir.Decimal{Text: text, Value: value}}, ""
}

// compared splits a comparator from the front of a number; it is empty if there is none.
func compared(s string) (comparator, rest string) {
	for _, c := range [...][2]string{{"<=", "<="}, {">=", ">="}, {"<", "<"}, {">", ">"}, {"≤", "<="}, {"≥", ">="}} {
		if after, ok := strings.CutPrefix(s, c[0]); ok {
			return c[1], strings.TrimSpace(after)
		}
	}
	return "", s
}

// looksNumeric reports whether s has a digit and nothing that a number has not: "1-2",
// "120/80" and "2+" do not look so, "1 234" and "1,5" do.
func looksNumeric(s string) bool {
	digit := false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digit = true
		case c == '.', c == ',', c == '\'', c == ' ':
		case c == '+', c == '-':
			if i > 0 && s[i-1] != 'e' && s[i-1] != 'E' {
				return false
			}
		case c == 'e', c == 'E':
			if !digit || i+1 == len(s) {
				return false
			}
		default:
			return false
		}
	}
	return digit
}

// isMangled reports whether a spreadsheet made s of a code or a number of digits:
// 4.28E+14 of a long number, 8-Jan or Jan-08 of a LOINC code, an error of a formula.
func isMangled(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '#' {
		return strings.Trim(s, "#") == "" || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") || s == "#N/A"
	}
	if mantissa, exponent, ok := strings.Cut(s, "E+"); ok && digitsOnly(exponent) && digitsOnly(strings.Replace(mantissa, ".", "", 1)) {
		return true
	}
	a, b, ok := strings.Cut(s, "-")
	return ok && (isMonth(a) && digitsOnly(b) && len(b) <= 2 || isMonth(b) && digitsOnly(a) && len(a) <= 2)
}

// isMonth reports whether s is the name of a month as spreadsheets shorten it.
func isMonth(s string) bool {
	switch s {
	case "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec":
		return true
	}
	return false
}

// isUnit reports whether code is a unit of UCUM.
func isUnit(code string) bool {
	_, err := ucum.Parse(code)
	return err == nil
}
