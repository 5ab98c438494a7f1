package secagg

import "math/bits"

// element is a number modulo the Mersenne prime 2^61 − 1, always reduced. The
// operations take the same steps whatever the value: no branch, table or big
// integer whose size depends on a secret.
type element uint64

const prime = 1<<61 - 1

// reduce maps v < 2^62 to its remainder.
func reduce(v uint64) element {
	v = v&prime + v>>61
	d := v - prime // borrows, and so sets the top bit, if v < prime
	return element(d + prime&-(d>>63))
}

func (a element) plus(b element) element { return reduce(uint64(a) + uint64(b)) }

func (a element) minus(b element) element { return reduce(uint64(a) + prime - uint64(b)) }

func (a element) times(b element) element {
	hi, lo := bits.Mul64(uint64(a), uint64(b)) // below 2^122
	return reduce(lo&prime + (hi<<3 | lo>>61))
}

// inverse returns a^(p−2), the inverse of a for a ≠ 0. The exponent is public.
func (a element) inverse() element {
	result := element(1)
	for bit := 60; bit >= 0; bit-- {
		result = result.times(result)
		if (prime-2)>>bit&1 == 1 {
			result = result.times(a)
		}
	}
	return result
}
