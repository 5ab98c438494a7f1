package evidence

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// Proofs verifies zero-knowledge proofs against public documents. The hub's
// state machine and every later reader use it, and so judge alike. The zero
// Proofs is ready to use, by several goroutines.
type Proofs struct {
	keys sync.Map // digest of a verifying key → *verifier.Key
}

// key returns a circuit's verifying key, parsed once.
func (p *Proofs) key(c entry.Circuit) (*verifier.Key, error) {
	digest := message.Sum(c.VerifyingKey)
	if known, found := p.keys.Load(digest); found {
		return known.(*verifier.Key), nil //nolint:forcetypeassert // nothing else is stored
	}
	circuit, err := circuits.ParseCircuit(c.Shape)
	if err != nil {
		return nil, err
	}
	key, err := verifier.ParseKey(circuit, c.VerifyingKey)
	if err != nil {
		return nil, fmt.Errorf("verifying key of %s: %w", c.Shape, err)
	}
	p.keys.Store(digest, key)
	return key, nil
}

// CheckEpoch verifies the proof of every shard of e.
func (p *Proofs) CheckEpoch(c entry.Circuit, e consent.Epoch) error {
	for i, s := range e.Shards {
		if err := p.CheckShard(c, s); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

// CheckShard verifies the proof of one shard of an epoch.
func (p *Proofs) CheckShard(c entry.Circuit, s consent.Shard) error {
	key, err := p.key(c)
	if err != nil {
		return err
	}
	window, err := circuits.NewWindow(s.From, s.To)
	if err != nil {
		return err
	}
	proof, err := circuits.NewProof(s.Proof)
	if err != nil {
		return err
	}
	return key.VerifyEpoch(circuits.EpochPublic{ShardRoot: s.Root, Window: window, MatrixRoot: s.Matrix}, proof)
}

// CheckAccess verifies a's proof against the epoch it builds on. hash binds it
// to node, question and venue.
func (p *Proofs) CheckAccess(c entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error {
	key, err := p.key(c)
	if err != nil {
		return err
	}
	public, err := AccessPublic(key.Circuit(), a, e, hash)
	if err != nil {
		return err
	}
	proof, err := circuits.NewProof(a.Proof)
	if err != nil {
		return err
	}
	return key.VerifyAccess(public, proof)
}

// AccessPublic returns the public inputs that an access proof must hold for,
// recomputed from public documents.
func AccessPublic(c circuits.Circuit, a query.Access, e consent.Epoch, hash consent.Element) (circuits.AccessPublic, error) {
	roots := make([]circuits.Element, len(e.Shards))
	for i, s := range e.Shards {
		roots[i] = s.Matrix
	}
	matrix, err := circuits.MatrixDigest(c.Shape(), roots)
	if err != nil {
		return circuits.AccessPublic{}, err
	}
	scopes, err := circuits.PackScopes(a.Scopes, c.Shape().Slots)
	if err != nil {
		return circuits.AccessPublic{}, err
	}
	if a.AtLeast < 0 || a.AtLeast > 1<<20 {
		return circuits.AccessPublic{}, fmt.Errorf("access: lower bound is out of range")
	}
	return circuits.AccessPublic{MatrixDigest: matrix, UsedDigest: a.Used, QueryHash: hash, Scopes: scopes, Min: uint32(a.AtLeast)}, nil
}

// CheckResult verifies p against the statement that it must hold for: cover, aggregates and
// release, and all links between them.
func (p *Proofs) CheckResult(by figures.Circuits, proved query.Proved, s figures.Statement) error {
	var keys verifier.ResultKeys
	for _, k := range []struct {
		circuit entry.Circuit
		to      **verifier.Key
	}{{by.Cover, &keys.Cover}, {by.Aggregate, &keys.Aggregate}, {by.Release, &keys.Release}} {
		key, err := p.key(k.circuit)
		if err != nil {
			return err
		}
		*k.to = key
	}
	question, result, err := s.Check(keys.Cover.Circuit().Shape(), keys.Aggregate.Circuit().Tally(), proved)
	if err != nil {
		return err
	}
	return keys.Verify(question, result)
}

// CheckEnrollment verifies the proof of an enrollment in the network of a hub.
func (p *Proofs) CheckEnrollment(c entry.Circuit, e enrollment.Enrollment, network identity.DID) error {
	key, err := p.key(c)
	if err != nil {
		return err
	}
	public, err := EnrollmentPublic(e, network)
	if err != nil {
		return err
	}
	proof, err := circuits.NewProof(e.Proof)
	if err != nil {
		return err
	}
	return key.VerifyEnrollment(public, proof)
}

// EnrollmentPublic returns the public inputs that an enrollment proof must hold for.
func EnrollmentPublic(e enrollment.Enrollment, network identity.DID) (circuits.EnrollmentPublic, error) {
	signal, err := e.Signal()
	if at := e.Time.Unix(); at < 0 || at > math.MaxUint32 {
		err = errors.Join(err, errors.New("enrollment: time is out of range"))
	}
	return circuits.EnrollmentPublic{
		Root: e.Root, Trial: enrollment.TrialElement(network, e.Trial), Nullifier: e.Nullifier, Signal: signal, Time: uint32(e.Time.Unix()),
	}, err
}
