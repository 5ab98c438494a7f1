package analysis

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
)

// A number of a [Vector] travels as numberWords words: its value in units of 2^-64,
// cut into limbs of limbBits bits. Each limb is added on its own modulo 2^64, and as
// it has 15 bits to spare, [MaxSites] of them do not overflow. The highest is signed.
const (
	numberWords = 3
	limbBits    = 48
)

// MaxNumber is the magnitude that a number of a [Vector], and what one row adds to it,
// must stay below: 2^62, 4.6e18.
const MaxNumber = 1 << 62

// ErrNumber reports a number that a vector cannot hold: not finite, or 2^62 or more.
var ErrNumber = errors.New("a sum is not finite or larger than 2^62")

// number is a 128-bit integer in two's complement that counts 2^-64.
type number struct {
	high int64
	low  uint64
}

// toNumber returns v to the unit, rounded towards zero, for |v| < MaxNumber.
func toNumber(v float64) number {
	whole, fraction := math.Modf(math.Abs(v)) // below zero 1 + fraction would be rounded
	n := number{high: int64(whole), low: uint64(fraction * 0x1p64)}
	if v < 0 {
		low, borrow := bits.Sub64(0, n.low, 0)
		n = number{high: -n.high - int64(borrow), low: low}
	}
	return n
}

// plus returns the sum. It does not overflow while |a|+|b| < 2^63 units of the high word.
func (a number) plus(b number) number {
	low, carry := bits.Add64(a.low, b.low, 0)
	return number{high: a.high + b.high + int64(carry), low: low}
}

// fits reports whether the number is within the range.
func (a number) fits() bool { return -MaxNumber <= a.high && a.high < MaxNumber }

// float returns the number, rounded once.
func (a number) float() float64 {
	v := new(big.Float).SetInt(new(big.Int).Add(
		new(big.Int).Lsh(big.NewInt(a.high), 64), new(big.Int).SetUint64(a.low)))
	out, _ := v.SetMantExp(v, -64).Float64()
	return out
}

// limbs returns the number's words.
func (a number) limbs() [numberWords]uint64 {
	const mask = 1<<limbBits - 1
	return [numberWords]uint64{
		a.low & mask,
		(a.low>>limbBits | uint64(a.high)<<(64-limbBits)) & mask,
		uint64(a.high >> (2*limbBits - 64)), // signed
	}
}

// numberOf returns the number that limbs were taken of.
func numberOf(limbs []uint64) number {
	return number{
		high: int64(limbs[1]>>(64-limbBits) | limbs[2]<<(2*limbBits-64)),
		low:  limbs[0] | limbs[1]<<limbBits,
	}
}

// fromLimbs returns the number that the sums of sites' limbs are, rounded once, or
// [ErrInconsistent] if no such sites' limbs add up to them.
func fromLimbs(words []uint64, sites int) (float64, error) {
	most := uint64(sites) * (1<<limbBits - 1)
	top := int64(words[2])
	if words[0] > most || words[1] > most || !within(top, int64(sites)<<(62+64-2*limbBits)) {
		return 0, ErrInconsistent
	}
	v := big.NewInt(top)
	for _, w := range []uint64{words[1], words[0]} {
		v.Lsh(v, limbBits)
		v.Add(v, new(big.Int).SetUint64(w))
	}
	out, _ := new(big.Float).SetMantExp(new(big.Float).SetInt(v), -64).Float64()
	return out, nil
}
