package circuits

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestEnrollmentRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	c := assigned[*enrollmentCircuit](t, tinyEnrollmentCircuit, tinyEnrollment(t))
	refusesAnyChange(t, tinyEnrollmentCircuit, c, "Signal")
}

// agrees reports whether native check and circuit agree on a statement and what
// they say; assign must give values even for one that is not true.
func agrees(t *testing.T, c Circuit, native error, a frontend.Circuit, accepted bool) {
	t.Helper()
	if accepted {
		require.NoError(t, native)
		require.NoError(t, solved(t, c, a))
		return
	}
	require.Error(t, native)
	dishonestly(t, attempt(t, c, a))
}

func attempt(t testing.TB, c Circuit, a frontend.Circuit) func(...solver.Option) error {
	return func(options ...solver.Option) error { return solved(t, c, a, options...) }
}

func TestEnrollmentNeedsAConsentInForce(t *testing.T) {
	t.Parallel()
	now := today.From
	for name, c := range map[string]struct {
		attributes Attributes
		accepted   bool
	}{
		"for this second":    {Attributes{1, Active, now, now + 1}, true},
		"for ever":           {Attributes{1, Active, 0, 1<<32 - 1}, true},
		"starts a second on": {Attributes{1, Active, now + 1, now + 2}, false},
		"just over":          {Attributes{1, Active, now - 1, now}, false},
		"never":              {Attributes{1, Active, 0, 0}, false},
		"reversed":           {Attributes{1, Active, now + 1, now}, false},
		"withdrawn":          {Attributes{1, Withdrawn, 0, 1<<32 - 1}, false},
		"an empty slot":      {Attributes{1, Empty, 0, 1<<32 - 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := enrollmentAt(t, 0, c.attributes)
			p, err := w.public(tinyEnrollmentCircuit)
			agrees(t, tinyEnrollmentCircuit, err, w.assign(p), c.accepted)
		})
	}
}

// Pitfall 2: the grant's digits are the prover's to choose.
func TestEnrollmentRefusesASecondDecomposition(t *testing.T) {
	t.Parallel()
	future, early := wide(consent.Statistics), wide(consent.Statistics)
	future.From = today.From + 30*day
	w := enrollmentAt(t, 0, future)
	p, err := w.public(tinyEnrollmentCircuit)
	require.Error(t, err)
	grant := early.grant()
	claimed := grant.BigInt(new(big.Int))
	forge := func(q *big.Int, inputs, outputs []*big.Int) error {
		if len(outputs) == grantBits {
			return digitsOf(claimed, inputs[0], q, outputs)
		}
		return paysWithTheLastDigit(q, inputs, outputs)
	}
	require.Error(t, solved(t, tinyEnrollmentCircuit, w.assign(p), solver.OverrideHint(hintID(t, "nBits"), forge)))

	t.Run("status 2 as status 1 and a grant of 129 bits", func(t *testing.T) {
		t.Parallel()
		withdrawn := wide(consent.Statistics)
		withdrawn.Status = Withdrawn
		w := enrollmentAt(t, 0, withdrawn)
		p, err := w.public(tinyEnrollmentCircuit)
		require.Error(t, err)
		c := w.assign(p)
		var unit fr.Element
		unit.SetBigInt(statusUnit)
		grant := withdrawn.grant()
		c.Grant = *grant.Add(&grant, &unit)
		dishonestly(t, attempt(t, tinyEnrollmentCircuit, c))
	})
}

// Pitfalls 3 and 13.
func TestEnrollmentRefusesATimeThatWraps(t *testing.T) {
	t.Parallel()
	w := enrollmentAt(t, 0, Attributes{1, Active, 0, 1<<32 - 1})
	for name, time := range map[string]frontend.Variable{
		"below 0": new(big.Int).Sub(fr.Modulus(), big.NewInt(1)), "far below 0": new(big.Int).Sub(fr.Modulus(), big.NewInt(1<<32)),
		"beyond 32 bits": uint64(1 << 32), "the end": uint64(1<<32 - 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assigned[*enrollmentCircuit](t, tinyEnrollmentCircuit, w)
			c.Time = time
			dishonestly(t, attempt(t, tinyEnrollmentCircuit, c))
		})
	}
}

