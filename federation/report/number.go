package report

import (
	"math"
	"strconv"
	"strings"
)

// align writes numbers as R's format does: all with as many decimals as the one that needs
// most to show its significant digits, or all in scientific notation if that is shorter.
// What is absent is NA.
//
// Source: R 4.2.2, src/main/format.c, formatReal.
func align(digits int, values ...*float64) []string {
	var left, right, most, least, greatest, negative int
	for _, v := range values {
		if !finite(v) {
			continue
		}
		power, significant := powerOf(*v, digits)
		sign := 0
		if *v < 0 {
			sign = 1
		}
		if most == 0 {
			least, greatest = power, power
		}
		left, right, negative = max(left, sign+max(power+1, 1)), max(right, significant-power-1), max(negative, sign)
		most, least, greatest = max(most, significant), min(least, power), max(greatest, power)
	}
	fixed, scientific := left, negative+most+len("e+00")
	if right > 0 {
		fixed += right + 1
	}
	if most > 1 {
		scientific++ // the point
	}
	if greatest >= 100 || least <= -100 {
		scientific++
	}
	out := make([]string, len(values))
	for i, v := range values {
		switch {
		case v == nil || math.IsNaN(*v):
			out[i] = "NA"
		case math.IsInf(*v, 0):
			out[i] = strings.TrimPrefix(strconv.FormatFloat(*v, 'f', 0, 64), "+")
		case fixed <= scientific:
			out[i] = strconv.FormatFloat(*v, 'f', right, 64)
		default:
			out[i] = strconv.FormatFloat(*v, 'e', most-1, 64)
		}
	}
	return out
}

// one writes a number by itself.
func one(digits int, v *float64) string { return align(digits, v)[0] }

// powerOf returns the decimal exponent of a number rounded to so many digits, and how many
// of them are left without trailing zeros.
func powerOf(v float64, digits int) (power, significant int) {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'e', digits-1, 64), "e")
	power, _ = strconv.Atoi(exponent) // it is a number
	return power, max(1, len(strings.TrimRight(strings.Replace(mantissa, ".", "", 1), "0")))
}

func finite(v *float64) bool { return v != nil && !math.IsNaN(*v) && !math.IsInf(*v, 0) }

// rounded returns a number rounded to decimals.
func rounded(v *float64, decimals int) *float64 {
	if !finite(v) {
		return v
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(*v, 'f', decimals, 64), 64) // it was a number
	r += 0                                                                     // not -0
	return &r
}

// pValues writes p values as R's format.pval does: those below the precision of a number as
// a bound, small ones in a format of their own.
//
// Source: R 4.2.2, src/library/base/R/format.R.
func pValues(digits int, values ...*float64) []string {
	const precision = 0x1p-52
	plain := 1e-4 // from which on there is no exponent
	if digits == 1 {
		plain = 1e-3
	}
	out := make([]string, len(values))
	var large, small []*float64
	for _, v := range values {
		switch {
		case v == nil || *v < precision:
		case *v >= plain:
			large = append(large, v)
		default:
			small = append(small, v)
		}
	}
	largeText, smallText := align(digits, large...), align(digits, small...)
	longest := 0
	for _, text := range append(append([]string{}, largeText...), smallText...) {
		longest = max(longest, len(text))
	}
	for i, v := range values {
		switch {
		case v == nil:
			out[i] = "NA"
		case *v < precision:
			out[i] = below(digits, longest)
		case *v >= plain:
			out[i], largeText = largeText[0], largeText[1:]
		default:
			out[i], smallText = smallText[0], smallText[1:]
		}
	}
	return out
}

// below writes the bound as precisely as the longest of the other p values, 0 for none,
// lets it.
func below(digits, longest int) string {
	least := 0x1p-52
	digits = max(1, digits-2)
	separator := " "
	if longest > 0 && digits > 1 && digits+6 > longest {
		digits = max(1, longest-7)
	}
	if digits == 1 && longest <= 6 {
		separator = ""
	}
	return "<" + separator + one(digits, &least)
}

// pValue writes one.
func pValue(digits int, v *float64) string { return pValues(digits, v)[0] }

// stars are R's marks of significance.
func stars(p *float64) string {
	switch {
	case p == nil:
	case *p <= 0.001:
		return "***"
	case *p <= 0.01:
		return "**"
	case *p <= 0.05:
		return "*"
	case *p <= 0.1:
		return "."
	}
	return ""
}

const starsKey = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"
