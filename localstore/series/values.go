package series

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Values are a byte that names the form and then one column. What devices send has
// few decimals, so a column of whole numbers after scaling by a power of ten is
// tried first; it is used only when every value comes back bit for bit. Else each
// value is the XOR with the one before, without its zero bytes at both ends.
// After Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series
// database" (2015), on bytes instead of bits.

// xorForm is the form of a column of XORs; the others are the power of ten.
const xorForm = 0xff

// Powers of ten that are exact, and the whole numbers that are: within these
// bounds a division is rounded once and gives back what a decimal text gives
// (Clinger, "How to read floating point numbers accurately", 1990).
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

const maxWhole = 1 << 53

// decimals returns the least power of ten with which every value is whole.
func decimals(points []Point) (int, bool) {
	e := 0
	for i := range points {
		for !isWhole(points[i].Value, e) {
			if e++; e == len(powers) {
				return 0, false
			}
		}
	}
	for i := range points { // large values may not bear the power of the others
		if !isWhole(points[i].Value, e) {
			return 0, false
		}
	}
	return e, true
}

func isWhole(v float64, e int) bool {
	whole := math.RoundToEven(v * powers[e])
	return math.Abs(whole) < maxWhole && math.Float64bits(float64(int64(whole))/powers[e]) == math.Float64bits(v)
}

func appendValues(dst []byte, points []Point) []byte {
	e, ok := decimals(points)
	if !ok {
		return appendXORs(append(dst, xorForm), points)
	}
	last := int64(0)
	column := make([]int64, len(points))
	for i := range points {
		whole := int64(math.RoundToEven(points[i].Value * powers[e]))
		column[i], last = whole-last, whole
	}
	return appendIntegers(append(dst, byte(e)), len(column), func(i int) int64 { return column[i] })
}

// appendXORs writes for each value a byte with the number of zero bytes before
// (high half) and after, and the bytes between.
func appendXORs(dst []byte, points []Point) []byte {
	last := uint64(0)
	for i := range points {
		v := math.Float64bits(points[i].Value)
		x := v ^ last
		last = v
		if x == 0 {
			dst = append(dst, 0x80)
			continue
		}
		lead, trail := bits.LeadingZeros64(x)/8, bits.TrailingZeros64(x)/8
		dst = append(dst, byte(lead<<4|trail))
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], x)
		dst = append(dst, b[lead:8-trail]...)
	}
	return dst
}

func (r *reader) values(points []Point) {
	form := int(r.byte())
	switch {
	case form == xorForm:
		r.xors(points)
	case form < len(powers):
		last := int64(0)
		r.integers(len(points), func(i int, d int64) {
			last += d
			points[i].Value = float64(last) / powers[form]
		})
	default:
		r.fail()
	}
}

func (r *reader) xors(points []Point) {
	last := uint64(0)
	for i := range points {
		c := r.byte()
		lead, trail := int(c>>4), int(c&0x0f)
		if r.bad || lead+trail > 8 {
			r.fail()
			return
		}
		var b [8]byte
		copy(b[lead:], r.bytes(8-lead-trail))
		last ^= binary.BigEndian.Uint64(b[:])
		points[i].Value = math.Float64frombits(last)
		if !finite(points[i].Value) {
			r.fail()
		}
	}
}
