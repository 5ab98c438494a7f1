package verifier

import (
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// ErrInvalid reports a proof that does not hold for the expected statement. It
// cannot tell which of the two is wrong.
var ErrInvalid = errors.New("the proof does not hold for this statement")

// VerifyEpoch checks an epoch proof. The caller recomputes expected from the
// ledger: roots as logged before, and the window it accepts.
func (k *Key) VerifyEpoch(expected circuits.EpochPublic, proof circuits.Proof) error {
	return k.verifyOf("epoch", k.circuit.IsEpoch(), expected.Words(), proof)
}

// VerifyAccess checks an access proof. The caller recomputes expected: the
// matrix digest from roots that epochs proved, the scopes and the query hash
// from the question, the minimum from the trial's policy. Whether the question
// lies in the epochs' windows is the caller's to check as well.
func (k *Key) VerifyAccess(expected circuits.AccessPublic, proof circuits.Proof) error {
	return k.verifyOf("access", k.circuit.IsAccess(), expected.Words(), proof)
}

// VerifyCover checks a cover proof; expected is that of [Key.VerifyAccess].
func (k *Key) VerifyCover(expected circuits.AccessPublic, proof circuits.Proof) error {
	return k.verifyOf("cover", k.circuit.IsCover(), expected.Words(), proof)
}

// VerifyAggregate checks an aggregate proof. [ResultKeys.Verify] recomputes expected.
func (k *Key) VerifyAggregate(expected circuits.AggregatePublic, proof circuits.Proof) error {
	return k.verifyOf("aggregate", k.circuit.IsAggregate(), expected.Words(), proof)
}

// VerifyRelease checks a release proof, with noise or without. [ResultKeys.Verify]
// recomputes expected.
func (k *Key) VerifyRelease(expected circuits.ReleasePublic, proof circuits.Proof) error {
	words := expected.Words()
	return k.verifyOf("release", k.circuit.IsRelease() && len(words) == k.Inputs(), words, proof)
}

// VerifyEnrollment checks an enrollment. The caller recomputes expected: the root
// from shard roots on the ledger, the signal from what is enrolled with, and a
// time that it accepts. Whether the nullifier is new in the trial is the caller's
// to check, and to remember.
func (k *Key) VerifyEnrollment(expected circuits.EnrollmentPublic, proof circuits.Proof) error {
	return k.verifyOf("enrollment", k.circuit.IsEnrollment(), expected.Words(), proof)
}

// VerifyEligibility checks a proof of eligibility. The caller recomputes expected:
// the criterion's digest and the issuers from the trial's design, the day, and
// the nullifier from the person's enrollment.
func (k *Key) VerifyEligibility(expected circuits.EligibilityPublic, proof circuits.Proof) error {
	return k.verifyOf("eligibility", k.circuit.IsEligibility(), expected.Words(), proof)
}

// VerifyQuiz checks a consent with its quiz. The caller takes document, answer
// key and pass mark from the trial's design and the leaf from the ledger.
func (k *Key) VerifyQuiz(expected circuits.QuizPublic, proof circuits.Proof) error {
	return k.verifyOf("quiz", k.circuit.IsQuiz(), expected.Words(), proof)
}

// VerifyCustody checks a hand-over. The caller takes keepers and temperatures
// from the trial's design and the notes' root from the ledger. Whether nullifier
// and notes are new is the caller's to check, and to remember.
func (k *Key) VerifyCustody(expected circuits.CustodyPublic, proof circuits.Proof) error {
	return k.verifyOf("custody", k.circuit.IsCustody(), expected.Words(), proof)
}

// verifyOf is verify of a statement, unless the key is not one of its kind.
func (k *Key) verifyOf(kind string, is bool, words []circuits.Element, proof circuits.Proof) error {
	if !is {
		return fmt.Errorf("verify %s: the key is of circuit %s", kind, k.circuit)
	}
	return k.verify(words, proof)
}

func (k *Key) verify(words []circuits.Element, proof circuits.Proof) error {
	public := make(fr.Vector, len(words))
	for i, word := range words {
		if err := public[i].SetBytesCanonical(word[:]); err != nil {
			return fmt.Errorf("verify %s: public input %d: %w", k.circuit, i, circuits.ErrElement)
		}
	}
	decoded, err := decodeProof(proof)
	if err != nil {
		return fmt.Errorf("verify %s: %w: %w", k.circuit, ErrInvalid, err)
	}
	option := solidity.WithVerifierTargetSolidityVerifier(backend.GROTH16)
	if err := groth16.Verify(decoded, &k.vk, public, option); err != nil {
		return fmt.Errorf("verify %s: %w", k.circuit, ErrInvalid)
	}
	return nil
}

func decodeProof(proof circuits.Proof) (*groth16.Proof, error) {
	r := pointReader{rest: proof[:]}
	p := &groth16.Proof{Ar: r.g1(), Bs: r.g2(), Krs: r.g1()}
	return p, r.err
}
