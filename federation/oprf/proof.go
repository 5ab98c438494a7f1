package oprf

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
)

// ErrProof reports that an answer was not made with the key of the public key that
// was named, or that it was changed on the way. Take no output from it.
var ErrProof = errors.New("oprf: the proof does not hold for this public key")

// Proof shows that all answers to one request were made with one key, without
// showing the key (RFC 9497, section 2.2: Chaum and Pedersen's proof of equal
// discrete logarithms, for the whole batch at once).
type Proof struct {
	challenge, response *edwards25519.Scalar
}

// ParseProof reads what [Proof.Bytes] wrote: two scalars in their canonical form.
func ParseProof(raw []byte) (Proof, error) {
	if len(raw) != 2*scalarSize {
		return Proof{}, fmt.Errorf("oprf: a proof has %d bytes, not %d", 2*scalarSize, len(raw))
	}
	challenge, err := edwards25519.NewScalar().SetCanonicalBytes(raw[:scalarSize])
	if err != nil {
		return Proof{}, errors.New("oprf: the proof's challenge is not a scalar")
	}
	response, err := edwards25519.NewScalar().SetCanonicalBytes(raw[scalarSize:])
	if err != nil {
		return Proof{}, errors.New("oprf: the proof's response is not a scalar")
	}
	return Proof{challenge, response}, nil
}

// Bytes returns the proof in 64 bytes.
func (p Proof) Bytes() []byte { return append(p.challenge.Bytes(), p.response.Bytes()...) }

// EvaluateVerifiably is [Key.Evaluate] with a proof, which takes 64 bytes of random.
func (k Key) EvaluateVerifiably(random io.Reader, elements []Element) ([]Element, Proof, error) {
	if k.mode != Verifiable {
		return nil, Proof{}, errors.New("oprf: this key is of the mode without proofs")
	}
	evaluated, err := k.Evaluate(elements)
	if err != nil {
		return nil, Proof{}, err
	}
	r, err := randomScalar(random)
	if err != nil {
		return nil, Proof{}, fmt.Errorf("oprf: prove: %w", err)
	}
	public := k.Public()
	m, _ := public.composites(elements, evaluated, false)
	z := new(edwards25519.Point).ScalarMult(k.k, m)
	t2 := new(edwards25519.Point).ScalarBaseMult(r)
	t3 := new(edwards25519.Point).ScalarMult(r, m)
	c := public.challenge(m, z, t2, t3)
	s := edwards25519.NewScalar().Multiply(c, k.k)
	return evaluated, Proof{c, s.Subtract(r, s)}, nil
}

// verify works on public values only, so it may take the time it takes.
func (p PublicKey) verify(elements, evaluated []Element, proof Proof) bool {
	if proof.challenge == nil || len(elements) != len(evaluated) {
		return false
	}
	m, z := p.composites(elements, evaluated, true)
	t2 := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(proof.challenge, p.element.point, proof.response)
	t3 := new(edwards25519.Point).VarTimeMultiScalarMult(
		[]*edwards25519.Scalar{proof.response, proof.challenge}, []*edwards25519.Point{m, z})
	return p.challenge(m, z, t2, t3).Equal(proof.challenge) == 1
}

// composites folds a batch into one pair of elements with weights that nobody can
// choose. Who knows the key needs only the first.
func (p PublicKey) composites(elements, evaluated []Element, both bool) (m, z *edwards25519.Point) {
	transcript := lengthed(lengthed(nil, p.Bytes()), []byte("Seed-"+p.mode.context()))
	seed := sha512.Sum512(transcript)
	weights := make([]*edwards25519.Scalar, len(elements))
	from, to := make([]*edwards25519.Point, len(elements)), make([]*edwards25519.Point, len(elements))
	for i := range elements {
		part := binary.BigEndian.AppendUint16(lengthed(nil, seed[:]), uint16(i))
		part = lengthed(lengthed(part, elements[i].raw[:]), evaluated[i].raw[:])
		weights[i] = p.mode.hashToScalar(append(part, "Composite"...))
		from[i], to[i] = elements[i].point, evaluated[i].point
	}
	m = new(edwards25519.Point).VarTimeMultiScalarMult(weights, from)
	if both {
		z = new(edwards25519.Point).VarTimeMultiScalarMult(weights, to)
	}
	return m, z
}

func (p PublicKey) challenge(points ...*edwards25519.Point) *edwards25519.Scalar {
	transcript := lengthed(nil, p.Bytes())
	for _, point := range points {
		raw := encode(point)
		transcript = lengthed(transcript, raw[:])
	}
	return p.mode.hashToScalar(append(transcript, "Challenge"...))
}
