package ucum

import (
	"math"
	"math/big"
	"sync"
)

// curve is an increasing function with its inverse, each with many digits and for
// float64.
type curve struct {
	forward, inverse         func(*big.Float) (*big.Float, error)
	fastForward, fastInverse func(float64) float64

	base func() *big.Float // of a logarithm, the natural logarithm of its base; else nil
}

// logarithmic reports whether c, which may be nil, is a logarithm.
func (c *curve) logarithmic() bool { return c != nil && c.base != nil }

var (
	natural = &curve{
		forward: naturalLog, inverse: exponential, fastForward: math.Log, fastInverse: math.Exp,
		base: func() *big.Float { return integer(1) },
	}
	common  = logarithm(10)
	tangent = &curve{forward: tan, inverse: arctan, fastForward: fastTan, fastInverse: math.Atan}
	root    = &curve{forward: squareRoot, inverse: square, fastForward: math.Sqrt, fastInverse: fastSquare}
)

// logarithm returns the curve of the logarithm to a base, an integer over 1.
func logarithm(base int64) *curve {
	unit := sync.OnceValue(func() *big.Float { return log(integer(base)) })
	return &curve{
		forward: func(x *big.Float) (*big.Float, error) {
			y, err := naturalLog(x)
			if err != nil {
				return nil, err
			}
			return y.Quo(y, unit()), nil
		},
		inverse: func(x *big.Float) (*big.Float, error) {
			return exponential(newFloat().Mul(x, unit()))
		},
		fastForward: fastLog(base),
		fastInverse: func(x float64) float64 { return math.Pow(float64(base), x) },
		base:        unit,
	}
}

// level returns the map from the logarithm of a number on one curve to the
// logarithm of ratio times that number on another.
func level(from, to *curve, ratio *big.Rat) affine {
	times := newFloat().Quo(from.base(), to.base())
	plus := newFloat().Quo(log(float(ratio)), to.base())
	return affine{exactly(times), exactly(plus)}
}

// fastLog returns the logarithm to a base, without rounding twice where the
// standard library has it.
func fastLog(base int64) func(float64) float64 {
	switch base {
	case 2:
		return math.Log2
	case 10:
		return math.Log10
	}
	unit := math.Log(float64(base))
	return func(x float64) float64 { return math.Log(x) / unit }
}

// fastTan is tan between a quarter turn to either side, where it has an inverse.
func fastTan(x float64) float64 {
	if math.Abs(x) >= math.Pi/2 {
		return math.NaN()
	}
	return math.Tan(x)
}

// fastSquare is the inverse of the square root, which is never negative.
func fastSquare(x float64) float64 {
	if x < 0 {
		return math.NaN()
	}
	return x * x
}

// maxPower bounds the argument of the exponential function, so that the result
// stays within 1e±1300.
const maxPower = 3000

func naturalLog(x *big.Float) (*big.Float, error) {
	if x.Sign() <= 0 {
		return nil, ErrDomain
	}
	return log(x), nil
}

func exponential(x *big.Float) (*big.Float, error) {
	if limit := big.NewFloat(maxPower); x.Cmp(limit) > 0 || x.Cmp(limit.Neg(limit)) < 0 {
		return nil, ErrDomain
	}
	return exp(x), nil
}

// tan refuses a right angle and more. The essence has 65 digits of pi, so that 90
// degrees are a little less than half of pi and must not become 1e65.
func tan(x *big.Float) (*big.Float, error) {
	quarter := atan(integer(1))
	quarter.SetMantExp(quarter, 1)
	quarter.Sub(quarter, newFloat().SetMantExp(integer(1), -200))
	if newFloat().Abs(x).Cmp(quarter) >= 0 {
		return nil, ErrDomain
	}
	sine, cosine := sincos(x)
	return sine.Quo(sine, cosine), nil
}

func arctan(x *big.Float) (*big.Float, error) { return atan(x), nil }

func squareRoot(x *big.Float) (*big.Float, error) {
	if x.Sign() < 0 {
		return nil, ErrDomain
	}
	return newFloat().Sqrt(x), nil
}

func square(x *big.Float) (*big.Float, error) {
	if x.Sign() < 0 {
		return nil, ErrDomain
	}
	return newFloat().Mul(x, x), nil
}
