package ucum

import (
	"math/big"
	"sync"
)

// precision is the working precision of the curves in bits, 77 digits. Results are
// rounded to 24, so that the error of a series never shows.
const precision = 256

func newFloat() *big.Float { return new(big.Float).SetPrec(precision) }

func float(r *big.Rat) *big.Float { return newFloat().SetRat(r) }

func exactly(x *big.Float) *big.Rat {
	r, _ := x.Rat(nil)
	return r
}

func integer(n int64) *big.Float { return newFloat().SetInt64(n) }

// settled reports whether adding a term to a sum has stopped to change it.
func settled(sum, term *big.Float) bool {
	return term.Sign() == 0 || sum.Sign() != 0 && sum.MantExp(nil)-term.MantExp(nil) > precision
}

// log returns the natural logarithm of x > 0: the exponent of x in base 2 times
// log 2, and twice the inverse hyperbolic tangent of (m-1)/(m+1) for the mantissa m.
func log(x *big.Float) *big.Float {
	m := newFloat()
	exponent := x.MantExp(m) // m in [1/2, 1)
	if m.Cmp(big.NewFloat(0.7071)) < 0 {
		// m in [0.7071, 1.4142), so that nothing cancels for x close to 1.
		m.SetMantExp(m, 1)
		exponent--
	}
	sum := artanh(newFloat().Quo(newFloat().Sub(m, integer(1)), newFloat().Add(m, integer(1))))
	sum.SetMantExp(sum, 1)
	if exponent != 0 {
		sum.Add(sum, newFloat().Mul(log2(), integer(int64(exponent))))
	}
	return sum
}

// log2 returns the logarithm of 2, which is twice artanh(1/3). It must not change.
var log2 = sync.OnceValue(func() *big.Float {
	sum := artanh(newFloat().Quo(integer(1), integer(3)))
	return sum.SetMantExp(sum, 1)
})

// artanh sums z + z³/3 + z⁵/5 …, |z| ≤ 1/3.
func artanh(z *big.Float) *big.Float { return odd(z, newFloat().Mul(z, z)) }

// atan halves its argument three times, atan x = 2 atan(x/(1+√(1+x²))), and sums
// z - z³/3 + z⁵/5 ….
func atan(x *big.Float) *big.Float {
	z := newFloat().Set(x)
	const halvings = 3
	for range halvings {
		hypotenuse := newFloat().Mul(z, z)
		hypotenuse.Sqrt(hypotenuse.Add(hypotenuse, integer(1)))
		z.Quo(z, hypotenuse.Add(hypotenuse, integer(1)))
	}
	step := newFloat().Mul(z, z)
	sum := odd(z, step.Neg(step))
	return sum.SetMantExp(sum, halvings)
}

// odd sums z + z·s/3 + z·s²/5 ….
func odd(z, s *big.Float) *big.Float {
	sum, term := newFloat().Set(z), newFloat().Set(z)
	for n := int64(3); ; n += 2 {
		term.Mul(term, s)
		next := newFloat().Quo(term, integer(n))
		if settled(sum, next) {
			return sum
		}
		sum.Add(sum, next)
	}
}

// exp removes multiples of log 2, halves the rest eight times and squares the sum of
// its series as often.
func exp(x *big.Float) *big.Float {
	ratio, _ := newFloat().Quo(x, log2()).Float64()
	multiple := int(ratio)
	rest := newFloat().Sub(x, newFloat().Mul(log2(), integer(int64(multiple))))
	const halvings = 8
	rest.SetMantExp(rest, -halvings)
	sum, term := integer(1), integer(1)
	for n := int64(1); ; n++ {
		term.Quo(term.Mul(term, rest), integer(n))
		if settled(sum, term) {
			break
		}
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum.SetMantExp(sum, multiple)
}

// sincos sums the two Taylor series for |x| up to a quarter turn.
func sincos(x *big.Float) (sine, cosine *big.Float) {
	sine, cosine = newFloat(), integer(1)
	term := integer(1)
	for n := int64(1); ; n++ {
		term.Quo(term.Mul(term, x), integer(n))
		if settled(cosine, term) && settled(sine, term) {
			return sine, cosine
		}
		sum := cosine
		if n%2 == 1 {
			sum = sine
		}
		if n%4 < 2 {
			sum.Add(sum, term)
		} else {
			sum.Sub(sum, term)
		}
	}
}
