package verifier

import (
	"errors"
	"fmt"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// ErrKey reports bytes that are no verifying key of the circuit, or one that
// would accept forged proofs.
var ErrKey = errors.New("not a usable verifying key")

// Key is a verifying key. It is never changed and safe for concurrent use.
type Key struct {
	circuit circuits.Circuit
	vk      groth16.VerifyingKey
	words   []byte
}

const (
	g1Size     = 64
	g2Size     = 128
	fixedBytes = g1Size + 3*g2Size
)

// ParseKey reads the key words of a circuit's key. It refuses any other length,
// coordinates that are not reduced, points off the curve or outside the group,
// and keys whose setup was evidently never finished.
func ParseKey(c circuits.Circuit, words []byte) (*Key, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
	}
	if want := fixedBytes + (c.Inputs()+1)*g1Size; len(words) != want {
		return nil, fmt.Errorf("verifying key of %s: %w: %d bytes, not %d", c, ErrKey, len(words), want)
	}
	k := &Key{circuit: c, words: append([]byte(nil), words...)}
	if err := k.decode(words); err != nil {
		return nil, fmt.Errorf("verifying key of %s: %w: %w", c, ErrKey, err)
	}
	return k, nil
}

func (k *Key) decode(words []byte) (err error) {
	r := pointReader{rest: words}
	k.vk.G1.Alpha = r.g1()
	k.vk.G2.Beta, k.vk.G2.Gamma, k.vk.G2.Delta = r.g2(), r.g2(), r.g2()
	for len(r.rest) > 0 && r.err == nil {
		k.vk.G1.K = append(k.vk.G1.K, r.g1())
	}
	if r.err != nil {
		return r.err
	}
	if err := soundKey(&k.vk); err != nil {
		return err
	}
	return k.vk.Precompute()
}

// soundKey refuses keys with which anybody could forge. Verifiers have been
// deployed with delta equal to the generator because the second phase of their
// ceremony was skipped. Gamma may be the generator: ceremonies leave it so.
func soundKey(vk *groth16.VerifyingKey) error {
	_, _, _, generator := curve.Generators()
	if vk.G1.Alpha.IsInfinity() || vk.G2.Beta.IsInfinity() || vk.G2.Gamma.IsInfinity() || vk.G2.Delta.IsInfinity() {
		return errors.New("a point is zero")
	}
	if vk.G2.Delta.Equal(&generator) || vk.G2.Delta.Equal(&vk.G2.Gamma) {
		return errors.New("delta was never randomized")
	}
	for i := range vk.G1.K {
		if vk.G1.K[i].IsInfinity() {
			return fmt.Errorf("public input %d is in no constraint", i-1)
		}
	}
	return nil
}

// FromSetup converts the verifying key of a finished setup.
func FromSetup(c circuits.Circuit, vk *groth16.VerifyingKey) (*Key, error) {
	if len(vk.CommitmentKeys) != 0 {
		return nil, fmt.Errorf("verifying key of %s: %w: it has commitments", c, ErrKey)
	}
	var words []byte
	for _, raw := range [][g2Size]byte{vk.G2.Beta.RawBytes(), vk.G2.Gamma.RawBytes(), vk.G2.Delta.RawBytes()} {
		words = append(words, raw[:]...)
	}
	alpha := vk.G1.Alpha.RawBytes()
	words = append(alpha[:], words...)
	for i := range vk.G1.K {
		raw := vk.G1.K[i].RawBytes()
		words = append(words, raw[:]...)
	}
	return ParseKey(c, words)
}

// EVM returns the key as verifier contracts take it and [ParseKey] reads it:
// alpha (2 words), beta (4), gamma (4), delta (4) and Inputs+1 points (2 each).
// No point is negated.
func (k *Key) EVM() []byte { return append([]byte(nil), k.words...) }

// Digest is the SHA-256 of [Key.EVM]; the ledger names circuits by it.
func (k *Key) Digest() message.Digest { return message.Sum(k.words) }

// Circuit returns what the key is for.
func (k *Key) Circuit() circuits.Circuit { return k.circuit }

// Inputs is the number of public inputs.
func (k *Key) Inputs() int { return k.circuit.Inputs() }
