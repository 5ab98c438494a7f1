package circuits

import (
	"bytes"
	"errors"
	"fmt"
	"hash"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards/eddsa"
	tedwards "github.com/consensys/gnark-crypto/ecc/twistededwards"
	"github.com/consensys/gnark/frontend"
	curve "github.com/consensys/gnark/std/algebra/native/twistededwards"
	stdhash "github.com/consensys/gnark/std/hash"
	gadgets "github.com/consensys/gnark/std/signature/eddsa"
)

// PublicKey is a point of the twisted Edwards curve over the BN254 scalar
// field, whose signatures are cheap to check inside a circuit.
type PublicKey struct {
	X Element `json:"x"`
	Y Element `json:"y"`
}

// Signature is an EdDSA signature over one field element: the point R and the
// scalar S. Its challenge is sponge(51; R.x, R.y, A.x, A.y, message).
type Signature struct {
	RX Element `json:"rx"`
	RY Element `json:"ry"`
	S  Element `json:"s"`
}

// Errors of keys and signatures from outside.
var (
	ErrPublicKey = errors.New("not a point of the curve's prime-order group")
	ErrSignature = errors.New("the signature does not hold")
)

// SigningKey signs credentials, consents and hand-overs. It neither prints nor
// marshals: keep the seed it was made from.
type SigningKey struct {
	redacted
	key *eddsa.PrivateKey
}

// NewSigningKey makes the key of a seed of 32 random bytes.
func NewSigningKey(seed [32]byte) (SigningKey, error) {
	key, err := eddsa.GenerateKey(bytes.NewReader(seed[:]))
	if err != nil {
		return SigningKey{}, fmt.Errorf("signing key: %w", err)
	}
	return SigningKey{key: key}, nil
}

// Public returns the key's public half.
func (k SigningKey) Public() PublicKey {
	a := k.key.PublicKey.A
	return PublicKey{fromField(a.X), fromField(a.Y)}
}

func (k SigningKey) sign(message fr.Element) (Signature, error) {
	raw, err := k.key.Sign(message.Marshal(), new(challenge))
	if err != nil {
		return Signature{}, fmt.Errorf("sign: %w", err)
	}
	var s eddsa.Signature
	if _, err := s.SetBytes(raw); err != nil {
		return Signature{}, fmt.Errorf("sign: %w", err)
	}
	return Signature{fromField(s.R.X), fromField(s.R.Y), s.S}, nil
}

// point returns the key as a point, or [ErrPublicKey].
func (k PublicKey) point() (p twistededwards.PointAffine, err error) {
	if p, err = point(k.X, k.Y); err != nil || p.IsZero() || !p.IsInSubGroup() {
		return p, ErrPublicKey
	}
	return p, nil
}

// point returns coordinates as a point of the curve.
func point(x, y Element) (p twistededwards.PointAffine, err error) {
	if p.X, err = toField(x); err != nil {
		return p, err
	}
	if p.Y, err = toField(y); err != nil {
		return p, err
	}
	if !p.IsOnCurve() {
		return p, ErrPublicKey
	}
	return p, nil
}

// verify reports [ErrSignature] unless s is key's over the message.
func (k PublicKey) verify(message fr.Element, s Signature) error {
	a, err := k.point()
	if err != nil {
		return err
	}
	r, err := point(s.RX, s.RY)
	if err != nil {
		return ErrSignature
	}
	raw := (&eddsa.Signature{R: r, S: s.S}).Bytes()
	if good, err := (&eddsa.PublicKey{A: a}).Verify(raw, message.Marshal(), new(challenge)); err != nil || !good {
		return ErrSignature
	}
	return nil
}

// challenge is the hash of a signature for the library: it absorbs elements of
// 32 bytes and gives their sponge. The library's own choice is MiMC, for which
// DESIGN.md would have no second implementation.
type challenge struct{ absorbed bytes.Buffer }

var _ hash.Hash = (*challenge)(nil)

func (c *challenge) Write(b []byte) (int, error) { return c.absorbed.Write(b) }
func (c *challenge) Reset()                      { c.absorbed.Reset() }
func (c *challenge) Size() int                   { return fr.Bytes }
func (c *challenge) BlockSize() int              { return fr.Bytes }

func (c *challenge) Sum(b []byte) []byte {
	xs := make([]fr.Element, 0, 5)
	for raw := c.absorbed.Bytes(); len(raw) >= fr.Bytes; raw = raw[fr.Bytes:] {
		var x fr.Element
		x.SetBytes(raw[:fr.Bytes])
		xs = append(xs, x)
	}
	sum := sponge(TagSignature, xs)
	return append(b, sum.Marshal()...)
}

// keyWires and signatureWires are a key and a signature in a circuit.
type (
	keyWires       = gadgets.PublicKey
	signatureWires = gadgets.Signature
)

func (k PublicKey) assign() (w keyWires) {
	w.A.X, w.A.Y = k.X[:], k.Y[:]
	return w
}

func (s Signature) assign() (w signatureWires) {
	w.R.X, w.R.Y, w.S = s.RX[:], s.RY[:], s.S[:]
	return w
}

// challengeGadget is [challenge] inside a circuit.
type challengeGadget struct {
	gadget
	absorbed []frontend.Variable
}

var _ stdhash.FieldHasher = (*challengeGadget)(nil)

func (c *challengeGadget) Write(xs ...frontend.Variable) { c.absorbed = append(c.absorbed, xs...) }
func (c *challengeGadget) Reset()                        { c.absorbed = nil }
func (c *challengeGadget) Sum() frontend.Variable        { return c.sponge(TagSignature, c.absorbed) }

// assertSigned constrains s to be key's signature over the message. The library
// checks that S is below the group order and the equation times the cofactor.
// It takes for granted that both points lie on the curve, off which a division
// of 0 by 0 lets the prover sign for anybody, and that the key is of no small
// order, for which anybody signs anything.
func (g gadget) assertSigned(key keyWires, message frontend.Variable, s signatureWires) error {
	edwards, err := curve.NewEdCurve(g.API, tedwards.BN254)
	if err != nil {
		return fmt.Errorf("twisted Edwards curve: %w", err)
	}
	edwards.AssertIsOnCurve(key.A)
	edwards.AssertIsOnCurve(s.R)
	times8 := edwards.Double(edwards.Double(edwards.Double(key.A)))
	g.AssertIsDifferent(times8.X, 0) // in the prime-order group only zero has x = 0
	return gadgets.Verify(edwards, s, message, key, &challengeGadget{gadget: g})
}

// keySet returns the tree over the keys that a set accepts.
func keySet(tag Tag, depth int, keys []PublicKey) (*Tree, error) {
	leaves := make([]fr.Element, len(keys))
	for i, k := range keys {
		p, err := k.point()
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		leaves[i] = hash2(tag, p.X, p.Y)
	}
	return newTree(depth, leaves, fr.Element{})
}
