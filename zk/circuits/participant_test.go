package circuits

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParticipantCircuitNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Circuit{
		"enrollment-12": Enrollment(12), "eligibility-5": Eligibility(5), "quiz-62": Quiz(62), "custody-12x5x8": Custody(12, 5, 8),
	} {
		c, err := ParseCircuit(name)
		require.NoError(t, err)
		require.Equal(t, want, c)
		require.Equal(t, name, c.String())
	}
	for _, name := range []string{
		"enrollment", "enrollment-", "enrollment-0", "enrollment-17", "enrollment-012", "enrollment-1x2", "eligibility-0", "quiz-0", "quiz-63", "quiz-20x1",
		"custody-12x5", "custody-12x5x0", "custody-12x5x16", "custody-0x5x8", "custody-12x17x8", "custody-12x5x8x1", "Quiz-20", "quiz-20 ",
	} {
		_, err := ParseCircuit(name)
		require.Error(t, err, "%q", name)
	}
	require.Equal(t, []bool{true, false, false, false}, kinds(Enrollment(1)))
	require.Equal(t, []bool{false, true, false, false}, kinds(Eligibility(1)))
	require.Equal(t, []bool{false, false, true, false}, kinds(Quiz(1)))
	require.Equal(t, []bool{false, false, false, true}, kinds(Custody(1, 1, 1)))
}

func kinds(c Circuit) []bool {
	return []bool{c.IsEnrollment(), c.IsEligibility(), c.IsQuiz(), c.IsCustody()}
}

// The figures of DESIGN.md, and of the bar that Semaphore v4 sets: 6,431. A
// change here is a change of every key.
func TestParticipantCircuits(t *testing.T) {
	t.Parallel()
	for c, want := range map[Circuit]int{Enrollment(12): 4231, Eligibility(5): 10234, Quiz(20): 8746, Custody(12, 5, 8): 21408} {
		system, err := c.Compile()
		require.NoError(t, err)
		require.Equal(t, want, system.GetNbConstraints(), c.String())
		require.Empty(t, system.CommitmentInfo)
		_, secret, public := system.GetNbVariables()
		require.Equal(t, c.Inputs()+1, public, "%s: public inputs and the constant 1", c)
		used := usedWires(system)
		for wire := range public + secret {
			require.True(t, used[wire], "%s: input wire %d is in no constraint", c, wire)
		}
	}
}

func TestParticipantStatementsAsJSON(t *testing.T) {
	t.Parallel()
	roundTrip(t, must(tinyEnrollment(t).Public(tinyEnrollmentCircuit)))
	roundTrip(t, must(tinyEligibility(t).Public(tinyEligibilityCircuit)))
	roundTrip(t, must(tinyQuiz(t).Public(tinyQuizCircuit)))
	roundTrip(t, must(tinyCustody(t).Public(tinyCustodyCircuit)))
	roundTrip(t, tinyCustody(t).Gave)
	roundTrip(t, signingKey(t, 0).Public())
}

func roundTrip[T any](t *testing.T, v T) {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	var back T
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, v, back)
}

func TestParticipantWitnessesNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	quiz, custody, eligibility := tinyQuiz(t), tinyCustody(t), tinyEligibility(t)
	for _, v := range []any{
		tinyEnrollment(t), tinyEnrollment(t).Path, person(0), signingKey(t, 0),
		eligibility, eligibility.Credential, quiz, quiz.Answers, custody, custody.Spent,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, "witness:redacted", fmt.Sprintf(verb, v), "%T", v)
		}
		_, err := json.Marshal(v)
		require.ErrorContains(t, err, "must not leave whoever proves it", "%T", v)
	}
}
