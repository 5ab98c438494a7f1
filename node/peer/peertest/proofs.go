package peertest

import (
	"context"
	"testing"

	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/prover"
	"github.com/trialmesh/trialmesh/zk/standin"
	"github.com/trialmesh/trialmesh/zk/verifier"
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

// Proofs makes and checks stand-ins for proofs of [Shape].
type Proofs struct{}

func standIns() standin.Proofs { return standin.Proofs{Shape: Shape} }

// Epoch makes an epoch proof.
func (Proofs) Epoch(ctx context.Context, w circuits.EpochWitness) (circuits.EpochProof, error) {
	return standIns().Epoch(ctx, w)
}

// Access makes an access proof.
func (Proofs) Access(ctx context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	return standIns().Access(ctx, w)
}

// Result makes the proofs of a result.
func (Proofs) Result(ctx context.Context, w prover.ResultWitness) (verifier.Result, error) {
	return standIns().Result(ctx, w)
}

// CheckResult checks a result as a hub does.
func (Proofs) CheckResult(by figures.Circuits, p query.Proved, s figures.Statement) error {
	return standIns().CheckResult(by, p, s)
}

// ResultCircuits stand for the circuits behind results of [Shape].
func ResultCircuits() (list [3]Circuit) {
	for i, c := range Shape.Results() {
		list[i] = circuit(c)
	}
	return list
}

func results() *peer.Results {
	c := ResultCircuits()
	return &peer.Results{Prover: Proofs{}, Circuits: Shape.Results(), Keys: query.ProvedBy{Cover: c[0].Digest(), Aggregate: c[1].Digest(), Release: c[2].Digest()}}
}

// CheckEpoch checks an epoch as a hub does.
func (Proofs) CheckEpoch(c entry.Circuit, e consent.Epoch) error { return standIns().CheckEpoch(c, e) }

// CheckAccess checks an access as a hub does.
func (Proofs) CheckAccess(c entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error {
	return standIns().CheckAccess(c, a, e, hash)
}

// CheckEnrollment checks an enrollment as a hub does.
func (Proofs) CheckEnrollment(c entry.Circuit, e enrollment.Enrollment, network identity.DID) error {
	return standIns().CheckEnrollment(c, e, network)
}

// EpochProof makes the proof of a shard whose roots are made up.
func EpochProof(t testing.TB, s consent.Shard) []byte {
	t.Helper()
	window, err := circuits.NewWindow(s.From, s.To)
	if err != nil {
		t.Fatal(err)
	}
	proof := standin.Seal(Shape.Epoch(), circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}.Words())
	return proof[:]
}
