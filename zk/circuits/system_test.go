package circuits

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/constraint"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// Pitfall 10: an input in no constraint can be exchanged in a finished proof.
func TestEveryInputIsInAConstraint(t *testing.T) {
	t.Parallel()
	for _, c := range tinyCircuits {
		system, err := c.Compile()
		require.NoError(t, err)
		_, secret, public := system.GetNbVariables()
		require.Equal(t, c.Inputs()+1, public, "%s: public inputs and the constant 1", c)
		used := usedWires(system)
		for wire := range public + secret {
			require.True(t, used[wire], "%s: input wire %d is in no constraint", c, wire)
		}
	}
}

func usedWires(system *cs.R1CS) map[int]bool {
	used := map[int]bool{}
	for it := system.GetR1CIterator(); ; {
		r1c := it.Next()
		if r1c == nil {
			return used
		}
		for _, side := range [...]constraint.LinearExpression{r1c.L, r1c.R, r1c.O} {
			for _, term := range side {
				if !system.Coefficients[term.CID].IsZero() {
					used[int(term.VID)] = true
				}
			}
		}
	}
}

// Commitments in circuits cost gas, broke zero knowledge in earlier releases
// and cannot be verified by snarkjs; a range-check gadget would add one.
func TestCircuitsUseNoCommitments(t *testing.T) {
	t.Parallel()
	for _, c := range tinyCircuits {
		system, err := c.Compile()
		require.NoError(t, err)
		require.Empty(t, system.CommitmentInfo)
	}
}

func TestDigestTellsCircuitsApart(t *testing.T) {
	t.Parallel()
	compiled, err := systems()
	require.NoError(t, err)
	again, err := tiny.Access().compile()
	require.NoError(t, err)
	require.Equal(t, Digest(compiled[1]), Digest(again), "compiling is deterministic")

	seen := map[string]string{}
	for _, c := range []Circuit{
		Shape{4, 1, 1}.Access(), Shape{4, 2, 1}.Access(), Shape{4, 1, 2}.Access(), Shape{16, 1, 1}.Access(),
	} {
		system, err := c.Compile()
		require.NoError(t, err)
		digest := Digest(system).String()
		require.Empty(t, seen[digest], "%s", c)
		seen[digest] = c.String()
	}
}

// A shard of more than 248 records packs its bitmaps into two words.
func TestAccessCircuitAgreesWithNativeCodeOverSeveralWords(t *testing.T) {
	t.Parallel()
	shape := Shape{ShardSize: 256, Shards: 1, Slots: 1}
	var attributes []Attributes
	for i := range shape.ShardSize {
		a := wide(consent.Conditions)
		if i%3 == 0 {
			a.Status = Withdrawn
		}
		attributes = append(attributes, a)
	}
	assignment, _, err := AccessWitness{
		Shards: []ShardUse{{epochOf(t, today, attributes...), []int{1, 247, 248, 250}, secret("used", 0)}},
		Need:   consent.MaskOf(consent.Conditions), Min: 4, QueryHash: secret("question", 0),
	}.Assign(shape.Access())
	require.NoError(t, err)
	system, err := shape.Access().Compile()
	require.NoError(t, err)
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(t, err)
	_, err = system.Solve(witness)
	require.NoError(t, err)
}

// The figures of DESIGN.md. A change here is a change of every key.
func TestConstraintCounts(t *testing.T) {
	t.Parallel()
	system, err := epoch64()
	require.NoError(t, err)
	require.Equal(t, 61941, system.GetNbConstraints())
	system, err = Shape{64, 2, 4}.Access().Compile()
	require.NoError(t, err)
	require.Equal(t, 10449, system.GetNbConstraints())
	for c, want := range map[Circuit]int{
		Shape{64, 2, 4}.Cover(): 10575,
		tinyTally.Aggregate():   7065,
		tinyTally.Release():     5173,
		tinyNoise.Noise():       16166,
	} {
		system, err = c.Compile()
		require.NoError(t, err)
		require.Equal(t, want, system.GetNbConstraints(), c)
	}
}
