package ucum

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxBits bounds numerator and denominator of a magnitude, 1,233 digits, so that
	// no code can make arithmetic expensive. The essence stays below 600.
	maxBits = 4096

	// maxExponent bounds what a code may write and what a dimension may reach.
	maxExponent = 999
)

// power is a base unit or arbitrary unit with an exponent that is not 0.
type power struct {
	code     string
	exponent int
}

// dimension is a product of powers, ordered by code, each code once.
type dimension []power

// String returns the dimension as a code, "1" for none.
func (d dimension) String() string {
	if len(d) == 0 {
		return "1"
	}
	var b strings.Builder
	for i, p := range d {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(p.code)
		if p.exponent != 1 {
			b.WriteString(strconv.Itoa(p.exponent))
		}
	}
	return b.String()
}

// measure is a magnitude over base units: what a proper unit means.
type measure struct {
	magnitude *big.Rat // positive; shared, never changed
	dimension dimension
}

var one = big.NewRat(1, 1) // never changed

func unity() measure { return measure{magnitude: one} }

// times returns m·n, and false when the result is out of bounds.
func (m measure) times(n measure) (measure, bool) {
	product := measure{multiply(m.magnitude, n.magnitude), merge(m.dimension, n.dimension)}
	return product, product.bounded()
}

// raise returns m to the power of n, and false when the result is out of bounds.
func (m measure) raise(n int) (measure, bool) {
	if n == 1 {
		return m, true
	}
	if n == 0 {
		return unity(), true
	}
	if bits(m.magnitude)*max(n, -n) > 2*maxBits { // before the work is done
		return measure{}, false
	}
	result := measure{exponentiate(m.magnitude, n), slices.Clone(m.dimension)}
	for i := range result.dimension {
		result.dimension[i].exponent *= n
	}
	return result, result.bounded()
}

// multiply returns a·b. Most factors of a unit are 1.
func multiply(a, b *big.Rat) *big.Rat {
	switch {
	case b == one:
		return a
	case a == one:
		return b
	}
	return new(big.Rat).Mul(a, b)
}

// exponentiate returns a to the power of n, where a and n are not 0.
func exponentiate(a *big.Rat, n int) *big.Rat {
	if a == one {
		return one
	}
	num, den := a.Num(), a.Denom()
	if n < 0 {
		num, den, n = den, num, -n
	}
	if n == 1 {
		return new(big.Rat).SetFrac(num, den)
	}
	e := big.NewInt(int64(n))
	return new(big.Rat).SetFrac(new(big.Int).Exp(num, e, nil), new(big.Int).Exp(den, e, nil))
}

func (m measure) bounded() bool {
	return bits(m.magnitude) <= maxBits && !slices.ContainsFunc(m.dimension, func(p power) bool {
		return max(p.exponent, -p.exponent) > maxExponent
	})
}

func bits(r *big.Rat) int { return max(r.Num().BitLen(), r.Denom().BitLen()) }

// merge adds the exponents of two dimensions.
func merge(a, b dimension) dimension {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	sum := make(dimension, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0].code, b[0].code) {
		case -1:
			sum, a = append(sum, a[0]), a[1:]
		case 1:
			sum, b = append(sum, b[0]), b[1:]
		default:
			if e := a[0].exponent + b[0].exponent; e != 0 {
				sum = append(sum, power{a[0].code, e})
			}
			a, b = a[1:], b[1:]
		}
	}
	return append(append(sum, a...), b...)
}
