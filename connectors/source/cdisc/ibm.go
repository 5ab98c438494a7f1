package cdisc

import (
	"encoding/binary"
	"math"
	"strconv"
)

// fromIBM is the number that b holds, 2 to 8 bytes of an IBM System/360 double of which the
// last may be cut off. It is missing if SAS says so: one of . _ A to Z, and zeros.
//
// The double has a sign bit, an exponent of 16 with 64 added in 7 bits, and a fraction of 56
// bits: (-1)^s * 0.f * 16^(e-64). Fractions of more than 53 bits, which no SAS writes that
// computes in IEEE 754, are rounded to the nearest even; everything else is exact, as the
// range is within that of a float64.
//
// Source: SAS Institute, TS-140, "Record layout of a SAS version 5 or 6 data set in SAS
// transport (XPORT) format", numeric data fields and missing values.
func fromIBM(b []byte) (value float64, missing bool) {
	var whole [8]byte
	copy(whole[:], b)
	bits := binary.BigEndian.Uint64(whole[:])
	fraction := bits & (1<<56 - 1)
	if fraction == 0 {
		first := whole[0]
		return 0, first == '.' || first == '_' || first >= 'A' && first <= 'Z'
	}
	exponent := int(bits>>56&0x7f) - 64
	value = math.Ldexp(float64(fraction), 4*exponent-56)
	if bits>>63 == 1 {
		value = -value
	}
	return value, false
}

// digits are how many significant digits of a number count: as many as every decimal keeps
// in SAS. Behind them are traces of how it was computed: the number that CSV and Dataset-JSON
// have as 5.4 is 5.3999999999999995 in the transport file.
const digits = 15

// decimal is v in decimal notation.
func decimal(v float64) string {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if a := math.Abs(v); a != 0 && (a < 1e-7 || a >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
