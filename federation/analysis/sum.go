package analysis

import (
	"math"
	"math/big"
	"math/bits"
)

// fineBits is the number of binary places below the coarse word: the coarse
// word counts 2^-32, the fine one 2^-(32+fineBits) = 2^-63.
const fineBits = 31

// Sum is Coarse·2^-32 + Fine·2^-63, a sum over persons of numbers in [-1, 1].
// Two words, each added on its own, need no carry between them.
type Sum struct {
	Coarse, Fine int64
}

// fixed is the magnitude of a number in [-1, 1] in units of 2^-63. The square is
// taken of the rounded number, not of the original: a person's sums then belong to
// one and the same number, and the cancellation in the variance acts on integers.
type fixed uint64

// toFixed returns |z| for |z| <= 1, rounded to the nearest unit.
func toFixed(z float64) fixed {
	return fixed(math.RoundToEven(math.Ldexp(math.Abs(z), 63)))
}

// square returns a² as high + low·2^-63, without rounding.
func (a fixed) square() (high, low fixed) {
	hi, lo := bits.Mul64(uint64(a), uint64(a)) // at most 2^126
	return fixed(hi<<1 | lo>>63), fixed(lo &^ (1 << 63))
}

// add adds one person's number.
func (s *Sum) add(a fixed, negative bool) {
	coarse, fine := int64(a>>fineBits), int64(a&(1<<fineBits-1))
	if negative {
		coarse, fine = -coarse, -fine
	}
	s.Coarse += coarse
	s.Fine += fine
}

// fits reports whether n persons, 0 <= n <= MaxPersons, can have this sum.
func (s Sum) fits(n int64) bool {
	return within(s.Coarse, n<<32) && within(s.Fine, n<<fineBits)
}

func within(v, limit int64) bool { return -limit <= v && v <= limit }

// units returns the sum in units of 2^-63.
func (s Sum) units() *big.Int {
	v := big.NewInt(s.Coarse)
	v.Lsh(v, fineBits)
	return v.Add(v, big.NewInt(s.Fine))
}
