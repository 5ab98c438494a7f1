package table

import (
	"regexp"
	"strings"
)

// fits reports whether code can be a code of the system: by its check digit for LOINC
// and SNOMED CT, by its form for ICD-10-CM, RxNorm and CVX. Other systems take any.
func fits(system, code string) bool {
	switch system {
	case loinc:
		return isLOINC(code)
	case snomed:
		return isSNOMED(code)
	case icd10:
		return icd10Form.MatchString(code)
	case rxnorm:
		return len(code) >= 1 && len(code) <= 8 && digitsOnly(code)
	case cvx:
		return len(code) >= 1 && len(code) <= 3 && digitsOnly(code)
	}
	return true
}

// icd10Form is the form of an ICD-10-CM code: a letter, a digit, a digit or A or B, and
// up to four more behind a point, which some senders leave out.
//
// Source: ICD-10-CM Official Guidelines for Coding and Reporting, section I.A.
var icd10Form = regexp.MustCompile(`^[A-Z][0-9][0-9AB](\.?[0-9A-Z]{1,4})?$`)

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isLOINC checks the form and the check digit, which is that of Luhn (mod 10).
//
// Source: LOINC Users' Guide, appendix "Calculating Mod 10 check digits".
func isLOINC(s string) bool {
	number, check, ok := strings.Cut(s, "-")
	if !ok || len(number) > 7 || len(check) != 1 || !digitsOnly(number) || !digitsOnly(check) {
		return false
	}
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return (10-sum%10)%10 == int(check[0]-'0')
}

// isSNOMED checks that s is the id of a concept: 6 to 18 digits, partition 00 or 10, and
// Verhoeff's check digit.
//
// Source: SNOMED CT Release File Specifications, "SCTID Representation" and "Check-digit".
func isSNOMED(s string) bool {
	if len(s) < 6 || len(s) > 18 || !digitsOnly(s) || s[0] == '0' {
		return false
	}
	if partition := s[len(s)-3 : len(s)-1]; partition != "00" && partition != "10" {
		return false
	}
	var c byte
	for i := range len(s) {
		c = verhoeffD[c][verhoeffP[i%8][s[len(s)-1-i]-'0']]
	}
	return c == 0
}

// The tables of Verhoeff's check digit: the dihedral group D5 and its permutation.
//
// Source: J. Verhoeff, "Error Detecting Decimal Codes" (1969).
var (
	verhoeffD = [10][10]byte{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		{1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
		{2, 3, 4, 0, 1, 7, 8, 9, 5, 6},
		{3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
		{4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
		{5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
		{6, 5, 9, 8, 7, 1, 0, 4, 3, 2},
		{7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
		{8, 7, 6, 5, 9, 3, 2, 1, 0, 4},
		{9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
	}
	verhoeffP = [8][10]byte{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
		{1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
		{5, 8, 0, 3, 7, 9, 6, 1, 4, 2},
		{8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
		{9, 4, 5, 3, 1, 2, 6, 8, 7, 0},
		{4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
		{2, 7, 9, 3, 8, 0, 6, 4, 1, 5},
		{7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
	}
)
