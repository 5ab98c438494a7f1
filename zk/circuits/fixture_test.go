package circuits

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// tiny is the smallest shape in which everything happens: two shards, a slot
// too many, an empty record.
var tiny = Shape{ShardSize: 4, Shards: 2, Slots: 2}

// tinyCircuits are of every kind.
var tinyCircuits = []Circuit{
	tiny.Epoch(), tiny.Access(), tiny.Cover(), tinyTally.Aggregate(), tinyTally.Release(), tinyNoise.Noise(),
}

func systems() (systems [2]*cs.R1CS, err error) {
	if systems[0], err = tiny.Epoch().Compile(); err != nil {
		return systems, err
	}
	systems[1], err = tiny.Access().Compile()
	return systems, err
}

// epoch64 is the demonstration's epoch circuit.
func epoch64() (*cs.R1CS, error) { return Shape{ShardSize: 64}.Epoch().Compile() }

// secret returns a value that looks like a salt or blind, the same each time.
func secret(label string, i int) Element {
	return Truncate(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), uint64(i))))
}

const day = 86400

// epochOf builds a shard from attributes; participants and salts are invented.
func epochOf(t testing.TB, w Window, attributes ...Attributes) EpochWitness {
	t.Helper()
	epoch := EpochWitness{Window: w}
	for j := range epoch.Salts {
		epoch.Salts[j] = secret("salt", j)
	}
	for i, a := range attributes {
		pc, err := CommitParticipant(secret("participant", i), secret("blind", i))
		require.NoError(t, err)
		epoch.Consents = append(epoch.Consents, Consent{pc, a})
	}
	return epoch
}

// today is the window of the fixtures.
var today = Window{From: 20000 * day, To: 20001 * day}

// wide is in force around today, for the given scopes.
func wide(scopes ...consent.Scope) Attributes {
	return Attributes{Mask: consent.MaskOf(scopes...), Status: Active, From: today.From - 30*day, To: today.To + 30*day}
}

// tinyEpoch has three records: permitted, withdrawn, permitted for less.
func tinyEpoch(t testing.TB) EpochWitness {
	withdrawn := wide(consent.Conditions, consent.Statistics)
	withdrawn.Status = Withdrawn
	return epochOf(t, today, wide(consent.Conditions, consent.Statistics), withdrawn, wide(consent.Statistics))
}

// tinyAccess uses the one record that is permitted for both scopes.
func tinyAccess(t testing.TB) AccessWitness {
	return AccessWitness{
		Shards:    []ShardUse{{Epoch: tinyEpoch(t), Used: []int{0}, Salt: secret("used", 0)}},
		Need:      consent.MaskOf(consent.Conditions, consent.Statistics),
		Min:       1,
		QueryHash: secret("question", 0),
	}
}

// solve reports whether the assignment satisfies the compiled circuit.
func solve(t testing.TB, assignment frontend.Circuit, options ...solver.Option) error {
	t.Helper()
	compiled, err := systems()
	require.NoError(t, err)
	system := compiled[0]
	if _, is := assignment.(*accessCircuit); is {
		system = compiled[1]
	}
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(t, err)
	_, err = system.Solve(witness, options...)
	return err
}

func assignEpoch(t testing.TB, w EpochWitness) *epochCircuit {
	t.Helper()
	a, _, err := w.Assign(tiny.Epoch())
	require.NoError(t, err)
	return a.(*epochCircuit)
}

func assignAccess(t testing.TB, w AccessWitness) *accessCircuit {
	t.Helper()
	a, _, err := w.Assign(tiny.Access())
	require.NoError(t, err)
	return a.(*accessCircuit)
}
