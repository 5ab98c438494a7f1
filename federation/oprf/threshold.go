package oprf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/edwards25519"
)

// MaxHolders is the most parties among whom a key is split.
const MaxHolders = 100

// ErrParts reports that too few of the holders of a split key answered with a proof that
// holds. Ask again, or the others.
var ErrParts = errors.New("oprf: too few holders answered truly")

// Split shares the key among holders, of whom threshold together can evaluate and fewer
// learn nothing (Shamir's scheme). Each share is a key of its own, by whose proof its
// holder shows that it answered with it. Who splits knows the key, and should forget it.
func (k Key) Split(random io.Reader, threshold, holders int) ([]Key, error) {
	if threshold < 1 || threshold > holders || holders > MaxHolders {
		return nil, fmt.Errorf("oprf: %d of %d holders: want 1 to %d, and a threshold among them", threshold, holders, MaxHolders)
	}
	polynomial := []*edwards25519.Scalar{k.k}
	for range threshold - 1 {
		c, err := randomScalar(random)
		if err != nil {
			return nil, fmt.Errorf("oprf: split key: %w", err)
		}
		polynomial = append(polynomial, c)
	}
	shares := make([]Key, holders)
	for i := range shares {
		at, y := place(i), edwards25519.NewScalar()
		for _, c := range slices.Backward(polynomial) {
			y.MultiplyAdd(y, at, c)
		}
		if isZero(y) {
			return nil, errors.New("oprf: split key: a share is zero") // once in 2^252
		}
		shares[i] = Key{mode: k.mode, k: y}
	}
	return shares, nil
}

// Holders is what everybody knows of a split key: the public key of each share, in the
// order of [Key.Split].
type Holders struct {
	threshold int
	shares    []PublicKey
	whole     PublicKey
}

// NewHolders checks that the shares are those of one key, of which threshold make it up.
func NewHolders(threshold int, shares []PublicKey) (Holders, error) {
	if threshold < 1 || threshold > len(shares) || len(shares) > MaxHolders {
		return Holders{}, fmt.Errorf("oprf: %d of %d holders: want 1 to %d, and a threshold among them", threshold, len(shares), MaxHolders)
	}
	first := make([]int, threshold)
	points := make([]*edwards25519.Point, threshold)
	for i := range first {
		first[i], points[i] = i, shares[i].element.point
	}
	for i, s := range shares {
		if s.mode != Verifiable {
			return Holders{}, errors.New("oprf: the holders of a split key have to prove what they answer")
		}
		// Beyond the first, a share has to lie where they say that it does.
		if i >= threshold && encode(interpolate(first, points, place(i))) != s.element.raw {
			return Holders{}, fmt.Errorf("oprf: share %d is not of the same key as those before it", i+1)
		}
	}
	whole := newElement(interpolate(first, points, edwards25519.NewScalar()))
	if whole.raw == groupIdentity {
		return Holders{}, ErrElement
	}
	return Holders{threshold, slices.Clone(shares), PublicKey{Verifiable, whole}}, nil
}

// Threshold is how many holders it takes.
func (h Holders) Threshold() int { return h.threshold }

// Public returns the public key of the whole key, which nobody need ever have.
func (h Holders) Public() PublicKey { return h.whole }

// Part is the answer of one holder.
type Part struct {
	Holder    int // from 0, in the order of [Key.Split]
	Evaluated []Element
	Proof     Proof
}

// FinalizeParts is [Request.FinalizeVerified] of a split key: it combines the answers of as
// many holders as it takes. Whoever answered with another key than that of their share is
// in liars and does not count. It fails with [ErrParts] if too few are left.
func (r *Request) FinalizeParts(h Holders, parts []Part) (outputs []Output, liars []int, err error) {
	if r.mode != Verifiable {
		return nil, nil, errors.New("oprf: only a request in the mode with proofs can be combined")
	}
	var good []Part
	seen := make(map[int]bool)
	for _, p := range parts {
		if p.Holder < 0 || p.Holder >= len(h.shares) || seen[p.Holder] {
			return nil, nil, fmt.Errorf("oprf: holder %d is none, or answered twice", p.Holder+1)
		}
		seen[p.Holder] = true
		if !h.shares[p.Holder].verify(r.elements, p.Evaluated, p.Proof) {
			liars = append(liars, p.Holder)
			continue
		}
		good = append(good, p)
	}
	if len(good) < h.threshold {
		return nil, liars, fmt.Errorf("%w: %d, of %d that are needed", ErrParts, len(good), h.threshold)
	}
	good = good[:h.threshold]
	from := make([]int, len(good))
	for i, p := range good {
		from[i] = p.Holder
	}
	whole := make([]Element, len(r.elements))
	points := make([]*edwards25519.Point, len(good))
	for i := range whole {
		for j, p := range good {
			points[j] = p.Evaluated[i].point
		}
		whole[i] = newElement(interpolate(from, points, edwards25519.NewScalar()))
	}
	outputs, err = r.finalize(whole)
	return outputs, liars, err
}

// place is where a holder's share lies on the polynomial: 1, 2, 3… At 0 is the key.
func place(holder int) *edwards25519.Scalar {
	var raw [scalarSize]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(holder+1))
	s, err := edwards25519.NewScalar().SetCanonicalBytes(raw[:])
	if err != nil {
		panic("oprf: place: " + err.Error()) // 64 bits are below the order
	}
	return s
}

// interpolate returns what the polynomial through the points of some holders has at x: the
// sum of the points times their Lagrange coefficients. All of it is public.
func interpolate(holders []int, points []*edwards25519.Point, x *edwards25519.Scalar) *edwards25519.Point {
	coefficients := make([]*edwards25519.Scalar, len(holders))
	for i, holder := range holders {
		numerator, denominator := place(0), place(0) // 1
		for _, other := range holders {
			if other == holder {
				continue
			}
			numerator.Multiply(numerator, edwards25519.NewScalar().Subtract(x, place(other)))
			denominator.Multiply(denominator, edwards25519.NewScalar().Subtract(place(holder), place(other)))
		}
		coefficients[i] = numerator.Multiply(numerator, denominator.Invert(denominator))
	}
	return new(edwards25519.Point).VarTimeMultiScalarMult(coefficients, points)
}
