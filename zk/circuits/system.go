package circuits

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// gnark logs to standard output through a package variable. It is switched off
// here, once, before any goroutine of ours can exist, and never touched again;
// zk/prover and zk/verifier import this package and so are silent too.
func init() { logger.Disable() }

// compressAt bounds the terms of a linear expression before it gets a wire of
// its own. Packed bitmap words have up to 248 terms and would otherwise be
// copied into every multiplication of a permutation's first round.
const compressAt = 100

// compiled holds what every circuit was compiled to in this process: a function
// that compiles at its first call, and then returns the same.
var compiled sync.Map

// Compile returns the circuit as constraints, which nobody may change: every call
// in a process returns the same. The first takes about 25 µs a constraint.
func (c Circuit) Compile() (*cs.R1CS, error) {
	compile, _ := compiled.LoadOrStore(c, sync.OnceValues(c.compile))
	return compile.(func() (*cs.R1CS, error))()
}

func (c Circuit) compile() (*cs.R1CS, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var circuit frontend.Circuit
	switch c.kind {
	case epochKind:
		circuit = newEpochCircuit(c.shape.ShardSize)
	case accessKind:
		circuit = newAccessCircuit(c.shape)
	case coverKind:
		circuit = newCoverCircuit(c.shape)
	case aggregateKind:
		circuit = newAggregateCircuit(c.tally)
	case releaseKind, noiseKind:
		circuit = newReleaseCircuit(c.tally, c.kind == noiseKind)
	default:
		circuit = statementOf(c.kind).make(c.sizes)
	}
	system, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, circuit, frontend.WithCompressThreshold(compressAt))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", c, err)
	}
	return system.(*cs.R1CS), nil
}

// Digest identifies a compiled circuit: the SHA-256 over the numbers of inputs
// and over every constraint. Keys are kept under it, so a changed circuit can
// never meet a key made for another.
func Digest(system *cs.R1CS) message.Digest {
	h := sha256.New()
	internal, secret, public := system.GetNbVariables()
	writeInts(h, internal, secret, public, system.GetNbConstraints())
	for it := system.GetR1CIterator(); ; {
		c := it.Next()
		if c == nil {
			break
		}
		for _, side := range [...]constraint.LinearExpression{c.L, c.R, c.O} {
			writeInts(h, len(side))
			for _, term := range side {
				coefficient := system.Coefficients[term.CID].Bytes()
				_, _ = h.Write(coefficient[:])
				writeInts(h, int(term.VID))
			}
		}
	}
	return message.Digest(h.Sum(nil))
}

func writeInts(h hash.Hash, ns ...int) {
	for _, n := range ns {
		var buf [8]byte
		binary.BigEndian.PutUint64(buf[:], uint64(n))
		_, _ = h.Write(buf[:]) // a hash never fails
	}
}
