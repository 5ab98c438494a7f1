package prover

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Keys holds a compiled circuit with its proving and verifying keys. It is
// never changed and safe for concurrent use. It takes about 0.5 kB of memory a
// constraint.
type Keys struct {
	published Published
	system    compiled
	proving   *groth16.ProvingKey
	size      int64 // of the proving key as it travels, bytes
	verifying *verifier.Key
}

// Published is what everybody knows about a circuit's keys; the ledger has it.
type Published struct {
	Circuit circuits.Circuit

	// VerifyingKey is [verifier.Key.EVM].
	VerifyingKey []byte

	// ProvingDigest is the SHA-256 of what [Keys.WriteTo] writes.
	ProvingDigest message.Digest

	// Development says that one machine made the keys and could forge proofs.
	Development bool

	// Ceremony is the digest of the plan of the ceremony that made them, zero of development keys.
	Ceremony message.Digest
}

// ErrKeys reports key material that is damaged or belongs to another circuit.
var ErrKeys = errors.New("key material does not fit")

// Published returns what to publish.
func (k *Keys) Published() Published {
	p := k.published
	p.VerifyingKey = k.verifying.EVM()
	return p
}

// Circuit returns what the keys are for.
func (k *Keys) Circuit() circuits.Circuit { return k.published.Circuit }

// Verifying returns the verifying key.
func (k *Keys) Verifying() *verifier.Key { return k.verifying }

// Development reports whether one machine made the keys and could forge proofs.
func (k *Keys) Development() bool { return k.published.Development }

// Constraints is the size of the compiled circuit.
func (k *Keys) Constraints() int { return k.system.GetNbConstraints() }

// Size is the number of bytes that [Keys.WriteTo] writes.
func (k *Keys) Size() int64 { return k.size }

// WriteTo writes the proving key; the bytes are always the same.
func (k *Keys) WriteTo(w io.Writer) (int64, error) {
	buffered := bufio.NewWriterSize(w, 1<<16)
	n, err := k.proving.WriteRawTo(buffered)
	if err != nil {
		return n, fmt.Errorf("write proving key of %s: %w", k.Circuit(), err)
	}
	if err := buffered.Flush(); err != nil {
		return n - int64(buffered.Buffered()), fmt.Errorf("write proving key of %s: %w", k.Circuit(), err)
	}
	return n, nil
}

// ReadKeys reads the proving key that belongs to p, as [Keys.WriteTo] wrote it.
// It reads no more than the circuit's key can need, compares the digest before
// it looks inside, then checks every length and every point: a point off the
// curve could leak the witness through the proof.
func ReadKeys(p Published, r io.Reader) (*Keys, error) {
	system, err := compile(p.Circuit)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k, err := readKeys(p, system, r, (*groth16.ProvingKey).ReadFrom)
	if err != nil {
		return nil, fmt.Errorf("read keys of %s: %w", p.Circuit, err)
	}
	return k, nil
}

func readKeys(p Published, system compiled, r io.Reader, decode func(*groth16.ProvingKey, io.Reader) (int64, error)) (*Keys, error) {
	vk, err := verifier.ParseKey(p.Circuit, p.VerifyingKey)
	if err != nil {
		return nil, err
	}
	layout := newLayout(system.R1CS)
	raw, err := io.ReadAll(io.LimitReader(r, layout.maxSize()+1))
	if err != nil {
		return nil, fmt.Errorf("proving key: %w", err)
	}
	if got := message.Sum(raw); got != p.ProvingDigest {
		return nil, fmt.Errorf("proving key: %w: digest of %d bytes is %s, not %s", ErrKeys, len(raw), got, p.ProvingDigest)
	}
	pk, err := layout.parse(raw, decode)
	if err != nil {
		return nil, fmt.Errorf("proving key: %w", err)
	}
	return &Keys{p, system, pk, int64(len(raw)), vk}, nil
}
