package secagg

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// limbs is the number of field elements that carry a 32-byte secret, seven
// bytes in each and four in the last.
const limbs = 5

const limbBytes = 7

// Share is one point of the polynomials that hide a 32-byte secret, one
// polynomial per limb. It does not print; its text form is base64 of the limbs
// as little-endian 64-bit integers.
type Share [limbs]element

// shareSize is the length of a share in bytes.
const shareSize = limbs * 8

// errShares reports shares that lie on no polynomial of a 32-byte secret.
var errShares = errors.New("the shares belong to no common secret")

// split returns one share of secret for each of the points 1 to n, any
// threshold of which give it back and any fewer of which say nothing. The
// coefficients come from random, which must be used for this secret alone.
//
// Source: Shamir, "How to share a secret", CACM 22 (1979), 612-613.
func split(secret [32]byte, n, threshold int, random *stream) []Share {
	shares := make([]Share, n)
	for limb, constant := range toLimbs(secret) {
		coefficients := make([]element, threshold)
		coefficients[0] = constant
		for i := 1; i < threshold; i++ {
			coefficients[i] = random.element()
		}
		for i := range shares {
			x, y := element(i+1), element(0)
			for k := threshold - 1; k >= 0; k-- {
				y = y.times(x).plus(coefficients[k])
			}
			shares[i][limb] = y
		}
	}
	return shares
}

// combine returns the secret whose polynomials pass through shares; points[i],
// from 1, is where shares[i] lies. Points must be distinct and as many as the
// threshold. A wrong share gives an error or another secret: compare the result
// with what is publicly known of it.
func combine(points []int, shares []Share) ([32]byte, error) {
	var values [limbs]element
	for i, p := range points {
		// Lagrange coefficient at 0: Π x_j / (x_j − x_i).
		numerator, denominator := element(1), element(1)
		for j, q := range points {
			if i != j {
				numerator = numerator.times(element(q))
				denominator = denominator.times(element(q).minus(element(p)))
			}
		}
		weight := numerator.times(denominator.inverse())
		for limb := range values {
			values[limb] = values[limb].plus(weight.times(shares[i][limb]))
		}
	}
	return fromLimbs(values)
}

func toLimbs(secret [32]byte) [limbs]element {
	var padded [limbs * limbBytes]byte
	copy(padded[:], secret[:])
	var values [limbs]element
	for i := range values {
		var word [8]byte
		copy(word[:limbBytes], padded[i*limbBytes:])
		values[i] = element(binary.LittleEndian.Uint64(word[:]))
	}
	return values
}

func fromLimbs(values [limbs]element) (secret [32]byte, err error) {
	var padded [limbs * limbBytes]byte
	for i, v := range values {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], uint64(v))
		if word[limbBytes] != 0 {
			return secret, errShares
		}
		copy(padded[i*limbBytes:], word[:limbBytes])
	}
	for _, b := range padded[len(secret):] {
		if b != 0 {
			return secret, errShares
		}
	}
	copy(secret[:], padded[:])
	return secret, nil
}

// bytes returns the share as little-endian words.
func (s Share) bytes() []byte {
	raw := make([]byte, 0, shareSize)
	for _, v := range s {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return raw
}

// parseShare reads what bytes wrote and refuses elements that are not reduced.
func parseShare(raw []byte) (Share, error) {
	var s Share
	if len(raw) != shareSize {
		return s, errors.New("secagg: a share has 40 bytes")
	}
	for i := range s {
		v := binary.LittleEndian.Uint64(raw[8*i:])
		if v >= prime {
			return Share{}, errors.New("secagg: a share holds a number outside the field")
		}
		s[i] = element(v)
	}
	return s, nil
}

// Format hides the share.
func (Share) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "share:redacted") }

// MarshalText writes the share as base64.
func (s Share) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, s.bytes()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Share) UnmarshalText(text []byte) error {
	if len(text) != base64.StdEncoding.EncodedLen(shareSize) {
		return errors.New("secagg: a share has 40 bytes")
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return errors.New("secagg: a share is written in base64")
	}
	*s, err = parseShare(raw)
	return err
}