// Pitfall 9: once, across sites, unidentified.
func TestOnePersonHasOneNullifierInATrial(t *testing.T) {
	t.Parallel()
	public := func(w EnrollmentWitness) EnrollmentPublic {
		a, p, err := w.Assign(tinyEnrollmentCircuit)
		require.NoError(t, err)
		require.NoError(t, solved(t, tinyEnrollmentCircuit, a))
		return p
	}
	here, there := public(enrollmentAt(t, 0, wide(1))), public(enrollmentAt(t, 2, wide(2, 3)))
	require.Equal(t, here.Nullifier, there.Nullifier, "another site, consent, blind and slot")
	require.NotEqual(t, here.Root, there.Root)

	elsewhere := enrollmentAt(t, 0, wide(1))
	elsewhere.Trial = secret("trial", 1)
	require.NotEqual(t, here.Nullifier, public(elsewhere).Nullifier)

	other, err := person(1).Nullifier(secret("trial", 0))
	require.NoError(t, err)
	require.NotEqual(t, here.Nullifier, other)
}

func TestPersonSecret(t *testing.T) {
	t.Parallel()
	var output [64]byte
	for _, i := range []int{0, 30, 32, 62} { // both halves count
		changed := output
		changed[i] = 1
		require.NotEqual(t, PersonSecret(output).x, PersonSecret(changed).x, "byte %d", i)
	}
	_, err := Secret{}.Nullifier(Element{})
	require.ErrorIs(t, err, errNoSecret)
	_, err = Secret{}.Commit(Element{})
	require.ErrorIs(t, err, errNoSecret)
	_, err = person(0).Nullifier(modulus())
	require.ErrorIs(t, err, ErrElement)
	_, err = person(0).Commit(modulus())
	require.ErrorIs(t, err, ErrElement)
}

func TestEnrollmentWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*EnrollmentWitness)
		want   string
	}{
		"no secret":        {func(w *EnrollmentWitness) { w.Secret = Secret{} }, "enrollment: identity secret is missing"},
		"another person":   {func(w *EnrollmentWitness) { w.Secret = person(1) }, "enrollment: path does not start here"},
		"another blind":    {func(w *EnrollmentWitness) { w.Blind = Element{} }, "enrollment: path does not start here"},
		"no path":          {func(w *EnrollmentWitness) { w.Path = Path{} }, "enrollment: path has 0 steps, the circuit 2"},
		"signal unreduced": {func(w *EnrollmentWitness) { w.Signal = modulus() }, "enrollment: signal: not a canonical field element"},
		"trial unreduced":  {func(w *EnrollmentWitness) { w.Trial = modulus() }, "enrollment: not a canonical field element"},
		"unknown status":   {func(w *EnrollmentWitness) { w.Attributes.Status = 3 }, "enrollment: status is none of those there are"},
		"too late":         {func(w *EnrollmentWitness) { w.Time++ }, "enrollment: the consent is not in force at that time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyEnrollment(t)
			c.change(&w)
			_, err := w.Public(tinyEnrollmentCircuit)
			require.EqualError(t, err, c.want)
			_, _, err = w.Assign(tinyEnrollmentCircuit)
			require.EqualError(t, err, c.want)
		})
	}
	_, err := tinyEnrollment(t).Public(tinyQuizCircuit)
	require.EqualError(t, err, "enrollment: circuit quiz-3 is of another kind")
	_, err = tinyEnrollment(t).Public(Enrollment(17))
	require.EqualError(t, err, "enrollment: circuit enrollment-17: size 1 is not 1 to 16")
}
