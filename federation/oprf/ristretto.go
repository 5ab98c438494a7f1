package oprf

import (
	"crypto/subtle"
	"math/big"
	"slices"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// elementSize and scalarSize are the bytes of an encoded element and scalar.
const (
	elementSize = 32
	scalarSize  = 32
)

// Constants of RFC 9496, section 4.1.
var (
	one           = new(field.Element).One()
	curveD        = constant("37095705934669439343138083508754565189542113879843219016388785533085940283555")
	sqrtM1        = constant("19681161376707505956807079304988542015446066515923890162744021073123829784752")
	sqrtADMinus1  = constant("25063068953384623474111414158702152701244531502492656460079210482610430750235")
	invSqrtAMinD  = constant("54469307008909316920995813868745141605393597292927456921205312896311721017578")
	oneMinusDSq   = constant("1159843021668779879193775521855586647937357759715417654439879720876111806838")
	dMinusOneSq   = constant("40440834346308536858101042469323190826248399146238708352240133220865137265952")
	groupIdentity = [elementSize]byte{}
)

// constant reads a field element in decimal, as the RFC writes them.
func constant(decimal string) *field.Element {
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok {
		panic("oprf: not a number: " + decimal)
	}
	raw := n.FillBytes(make([]byte, 32))
	slices.Reverse(raw)
	e, err := new(field.Element).SetBytes(raw)
	if err != nil {
		panic("oprf: constant: " + err.Error())
	}
	return e
}

func multiply(a, b *field.Element) *field.Element { return new(field.Element).Multiply(a, b) }
func add(a, b *field.Element) *field.Element      { return new(field.Element).Add(a, b) }
func subtract(a, b *field.Element) *field.Element { return new(field.Element).Subtract(a, b) }
func square(a *field.Element) *field.Element      { return new(field.Element).Square(a) }
func negate(a *field.Element) *field.Element      { return new(field.Element).Negate(a) }

// decode reads the one encoding that an element of ristretto255 has, and reports
// false for every other string (RFC 9496, section 4.3.1).
func decode(raw []byte) (*edwards25519.Point, bool) {
	if len(raw) != elementSize {
		return nil, false
	}
	s, err := new(field.Element).SetBytes(raw)
	if err != nil || subtle.ConstantTimeCompare(s.Bytes(), raw) != 1 || s.IsNegative() == 1 {
		return nil, false // SetBytes takes more than the canonical form
	}
	ss := square(s)
	u1, u2 := subtract(one, ss), add(one, ss)
	u2Squared := square(u2)
	v := subtract(negate(multiply(curveD, square(u1))), u2Squared)
	inverse, wasSquare := new(field.Element).SqrtRatio(one, multiply(v, u2Squared))
	denX := multiply(inverse, u2)
	denY := multiply(multiply(inverse, denX), v)
	x := new(field.Element).Absolute(multiply(add(s, s), denX))
	y := multiply(u1, denY)
	t := multiply(x, y)
	if wasSquare == 0 || t.IsNegative() == 1 || y.Equal(new(field.Element)) == 1 {
		return nil, false
	}
	p, err := new(edwards25519.Point).SetExtendedCoordinates(x, y, one, t)
	return p, err == nil
}

// encode writes the one encoding of the element that p represents (RFC 9496,
// section 4.3.2).
func encode(p *edwards25519.Point) [elementSize]byte {
	x0, y0, z0, t0 := p.ExtendedCoordinates()
	u1 := multiply(add(z0, y0), subtract(z0, y0))
	u2 := multiply(x0, y0)
	inverse, _ := new(field.Element).SqrtRatio(one, multiply(u1, square(u2))) // 0 for 0, as it must be
	den1, den2 := multiply(inverse, u1), multiply(inverse, u2)
	zInverse := multiply(multiply(den1, den2), t0)
	rotate := multiply(t0, zInverse).IsNegative()
	x := new(field.Element).Select(multiply(y0, sqrtM1), x0, rotate)
	y := new(field.Element).Select(multiply(x0, sqrtM1), y0, rotate)
	denominator := new(field.Element).Select(multiply(den1, invSqrtAMinD), den2, rotate)
	y.Select(negate(y), y, multiply(x, zInverse).IsNegative())
	s := new(field.Element).Absolute(multiply(denominator, subtract(z0, y)))
	return [elementSize]byte(s.Bytes())
}

// derive maps 64 uniform bytes to an element (RFC 9496, section 4.3.4).
func derive(uniform [64]byte) *edwards25519.Point {
	return new(edwards25519.Point).Add(mapToPoint(uniform[:32]), mapToPoint(uniform[32:]))
}

func mapToPoint(half []byte) *edwards25519.Point {
	t, err := new(field.Element).SetBytes(half) // ignores the highest bit, as it must
	if err != nil {
		panic("oprf: map 32 bytes: " + err.Error()) // only for another length
	}
	minusOne := negate(one)
	r := multiply(sqrtM1, square(t))
	u := multiply(add(r, one), oneMinusDSq)
	v := multiply(subtract(minusOne, multiply(r, curveD)), add(r, curveD))
	s, wasSquare := new(field.Element).SqrtRatio(u, v)
	other := negate(new(field.Element).Absolute(multiply(s, t)))
	s.Select(s, other, wasSquare)
	c := new(field.Element).Select(minusOne, r, wasSquare)
	n := subtract(multiply(multiply(c, subtract(r, one)), dMinusOneSq), v)
	w0 := multiply(add(s, s), v)
	w1 := multiply(n, sqrtADMinus1)
	w2, w3 := subtract(one, square(s)), add(one, square(s))
	p, err := new(edwards25519.Point).SetExtendedCoordinates(multiply(w0, w3), multiply(w2, w1), multiply(w1, w3), multiply(w0, w2))
	if err != nil {
		panic("oprf: map to the curve: " + err.Error()) // the map's image is on the curve
	}
	return p
}
