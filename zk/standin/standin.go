// Package standin makes stand-ins for proofs: digests over the circuit and the public inputs.
//
// [Proofs] makes and checks them. Like real proofs they cannot be made for a witness that
// breaks a rule, and fit one statement only; unlike real ones anybody can forge them, and they
// take no time. They are for tests, and for simulations of networks in which proofs are
// not what is asked about; hubs and nodes of operators have no way to configure them.
package standin

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/prover"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Proofs makes and checks stand-ins for proofs of the circuits of one shape.
type Proofs struct{ Shape circuits.Shape }

// Seal is the stand-in for a proof of c with the given public inputs.
func Seal(c circuits.Circuit, words []circuits.Element) circuits.Proof {
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
func (p Proofs) Epoch(_ context.Context, w circuits.EpochWitness) (circuits.EpochProof, error) {
	public, err := w.Public(p.Shape.Epoch())
	return circuits.EpochProof{Public: public, Proof: Seal(p.Shape.Epoch(), public.Words())}, err
}

// Access makes an access proof.
func (p Proofs) Access(_ context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	public, err := w.Public(p.Shape.Access())
	return circuits.AccessProof{Public: public, Proof: Seal(p.Shape.Access(), public.Words())}, err
}

var errProof = errors.New("the proof does not fit its statement")

// CheckEpoch checks an epoch as a hub does.
func (p Proofs) CheckEpoch(_ entry.Circuit, e consent.Epoch) error {
	for _, s := range e.Shards {
		window, err := circuits.NewWindow(s.From, s.To)
		if err != nil {
			return err
		}
		proof := Seal(p.Shape.Epoch(), circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}.Words())
		if string(proof[:]) != string(s.Proof) {
			return errProof
		}
	}
	return nil
}

// CheckAccess checks an access as a hub does.
func (p Proofs) CheckAccess(_ entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error {
	roots := make([]circuits.Element, len(e.Shards))
	for i, s := range e.Shards {
		roots[i] = s.Matrix
	}
	matrix, err := circuits.MatrixDigest(p.Shape, roots)
	if err != nil {
		return err
	}
	scopes, err := circuits.PackScopes(a.Scopes, p.Shape.Slots)
	if err != nil {
		return err
	}
	proof := Seal(p.Shape.Access(), circuits.AccessPublic{
		MatrixDigest: matrix, UsedDigest: a.Used, QueryHash: hash, Scopes: scopes, Min: uint32(a.AtLeast),
	}.Words())
	if string(proof[:]) != string(a.Proof) {
		return errProof
	}
	return nil
}

// Cover makes a stand-in for the proof that exactly the permitted records were used.
func (p Proofs) Cover(_ context.Context, w circuits.AccessWitness) (circuits.AccessProof, error) {
	public, err := w.Public(p.Shape.Cover())
	return circuits.AccessProof{Public: public, Proof: Seal(p.Shape.Cover(), public.Words())}, err
}

// Aggregate makes a stand-in for the proof of a shard's totals.
func (p Proofs) Aggregate(_ context.Context, w circuits.AggregateWitness) (circuits.AggregateProof, error) {
	c := p.Shape.Tally().Aggregate()
	public, err := w.Public(c)
	return circuits.AggregateProof{Public: public, Proof: Seal(c, public.Words())}, err
}

// Release makes a stand-in for the proof of figures.
func (p Proofs) Release(_ context.Context, w circuits.ReleaseWitness) (circuits.ReleaseProof, error) {
	c := p.Shape.Tally().Release()
	public, err := w.Public(c)
	return circuits.ReleaseProof{Public: public, Proof: Seal(c, public.Words())}, err
}

// Result makes stand-ins for all proofs of a result.
func (p Proofs) Result(ctx context.Context, w prover.ResultWitness) (verifier.Result, error) {
	return prover.ResultBy(ctx, p, p.Shape.Tally().Aggregate(), w)
}

// CheckResult reports whether the stand-ins fit what they have to be about.
func (p Proofs) CheckResult(_ figures.Circuits, proved query.Proved, s figures.Statement) error {
	question, result, err := s.Check(p.Shape, p.Shape.Tally(), proved)
	if err != nil {
		return err
	}
	of := p.Shape.Results()
	public, err := question.Statements(of, result)
	if err != nil {
		return err
	}
	good := Seal(of[0], public.Cover.Words()) == result.Cover && Seal(of[2], public.Release.Words()) == result.Release
	for i, a := range public.Aggregates {
		good = good && Seal(of[1], a.Words()) == result.Aggregates[i]
	}
	if !good {
		return errProof
	}
	return nil
}

// Enrollment makes an enrollment proof.
func (Proofs) Enrollment(_ context.Context, w circuits.EnrollmentWitness) (circuits.EnrollmentProof, error) {
	c := circuits.Enrollment(circuits.TreeDepth)
	public, err := w.Public(c)
	return circuits.EnrollmentProof{Public: public, Proof: Seal(c, public.Words())}, err
}

// CheckEnrollment checks an enrollment as a hub does.
func (Proofs) CheckEnrollment(_ entry.Circuit, e enrollment.Enrollment, network identity.DID) error {
	signal, err := e.Signal()
	if err != nil {
		return err
	}
	proof := Seal(circuits.Enrollment(circuits.TreeDepth), circuits.EnrollmentPublic{
		Root: e.Root, Trial: enrollment.TrialElement(network, e.Trial), Nullifier: e.Nullifier, Signal: signal, Time: uint32(e.Time.Unix()),
	}.Words())
	if string(proof[:]) != string(e.Proof) {
		return errProof
	}
	return nil
}
