package ceremony

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"
	cs "github.com/consensys/gnark/constraint/bn254"
)

// The library's decoders believe the lengths that they read. So a file is as long as the
// parameters of its part are, and has their lengths where they have them, before it is decoded.

// Sizes of compressed points and of a proof of one update, in bytes.
const (
	g1Size     = 32
	g2Size     = 64
	updateSize = g1Size + g2Size
)

// challengeSize is that of the digest of the parameters before, with its length.
const challengeSize = 1 + 32

// powersSize is how long powers for so many constraints are.
func powersSize(n int) int64 {
	return int64(3*updateSize + 8 + g2Size + g1Size*(2*n-2) + g2Size*(n-1) + 2*g1Size*n + challengeSize)
}

// readPowers decodes powers for n constraints.
func readPowers(raw []byte, n int) (*mpcsetup.Phase1, error) {
	if int64(len(raw)) != powersSize(n) {
		return nil, fmt.Errorf("%w: %d bytes of powers, not %d", ErrTranscript, len(raw), powersSize(n))
	}
	if got := binary.BigEndian.Uint64(raw[3*updateSize:]); got != uint64(n) {
		return nil, fmt.Errorf("%w: powers for %d constraints, not %d", ErrTranscript, got, n)
	}
	p := new(mpcsetup.Phase1)
	return p, decode(raw, p)
}

// domainOf is the number of powers that a circuit needs: its constraints, rounded up to a
// power of two.
func domainOf(system *cs.R1CS) int {
	n := 1
	for n < system.GetNbConstraints() {
		n *= 2
	}
	return n
}

// lengths are those of a circuit's parameters.
type lengths struct{ private, domain int }

func lengthsOf(system *cs.R1CS) lengths {
	internal, secret, _ := system.GetNbVariables()
	return lengths{internal + secret, domainOf(system)}
}

// size is how long the parameters are, after a contribution and before any.
func (l lengths) size(contributed bool) int64 {
	size := 2 + g1Size + 4 + g1Size*l.private + 4 + g1Size*(l.domain-1) + g2Size + updateSize + 1
	if contributed {
		size += challengeSize - 1
	}
	return int64(size)
}

// read decodes parameters of a circuit.
func (l lengths) read(raw []byte, contributed bool) (*mpcsetup.Phase2, error) {
	if int64(len(raw)) != l.size(contributed) {
		return nil, fmt.Errorf("%w: %d bytes of parameters, not %d", ErrTranscript, len(raw), l.size(contributed))
	}
	const private = 2 + g1Size
	domain := private + 4 + g1Size*l.private
	if binary.BigEndian.Uint16(raw) != 0 || int(binary.BigEndian.Uint32(raw[private:])) != l.private || int(binary.BigEndian.Uint32(raw[domain:])) != l.domain-1 {
		return nil, fmt.Errorf("%w: parameters of another circuit", ErrTranscript)
	}
	p := new(mpcsetup.Phase2)
	return p, decode(raw, p)
}

func decode(raw []byte, p io.ReaderFrom) error {
	r := bytes.NewReader(raw)
	if _, err := p.ReadFrom(r); err != nil {
		return fmt.Errorf("%w: parameters: %w", ErrTranscript, err)
	}
	if r.Len() != 0 {
		return fmt.Errorf("%w: %d bytes after the parameters", ErrTranscript, r.Len())
	}
	return nil
}

// first returns the powers for n constraints out of those for more.
func first(all mpcsetup.SrsCommons, n int) mpcsetup.SrsCommons {
	part := all
	part.G1.Tau, part.G2.Tau = all.G1.Tau[:2*n-1], all.G2.Tau[:n]
	part.G1.AlphaTau, part.G1.BetaTau = all.G1.AlphaTau[:n], all.G1.BetaTau[:n]
	return part
}
