package oprf

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
)

// Key is the secret of whoever evaluates. It neither prints nor marshals by
// accident: [Key.Bytes] is for its own file. The zero Key is none.
type Key struct {
	*private
	mode Mode
	k    *edwards25519.Scalar
}

// private gives a type the methods that keep printing and marshalling from what
// it holds. It is embedded as nil.
type private struct{}

var errPrivate = errors.New("oprf: a secret must not be written here")

// Format prints a fixed text whatever the verb.
func (*private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "oprf:redacted") }

// MarshalJSON always fails.
func (*private) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// MarshalText always fails; it also keeps log handlers from the value.
func (*private) MarshalText() ([]byte, error) { return nil, errPrivate }

// MarshalBinary always fails; it also keeps gob from the value.
func (*private) MarshalBinary() ([]byte, error) { return nil, errPrivate }

// NewKey makes a key from 64 bytes of random.
func NewKey(random io.Reader, mode Mode) (Key, error) {
	if err := mode.check(); err != nil {
		return Key{}, err
	}
	k, err := randomScalar(random)
	if err != nil {
		return Key{}, fmt.Errorf("oprf: new key: %w", err)
	}
	return Key{mode: mode, k: k}, nil
}

// DeriveKey makes the key that a seed of 32 secret bytes and a public text of up to
// 65,535 bytes stand for (RFC 9497, section 3.2.1).
func DeriveKey(mode Mode, seed [32]byte, info []byte) (Key, error) {
	if err := mode.check(); err != nil {
		return Key{}, err
	}
	if len(info) > maxInput {
		return Key{}, fmt.Errorf("oprf: the key's text has %d bytes, at most %d", len(info), maxInput)
	}
	input := lengthed(seed[:], info)
	for counter := range 256 {
		k := mode.scalar(append(input, byte(counter)), "DeriveKeyPair")
		if !isZero(k) {
			return Key{mode: mode, k: k}, nil
		}
	}
	return Key{}, errors.New("oprf: no key comes of this seed")
}

// ParseKey reads what [Key.Bytes] wrote: a scalar in its canonical form, not zero.
func ParseKey(mode Mode, raw []byte) (Key, error) {
	if err := mode.check(); err != nil {
		return Key{}, err
	}
	k, err := edwards25519.NewScalar().SetCanonicalBytes(raw)
	if err != nil || isZero(k) {
		return Key{}, errors.New("oprf: not a key: want 32 bytes of a scalar that is not zero")
	}
	return Key{mode: mode, k: k}, nil
}

// Bytes returns the secret in 32 bytes.
func (k Key) Bytes() []byte { return k.k.Bytes() }

// Public returns the public key.
func (k Key) Public() PublicKey {
	return PublicKey{k.mode, newElement(new(edwards25519.Point).ScalarBaseMult(k.k))}
}

// PublicKey names a [Key] and verifies that it was used.
type PublicKey struct {
	mode    Mode
	element Element
}

// ParsePublicKey reads what [PublicKey.Bytes] wrote.
func ParsePublicKey(mode Mode, raw []byte) (PublicKey, error) {
	if err := mode.check(); err != nil {
		return PublicKey{}, err
	}
	e, err := ParseElement(raw)
	return PublicKey{mode, e}, err
}

// Bytes returns the key in 32 bytes.
func (p PublicKey) Bytes() []byte { return p.element.Bytes() }

// Element is an element of the group other than the identity: a blinded value or
// the answer to one.
type Element struct {
	raw   [elementSize]byte
	point *edwards25519.Point
}

// ErrElement reports bytes that are no element: not 32 of them, not the canonical
// encoding, or the identity. Whoever sent them is at fault.
var ErrElement = errors.New("oprf: not the encoding of an element")

// ParseElement reads what [Element.Bytes] wrote and fails with [ErrElement] for
// everything else.
func ParseElement(raw []byte) (Element, error) {
	p, ok := decode(raw)
	if !ok || [elementSize]byte(raw) == groupIdentity {
		return Element{}, ErrElement
	}
	return Element{[elementSize]byte(raw), p}, nil
}

func newElement(p *edwards25519.Point) Element { return Element{encode(p), p} }

// Bytes returns the element in 32 bytes.
func (e Element) Bytes() []byte { return e.raw[:] }

// randomScalar returns a uniform scalar other than zero.
func randomScalar(random io.Reader) (*edwards25519.Scalar, error) {
	for {
		var uniform [64]byte
		if _, err := io.ReadFull(random, uniform[:]); err != nil {
			return nil, err
		}
		if s := reduce(uniform); !isZero(s) { // zero once in 2^252
			return s, nil
		}
	}
}

func isZero(s *edwards25519.Scalar) bool { return s.Equal(edwards25519.NewScalar()) == 1 }
