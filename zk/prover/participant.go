package prover

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// ParticipantConfig configures a [Participant]. Keys that are missing leave out
// their proofs.
type ParticipantConfig struct {
	Enrollment, Eligibility, Quiz, Custody *Keys

	// Parallel is how many proofs are made at once, 1 to 64. Defaults to 1.
	Parallel int
}

// Participant makes the proofs about one person or one parcel. It is safe for
// concurrent use.
type Participant struct {
	cfg ParticipantConfig
	turns
}

// NewParticipant returns a Participant; it starts nothing.
func NewParticipant(cfg ParticipantConfig) (*Participant, error) {
	if cfg.Parallel == 0 {
		cfg.Parallel = 1
	}
	if cfg.Parallel < 1 || cfg.Parallel > 64 {
		return nil, fmt.Errorf("prover: %d proofs at once, 1 to 64 can be", cfg.Parallel)
	}
	for _, k := range []struct {
		keys *Keys
		is   func(circuits.Circuit) bool
		kind string
	}{
		{cfg.Enrollment, circuits.Circuit.IsEnrollment, "enrollment"},
		{cfg.Eligibility, circuits.Circuit.IsEligibility, "eligibility"},
		{cfg.Quiz, circuits.Circuit.IsQuiz, "quiz"},
		{cfg.Custody, circuits.Circuit.IsCustody, "custody"},
	} {
		if k.keys != nil && !k.is(k.keys.Circuit()) {
			return nil, fmt.Errorf("prover: %s is no %s circuit", k.keys.Circuit(), k.kind)
		}
	}
	return &Participant{cfg, make(turns, cfg.Parallel)}, nil
}

// Enrollment proves that somebody with a consent enrolls, once. Refusal and ctx
// are as in [Prover.Epoch].
func (p *Participant) Enrollment(ctx context.Context, w circuits.EnrollmentWitness) (circuits.EnrollmentProof, error) {
	public, proof, err := prove(ctx, p.turns, p.cfg.Enrollment, "enrollment", w.Assign, (*verifier.Key).VerifyEnrollment)
	return circuits.EnrollmentProof{Public: public, Proof: proof}, err
}

// Eligibility proves that the holder of a credential meets a criterion.
func (p *Participant) Eligibility(ctx context.Context, w circuits.EligibilityWitness) (circuits.EligibilityProof, error) {
	public, proof, err := prove(ctx, p.turns, p.cfg.Eligibility, "eligibility", w.Assign, (*verifier.Key).VerifyEligibility)
	return circuits.EligibilityProof{Public: public, Proof: proof}, err
}

// Quiz proves that a consent was signed and its quiz passed.
func (p *Participant) Quiz(ctx context.Context, w circuits.QuizWitness) (circuits.QuizProof, error) {
	public, proof, err := prove(ctx, p.turns, p.cfg.Quiz, "quiz", w.Assign, (*verifier.Key).VerifyQuiz)
	return circuits.QuizProof{Public: public, Proof: proof}, err
}

// Custody proves a hand-over of product.
func (p *Participant) Custody(ctx context.Context, w circuits.CustodyWitness) (circuits.CustodyProof, error) {
	public, proof, err := prove(ctx, p.turns, p.cfg.Custody, "custody", w.Assign, (*verifier.Key).VerifyCustody)
	return circuits.CustodyProof{Public: public, Proof: proof}, err
}
