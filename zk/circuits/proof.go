package circuits

import (
	"encoding/hex"
	"errors"
)

// Proof is a Groth16 proof over BN254 in the layout of Solidity verifiers: A
// (x, y), B (x imaginary, x real, y imaginary, y real) and C (x, y), each
// coordinate 32 bytes big-endian. Its text form is 512 hex digits.
type Proof [256]byte

// ErrProof reports bytes that cannot be a proof because of their length or form.
var ErrProof = errors.New("circuits: a proof is 256 bytes")

// NewProof copies bytes from outside. Whether they verify is zk/verifier's.
func NewProof(b []byte) (p Proof, err error) {
	if len(b) != len(p) {
		return p, ErrProof
	}
	copy(p[:], b)
	return p, nil
}

// MarshalText writes hex digits.
func (p Proof) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText reads hex digits.
func (p *Proof) UnmarshalText(text []byte) error {
	if len(text) != 2*len(p) {
		return ErrProof
	}
	if _, err := hex.Decode(p[:], text); err != nil {
		return ErrProof
	}
	return nil
}

// EpochProof is an epoch's statement and its proof.
type EpochProof struct {
	Public EpochPublic `json:"public"`
	Proof  Proof       `json:"proof"`
}

// AccessProof is an access's statement and its proof.
type AccessProof struct {
	Public AccessPublic `json:"public"`
	Proof  Proof        `json:"proof"`
}

// AggregateProof is an aggregate's statement and its proof.
type AggregateProof struct {
	Public AggregatePublic `json:"public"`
	Proof  Proof           `json:"proof"`
}

// ReleaseProof is a release's statement and its proof, with noise or without.
type ReleaseProof struct {
	Public ReleasePublic `json:"public"`
	Proof  Proof         `json:"proof"`
}
