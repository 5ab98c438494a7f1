package ucum

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

const (
	// exactDigits is how many significant digits of an exact value are written: the
	// functional tests give 24 for values with pi or without an end.
	exactDigits = 24

	maxDecimal = 128 // bytes of a decimal
)

// Decimal is a number and what is known of its precision. A whole number ("98") is
// exact. One with a decimal point or an exponent ("98.6", "1e3") is measured: its
// last digit written is its last significant one. The zero value is an exact 0.
//
// The number itself is never rounded; only [Decimal.String] writes as many digits
// as are significant. A Decimal does not change.
type Decimal struct {
	number   *big.Rat // nil for 0
	measured bool
	place    int // of a measured number: the power of ten of its last digit
}

// decimalForm is sign, whole digits, point, decimals and exponent.
var decimalForm = regexp.MustCompile(`^([+-]?)([0-9]*)(\.?)([0-9]*)(?:[eE]([+-]?[0-9]{1,3}))?$`)

// ParseDecimal reads digits with an optional sign, decimal point and exponent, at
// most 128 bytes and exponents to 999. It fails with [ErrDecimal].
func ParseDecimal(text string) (Decimal, error) {
	if len(text) > maxDecimal {
		return Decimal{}, ErrDecimal
	}
	m := decimalForm.FindStringSubmatch(text)
	if m == nil {
		return Decimal{}, ErrDecimal
	}
	sign, whole, point, fraction, exponent := m[1], m[2], m[3], m[4], m[5]
	digits, ok := new(big.Int).SetString(sign+whole+fraction, 10)
	if !ok { // no digit
		return Decimal{}, ErrDecimal
	}
	power, _ := strconv.Atoi(exponent) // 0 for none
	place := power - len(fraction)
	return Decimal{number: scaled(digits, place), measured: point != "" || exponent != "", place: place}, nil
}

// Exact returns r as a number without uncertainty.
func Exact(r *big.Rat) Decimal { return Decimal{number: new(big.Rat).Set(r)} }

// Rat returns the number, not rounded.
func (d Decimal) Rat() *big.Rat { return new(big.Rat).Set(d.rat()) }

// Float64 returns the number closest to d, not rounded to its significant digits,
// and an infinity beyond the range of float64.
func (d Decimal) Float64() float64 {
	f, _ := d.rat().Float64()
	return f
}

func (d Decimal) rat() *big.Rat {
	if d.number == nil {
		return new(big.Rat)
	}
	return d.number
}

// String returns d rounded half away from zero: a measured number to its last
// significant digit, an exact one to 24 digits and without zeros at the end. It is
// plain from 1e-6 to below 1e21 and in scientific notation elsewhere.
func (d Decimal) String() string {
	number := d.rat()
	if number.Sign() == 0 {
		if d.measured && d.place < 0 {
			return "0." + strings.Repeat("0", min(-d.place, maxDecimal-2))
		}
		return "0"
	}
	place := d.place
	if !d.measured {
		place = leading(number) - exactDigits + 1
	}
	digits := rounded(number, place).String()
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if d.measured && len(digits) > max(leading(number)-place+1, 1) {
		digits, place = digits[:len(digits)-1], place+1 // 9.96 to two digits is 10, not 10.0
	}
	if !d.measured {
		trimmed := strings.TrimRight(digits, "0")
		digits, place = trimmed, place+len(digits)-len(trimmed)
	}
	return sign + layout(digits, place)
}

// layout writes digits, the last of which counts powers of ten to the place.
func layout(digits string, place int) string {
	first := len(digits) - 1 + place
	switch {
	case digits == "0":
		return digits
	case first < -6 || first >= 21:
		if len(digits) > 1 {
			digits = digits[:1] + "." + digits[1:]
		}
		return digits + "e" + strconv.Itoa(first)
	case place >= 0:
		return digits + strings.Repeat("0", place)
	case first >= 0:
		return digits[:first+1] + "." + digits[first+1:]
	}
	return "0." + strings.Repeat("0", -first-1) + digits
}

// Times returns d·e with the significant digits of the factor that has fewer.
func (d Decimal) Times(e Decimal) Decimal {
	return d.with(new(big.Rat).Mul(d.rat(), e.rat()), e)
}

// Over returns d/e with the significant digits of the one that has fewer. It fails
// with [ErrZero] when e is 0.
func (d Decimal) Over(e Decimal) (Decimal, error) {
	if e.rat().Sign() == 0 {
		return Decimal{}, ErrZero
	}
	return d.with(new(big.Rat).Quo(d.rat(), e.rat()), e), nil
}

// with returns number with the significant digits of d and e.
func (d Decimal) with(number *big.Rat, e Decimal) Decimal {
	switch {
	case !d.measured && !e.measured:
		return Decimal{number: number}
	case !d.measured:
		return measuredTo(number, e.significant())
	case !e.measured:
		return measuredTo(number, d.significant())
	}
	return measuredTo(number, min(d.significant(), e.significant()))
}

// significant returns how many digits of a measured number are significant, at
// least 1. Of 0 they are those after the point.
func (d Decimal) significant() int {
	if d.rat().Sign() == 0 {
		return max(1, 1-d.place)
	}
	return max(1, leading(d.number)-d.place+1)
}

// measuredTo returns number as measured to so many digits.
func measuredTo(number *big.Rat, digits int) Decimal {
	if number.Sign() == 0 {
		return Decimal{number: number, measured: true, place: 1 - digits}
	}
	return Decimal{number: number, measured: true, place: leading(number) - digits + 1}
}
