package prover

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr/fft"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	cs "github.com/consensys/gnark/constraint/bn254"
)

const (
	g1Size = 64
	g2Size = 128
)

// layout knows how an uncompressed proving key of one circuit must look. The
// library's decoder believes every length it reads and would allocate whatever
// an attacker wrote there, so lengths are checked before it runs.
type layout struct {
	domain []byte // encoding of the only FFT domain that fits
	size   int    // points of the domain
	wires  int
	public int // wires that are public, the constant 1 included
}

func newLayout(system *cs.R1CS) layout {
	domain := fft.NewDomain(uint64(system.GetNbConstraints()))
	var encoded bytes.Buffer
	_, _ = domain.WriteTo(&encoded) // a buffer never fails
	internal, secret, public := system.GetNbVariables()
	return layout{encoded.Bytes(), int(domain.Cardinality), internal + secret + public, public}
}

// maxSize bounds the encoding in bytes: no wire's point left out.
func (l layout) maxSize() int64 {
	points := 3 + l.wires + l.wires + l.size - 1 + l.wires - l.public
	return int64(len(l.domain) + g1Size*points + g2Size*(2+l.wires) + 5*4 + 3*8 + 2*l.wires + 4)
}

func (l layout) parse(raw []byte, decode func(*groth16.ProvingKey, io.Reader) (int64, error)) (*groth16.ProvingKey, error) {
	if err := l.check(raw); err != nil {
		return nil, err
	}
	pk := new(groth16.ProvingKey)
	if _, err := decode(pk, bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return pk, nil
}

// check walks over the encoding: domain, alpha, beta, delta, the vectors A, B,
// Z and K, then beta, delta and B in the other group, then which wires have no
// point in A and in B, and the number of commitment keys, which is 0 here.
func (l layout) check(raw []byte) error {
	c := cursor{rest: raw}
	if !bytes.Equal(c.take(len(l.domain)), l.domain) {
		return fmt.Errorf("%w: FFT domain", ErrKeys)
	}
	c.points(3, g1Size)
	a := c.vector(g1Size)
	b := c.vector(g1Size)
	z := c.vector(g1Size)
	k := c.vector(g1Size)
	c.points(2, g2Size)
	b2 := c.vector(g2Size)
	wires, absentA, absentB := c.uint64(), c.uint64(), c.uint64()
	flags := c.take(2 * l.wires)
	commitments := c.uint32()
	switch {
	case c.failed || len(c.rest) != 0:
		return fmt.Errorf("%w: lengths and size disagree, or a point is compressed", ErrKeys)
	case wires != uint64(l.wires) || z != l.size-1 || k != l.wires-l.public || commitments != 0:
		return fmt.Errorf("%w: made for another circuit", ErrKeys)
	case absentA != count(flags[:l.wires]) || absentB != count(flags[l.wires:]):
		return fmt.Errorf("%w: absent wires miscounted", ErrKeys)
	case uint64(a)+absentA != wires || uint64(b)+absentB != wires || b2 != b:
		return fmt.Errorf("%w: points and wires disagree", ErrKeys)
	}
	return nil
}

func count(flags []byte) (n uint64) {
	for _, flag := range flags {
		if flag != 0 {
			n++
		}
	}
	return n
}

// cursor takes bytes off a slice and remembers whether it ever ran out.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if c.failed || n < 0 || n > len(c.rest) {
		c.failed = true
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) uint32() int {
	if b := c.take(4); len(b) == 4 {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// points passes n uncompressed points: the two top bits of each are 0.
func (c *cursor) points(n, size int) {
	if n > len(c.rest)/size {
		c.failed = true
	}
	for ; n > 0 && !c.failed; n-- {
		c.failed = c.take(size)[0]>>6 != 0
	}
}

func (c *cursor) vector(size int) int {
	n := c.uint32()
	c.points(n, size)
	return n
}
