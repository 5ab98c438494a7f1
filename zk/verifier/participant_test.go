package verifier

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// recorded is a real proof of a statement P, written by zk/prover's
// TestWriteParticipantVectors.
type recorded[P any] struct {
	Circuit      circuits.Circuit
	VerifyingKey string
	Public       P
	Words        []circuits.Element
	Proof        circuits.Proof
}

func (r recorded[P]) key(t testing.TB) *Key { return key(t, r.Circuit, r.VerifyingKey) }

type participants struct {
	Enrollment  recorded[circuits.EnrollmentPublic]
	Eligibility recorded[circuits.EligibilityPublic]
	Quiz        recorded[circuits.QuizPublic]
	Custody     recorded[circuits.CustodyPublic]
}

func readParticipants(t testing.TB) (p participants) {
	t.Helper()
	raw, err := os.ReadFile("testdata/participants.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &p))
	return p
}

func TestRecordedParticipantProofs(t *testing.T) {
	t.Parallel()
	p := readParticipants(t)
	t.Run("enrollment", func(t *testing.T) { t.Parallel(); holds(t, p.Enrollment, (*Key).VerifyEnrollment) })
	t.Run("eligibility", func(t *testing.T) { t.Parallel(); holds(t, p.Eligibility, (*Key).VerifyEligibility) })
	t.Run("quiz", func(t *testing.T) { t.Parallel(); holds(t, p.Quiz, (*Key).VerifyQuiz) })
	t.Run("custody", func(t *testing.T) { t.Parallel(); holds(t, p.Custody, (*Key).VerifyCustody) })

	for kind, verify := range map[string]error{
		"enrollment":  p.Quiz.key(t).VerifyEnrollment(p.Enrollment.Public, p.Enrollment.Proof),
		"eligibility": p.Quiz.key(t).VerifyEligibility(p.Eligibility.Public, p.Eligibility.Proof),
		"custody":     p.Quiz.key(t).VerifyCustody(p.Custody.Public, p.Custody.Proof),
	} {
		require.EqualError(t, verify, "verify "+kind+": the key is of circuit quiz-3")
	}
	require.EqualError(t, p.Custody.key(t).VerifyQuiz(p.Quiz.Public, p.Quiz.Proof), "verify quiz: the key is of circuit custody-1x1x2")
}

// holds checks that a proof verifies for its statement, with every word of it.
func holds[P interface{ Words() []circuits.Element }](t *testing.T, r recorded[P], verify func(*Key, P, circuits.Proof) error) {
	t.Helper()
	k := r.key(t)
	require.NoError(t, verify(k, r.Public, r.Proof))
	require.Equal(t, r.Words, r.Public.Words())
	require.Len(t, r.Words, k.Inputs())
	for i := range r.Words {
		words := r.Public.Words()
		words[i][31] ^= 1
		require.ErrorIs(t, k.verify(words, r.Proof), ErrInvalid, "input %d", i)
	}
}
