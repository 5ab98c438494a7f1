package ucum

import (
	"math"
	"math/big"
)

// curve is an increasing function with its inverse, each with many digits and for
// float64.
type curve struct {
	forward, inverse         func(*big.Float) (*big.Float, error)
	fastForward, fastInverse func(float64) float64

	// logarithmic says that the decimals of a value are the significant digits of
	// what it is the logarithm of.
	logarithmic bool
}

var (
	natural = &curve{
		forward: naturalLog, inverse: exponential,
		fastForward: math.Log, fastInverse: math.Exp, logarithmic: true,
	}
	common  = logarithm(10)
	tangent = &curve{forward: tan, inverse: func(x *big.Float) (*big.Float, error) { return atan(x), nil }, fastForward: fastTan, fastInverse: math.Atan}
	root    = &curve{forward: squareRoot, inverse: square, fastForward: math.Sqrt, fastInverse: fastSquare}
)

// logarithm returns the curve of the logarithm to a base, an integer over 1.
func logarithm(base int64) *curve {
	number := float(new(big.Rat).SetInt64(base))
	return &curve{
		forward: func(x *big.Float) (*big.Float, error) {
			y, err := naturalLog(x)
			if err != nil {
				return nil, err
			}
			return y.Quo(y, log(number)), nil
		},
		inverse: func(x *big.Float) (*big.Float, error) {
			return exponential(newFloat().Mul(x, log(number)))
		},
		fastForward: fastLog(base),
		fastInverse: func(x float64) float64 { return math.Pow(float64(base), x) },
		logarithmic: true,
	}
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

func tan(x *big.Float) (*big.Float, error) {
	quarter := atan(newFloat().SetInt64(1))
	quarter.Mul(quarter, newFloat().SetInt64(2))
	if newFloat().Abs(x).Cmp(quarter) >= 0 {
		return nil, ErrDomain
	}
	sine, cosine := sincos(x)
	return sine.Quo(sine, cosine), nil
}

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
