package prover

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// The signal is in no constraint but its own: this is what holds it.
func TestEnrollmentProofHoldsForItsStatementOnly(t *testing.T) {
	t.Parallel()
	p := participantOf(t, circuits.Enrollment(2))
	e, err := p.Enrollment(t.Context(), enrollment(t, 2, 4))
	require.NoError(t, err)
	key := p.cfg.Enrollment.Verifying()
	require.NoError(t, key.VerifyEnrollment(e.Public, e.Proof))
	for name, change := range map[string]func(*circuits.EnrollmentPublic){
		"another payload": func(p *circuits.EnrollmentPublic) { p.Signal = secret("signal", 1) },
		"another trial":   func(p *circuits.EnrollmentPublic) { p.Trial = secret("trial", 1) },
		"another person":  func(p *circuits.EnrollmentPublic) { p.Nullifier = secret("nullifier", 0) },
		"another root":    func(p *circuits.EnrollmentPublic) { p.Root = secret("root", 0) },
		"a second later":  func(p *circuits.EnrollmentPublic) { p.Time++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public := e.Public
			change(&public)
			require.ErrorIs(t, key.VerifyEnrollment(public, e.Proof), verifier.ErrInvalid)
		})
	}
}

func TestParticipantRefuses(t *testing.T) {
	t.Parallel()
	p := participantOf(t, circuits.Enrollment(2))
	late := enrollment(t, 2, 4)
	late.Time = late.Attributes.To
	_, err := p.Enrollment(t.Context(), late)
	require.EqualError(t, err, "prove enrollment: the consent is not in force at that time")

	for kind, prove := range map[string]func(context.Context) error{
		"eligibility": func(ctx context.Context) error { _, err := p.Eligibility(ctx, eligibility(t, 1)); return err },
		"quiz":        func(ctx context.Context) error { _, err := p.Quiz(ctx, quiz(t, 3)); return err },
		"custody":     func(ctx context.Context) error { _, err := p.Custody(ctx, custody(t, 1, 1, 2)); return err },
	} {
		require.EqualError(t, prove(t.Context()), "prove "+kind+": this prover has no keys for it")
	}

	_, err = NewParticipant(ParticipantConfig{Parallel: 65})
	require.EqualError(t, err, "prover: 65 proofs at once, 1 to 64 can be")
	_, err = NewParticipant(ParticipantConfig{Quiz: p.cfg.Enrollment})
	require.EqualError(t, err, "prover: enrollment-2 is no quiz circuit")
}

// TestWriteParticipantVectors makes the proofs that zk/verifier is tested with.
// It needs -update because setups and proofs are random.
func TestWriteParticipantVectors(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	p := participantOf(t, circuits.Enrollment(2), circuits.Eligibility(1), circuits.Quiz(3), circuits.Custody(1, 1, 2))
	vectors := map[string]any{}
	record := func(kind string, k *Keys, words []circuits.Element, public any, proof circuits.Proof, err error) {
		require.NoError(t, err)
		vectors[kind] = map[string]any{
			"circuit": k.Circuit(), "verifyingKey": hex.EncodeToString(k.verifying.EVM()),
			"public": public, "words": words, "proof": proof,
		}
	}
	n, err := p.Enrollment(t.Context(), enrollment(t, 2, 4))
	record("enrollment", p.cfg.Enrollment, n.Public.Words(), n.Public, n.Proof, err)
	e, err := p.Eligibility(t.Context(), eligibility(t, 1))
	record("eligibility", p.cfg.Eligibility, e.Public.Words(), e.Public, e.Proof, err)
	q, err := p.Quiz(t.Context(), quiz(t, 3))
	record("quiz", p.cfg.Quiz, q.Public.Words(), q.Public, q.Proof, err)
	c, err := p.Custody(t.Context(), custody(t, 1, 1, 2))
	record("custody", p.cfg.Custody, c.Public.Words(), c.Public, c.Proof, err)
	raw, err := json.MarshalIndent(vectors, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("../verifier/testdata/participants.json", append(raw, '\n'), 0o600))
}
