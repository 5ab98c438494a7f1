package circuits

import (
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// Noise is discrete Laplace: the difference of two geometric numbers, P(z) in
// proportion to exp(−|z|/2^scale). The binary digits of a geometric number are
// independent, and digit 2^i of one of scale b is set with probability
// 1/(1 + exp(2^i/b)). So one table serves every scale: a sample has a digit for each
// power 2^-7 to 2^4 of the scale, and scale 2^s takes those from 2^-s on.
//
// A digit is set if 48 uniform bits lie below its threshold. A field element gives
// four times 48 bits, its lowest, a permutation three elements, and two permutations
// the 24 draws of a sample. Thresholds off by half a unit, digits from 2^5 on that
// are never drawn, and the field's order add up to a distance from discrete Laplace
// below 2^-43.
const (
	geometricDigits = len(thresholds)
	lowestDigit     = -(scales - 1)
	uniformBits     = 48
	uniformsALane   = 4
	blocksASample   = 2 * geometricDigits / (uniformsALane * (width - 1))
)

// thresholds[i] is 2^48/(1 + exp(2^(i−7))), rounded.
var thresholds = [...]uint64{
	0x7f80002aaa9a, 0x7f0001555333, 0x7e000aaa6668, 0x7c00554ccdaa, 0x7802a99a07f4, 0x7015336a1da4,
	0x60a6815965e3, 0x44d9585152ea, 0x1e84152bac32, 0x049abe8790f1, 0x0015fa3dd7d3, 0x000001e355b8,
}

// SeedCommitment returns hash(37; seed, 0). The seed must have 248 random bits. It goes
// to the ledger before any question whose noise comes from it.
func SeedCommitment(seed Element) (Element, error) {
	x, err := toField(seed)
	if err != nil {
		return Element{}, err
	}
	return fromField(hash2(TagSeed, x, fr.Element{})), nil
}

// noise returns the sample at a place of an answer.
func noise(seed, query fr.Element, place int, scale uint8) int64 {
	var sample int64
	for draw, uniform := range draws(seed, query, place) {
		sample += geometricDigit(uniform, draw, scale)
	}
	return sample
}

// draws returns the uniform numbers of a sample, those of its first geometric number
// first. Block n of the stream is the first three lanes of sponge(38; seed, query, n).
func draws(seed, query fr.Element, place int) (draws [2 * geometricDigits]uint64) {
	for block := range blocksASample {
		var n fr.Element
		n.SetUint64(uint64(place*blocksASample + block))
		state := spongeState(TagNoise, []fr.Element{seed, query, n})
		for l, lane := range state[:width-1] {
			at := (block*(width-1) + l) * uniformsALane
			for u := range uniformsALane {
				draws[at+u] = uniform(lane.Bits(), u)
			}
		}
	}
	return draws
}

// uniform returns bits 48u to 48u+47 of four words, the lowest first.
func uniform(digits [4]uint64, u int) uint64 {
	at := uniformBits * u
	low := digits[at/64] >> (at % 64)
	if at%64 > 64-uniformBits {
		low |= digits[at/64+1] << (64 - at%64)
	}
	return low & (1<<uniformBits - 1)
}

// geometricDigit returns what a draw adds to the sample: the first number's digits
// count, then the second's against them.
func geometricDigit(uniform uint64, draw int, scale uint8) int64 {
	digit := draw % geometricDigits
	power := digit + lowestDigit + int(scale)
	switch {
	case power < 0 || uniform >= thresholds[digit]:
		return 0
	case draw < geometricDigits:
		return 1 << power
	}
	return -1 << power
}

// noise is the same inside a circuit, at the scale of which one indicator is 1.
func (g gadget) noise(seed, query frontend.Variable, place int, scale []frontend.Variable) frontend.Variable {
	var digits []frontend.Variable
	for block := range blocksASample {
		state := g.spongeState(TagNoise, []frontend.Variable{seed, query, place*blocksASample + block})
		for _, lane := range state[:width-1] {
			// All digits of the field: the split that is below its order, so the only one.
			bits := g.ToBinary(lane)
			for u := range uniformsALane {
				threshold := thresholds[len(digits)%geometricDigits]
				digits = append(digits, g.below(bits[uniformBits*u:uniformBits*(u+1)], threshold))
			}
		}
	}
	var sample []frontend.Variable
	for s, chosen := range scale {
		var terms []frontend.Variable
		for digit := range geometricDigits {
			if power := digit + lowestDigit + s; power >= 0 {
				difference := g.Sub(digits[digit], digits[geometricDigits+digit])
				terms = append(terms, g.Mul(difference, 1<<power))
			}
		}
		sample = append(sample, g.Mul(chosen, g.sum(terms)))
	}
	return g.sum(sample)
}

// below returns whether bits, lowest first, are a number below the threshold. At a digit
// that is set in the threshold, a 0 decides for below; at another, a 1 against it.
func (g gadget) below(bits []frontend.Variable, threshold uint64) frontend.Variable {
	less := frontend.Variable(0)
	for i, bit := range bits {
		if threshold>>i&1 == 1 {
			less = g.Sub(1, g.Mul(bit, g.Sub(1, less)))
		} else {
			less = g.Mul(g.Sub(1, bit), less)
		}
	}
	return less
}
