package peertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/trialmesh/trialmesh/protocol/consent"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Circuit is a registered circuit of the test network.
type Circuit struct{ entry.Circuit }

// Digest is what epochs and accesses name it by.
func (c Circuit) Digest() message.Digest { return message.Sum(c.VerifyingKey) }

// EpochCircuit stands for the epoch circuit of [Shape].
func EpochCircuit() Circuit { return circuit(Shape.Epoch()) }

// AccessCircuit stands for the access circuit of [Shape].
func AccessCircuit() Circuit { return circuit(Shape.Access()) }

func circuit(c circuits.Circuit) Circuit {
	return Circuit{entry.Circuit{Shape: c.String(), VerifyingKey: []byte("key of " + c.String()), Development: true}}
}

// Proofs makes and checks stand-ins for proofs: digests over the circuit and
// the public inputs. Like real ones they cannot be made for a witness that
// breaks a rule, and fit one statement only; unlike real ones anybody can forge
// them.
type Proofs struct{}

func seal(c circuits.Circuit, words []circuits.Element) circuits.Proof {
	h := sha256.New()
	_, _ = h.Write([]byte(c.String()))
	for _, w := range words {
		_, _ = h.Write(w[:])
	}
	var p circuits.Proof
	for i := 0; i < len(p); i += sha256.Size {
		copy(p[i:], h.Sum(nil))
	}
	return p
}

// Epoch makes an epoch proof.
func (Proofs) Epoch(_ context.Context, w circuits.EpochWitness) (circuits.EpochProof, error) {
	public, err := w.Public(Shape.Epoch())
	return circuits.EpochProof{Public: public, Proof: seal(Shape.Epoch(), public.Words())}, err
}

// Access makes an access proof.
func (Proofs) Access(_ context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	public, err := w.Public(Shape.Access())
	return circuits.AccessProof{Public: public, Proof: seal(Shape.Access(), public.Words())}, err
}

var errProof = errors.New("the proof does not fit its statement")

// CheckEpoch checks an epoch as a hub does.
func (Proofs) CheckEpoch(_ entry.Circuit, e consent.Epoch) error {
	for _, s := range e.Shards {
		window, err := circuits.NewWindow(s.From, s.To)
		if err != nil {
			return err
		}
		proof := seal(Shape.Epoch(), circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}.Words())
		if string(proof[:]) != string(s.Proof) {
			return errProof
		}
	}
	return nil
}

// CheckAccess checks an access as a hub does.
func (Proofs) CheckAccess(_ entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error {
	roots := make([]circuits.Element, len(e.Shards))
	for i, s := range e.Shards {
		roots[i] = s.Matrix
	}
	matrix, err := circuits.MatrixDigest(Shape, roots)
	if err != nil {
		return err
	}
	scopes, err := circuits.PackScopes(a.Scopes, Shape.Slots)
	if err != nil {
		return err
	}
	proof := seal(Shape.Access(), circuits.AccessPublic{
		MatrixDigest: matrix, UsedDigest: a.Used, QueryHash: hash, Scopes: scopes, Min: uint32(a.AtLeast),
	}.Words())
	if string(proof[:]) != string(a.Proof) {
		return errProof
	}
	return nil
}

// EpochProof makes the proof of a shard whose roots are made up.
func EpochProof(t testing.TB, s consent.Shard) []byte {
	t.Helper()
	window, err := circuits.NewWindow(s.From, s.To)
	if err != nil {
		t.Fatal(err)
	}
	proof := seal(Shape.Epoch(), circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}.Words())
	return proof[:]
}
