package verifier

import (
	"errors"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
)

var (
	errLength     = errors.New("too short")
	errCoordinate = errors.New("a coordinate is not reduced")
	errGroup      = errors.New("a point is not in the group")
)

// pointReader reads uncompressed points and remembers the first error. (0, 0)
// is the zero of its group, as on chain.
type pointReader struct {
	rest []byte
	err  error
}

func (r *pointReader) coordinate() (x fp.Element) {
	if r.err != nil {
		return x
	}
	if len(r.rest) < fp.Bytes {
		r.err = errLength
		return x
	}
	if x.SetBytesCanonical(r.rest[:fp.Bytes]) != nil {
		r.err = errCoordinate
	}
	r.rest = r.rest[fp.Bytes:]
	return x
}

func (r *pointReader) g1() (p curve.G1Affine) {
	p.X, p.Y = r.coordinate(), r.coordinate()
	if r.err == nil && !p.IsInSubGroup() {
		r.err = errGroup
	}
	return p
}

// g2 reads imaginary parts first.
func (r *pointReader) g2() (p curve.G2Affine) {
	p.X.A1, p.X.A0 = r.coordinate(), r.coordinate()
	p.Y.A1, p.Y.A0 = r.coordinate(), r.coordinate()
	if r.err == nil && !p.IsInSubGroup() {
		r.err = errGroup
	}
	return p
}
