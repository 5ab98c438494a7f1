package circuits

import (
	"fmt"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// solveAs reports whether the assignment satisfies a circuit.
func solveAs(t testing.TB, c Circuit, assignment frontend.Circuit, options ...solver.Option) error {
	t.Helper()
	system, err := c.Compile()
	require.NoError(t, err)
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(t, err)
	_, err = system.Solve(witness, options...)
	return err
}

// refuseAnyChange changes every input of an honest assignment in turn. inputs must
// name them all, or none of the test is worth much.
func refuseAnyChange(t *testing.T, c Circuit, assignment frontend.Circuit, inputs map[string]*frontend.Variable, free ...string) {
	t.Helper()
	require.NoError(t, solveAs(t, c, assignment))
	system, err := c.Compile()
	require.NoError(t, err)
	_, secret, public := system.GetNbVariables()
	require.Len(t, inputs, secret+public-1, "every input is changed once")
	for _, name := range free {
		require.Contains(t, inputs, name)
		delete(inputs, name)
	}
	for name, input := range inputs {
		before := *input
		*input = other(before)
		require.Error(t, solveAs(t, c, assignment), name)
		*input = before
	}
	require.NoError(t, solveAs(t, c, assignment))
}

func assignCover(t testing.TB, w AccessWitness) *accessCircuit {
	t.Helper()
	a, _, err := w.Assign(tiny.Cover())
	require.NoError(t, err)
	return a.(*accessCircuit)
}

func (c *accessCircuit) inputs() map[string]*frontend.Variable {
	inputs := map[string]*frontend.Variable{
		"matrix digest": &c.MatrixDigest, "used digest": &c.UsedDigest, "query hash": &c.QueryHash, "scopes": &c.Scopes, "min": &c.Min,
	}
	for k := range c.Shards {
		inputs[fmt.Sprint("salt ", k)] = &c.Shards[k].Salt
		for s := range c.Shards[k].Columns {
			column := &c.Shards[k].Columns[s]
			inputs[fmt.Sprint("column salt ", k, s)] = &column.Salt
			for i := range column.Bits {
				inputs[fmt.Sprint("bit ", k, s, i)] = &column.Bits[i]
			}
			for l := range column.Path {
				for i := range column.Path[l] {
					inputs[fmt.Sprint("path ", k, s, l, i)] = &column.Path[l][i]
				}
			}
		}
	}
	return inputs
}

func TestCoverAcceptsAnHonestWitness(t *testing.T) {
	t.Parallel()
	require.NoError(t, solveAs(t, tiny.Cover(), assignCover(t, tinyAccess(t))))

	both := tinyAccess(t)
	both.Shards = append(both.Shards, ShardUse{Epoch: tinyEpoch(t), Used: []int{0, 2}, Salt: secret("used", 1)})
	both.Need, both.Min = consent.MaskOf(consent.Statistics), 3
	both.Shards[0].Used = []int{0, 2}
	require.NoError(t, solveAs(t, tiny.Cover(), assignCover(t, both)), "two shards, one scope, fewer stated than there are")

	nobody := tinyAccess(t)
	nobody.Shards[0].Epoch = epochOf(t, today)
	nobody.Shards[0].Used, nobody.Min = nil, 0
	require.NoError(t, solveAs(t, tiny.Cover(), assignCover(t, nobody)), "a shard with nobody in it")
}

func TestCoverStatesWhatAnAccessDoes(t *testing.T) {
	t.Parallel()
	cover, err := tinyAccess(t).Public(tiny.Cover())
	require.NoError(t, err)
	access, err := tinyAccess(t).Public(tiny.Access())
	require.NoError(t, err)
	require.Equal(t, access, cover, "one question has one digest of the records used, whichever circuit proves it")
}

func TestCoverRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	c := assignCover(t, tinyAccess(t))
	refuseAnyChange(t, tiny.Cover(), c, c.inputs(), "query hash") // squared: see TestEveryInputIsInAConstraint
}

// Pitfall 4: in a cover a record that is permitted cannot be left out, nor
// another put in.
func TestCoverRefusesADroppedRecord(t *testing.T) {
	t.Parallel()
	for name, used := range map[string][]int{
		"the only one":     {},
		"for another":      {1},
		"and others added": {0, 1},
		"an empty slot":    {0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAccess(t)
			w.Min = 0
			c := assignCover(t, w)
			require.NoError(t, solveAs(t, tiny.Cover(), c))
			commitments := make([]fr.Element, tiny.Shards)
			for k := range commitments {
				bitmap, err := usedBitmap(tiny.ShardSize, nil)
				if k == 0 {
					bitmap, err = usedBitmap(tiny.ShardSize, used)
				}
				require.NoError(t, err)
				commitments[k] = commitBitmap(c.Shards[k].Salt.(fr.Element), bitmap)
			}
			c.UsedDigest = sponge(TagUsedDigest, commitments)
			require.Error(t, solveAs(t, tiny.Cover(), c))
		})
	}
}

// Every scope counts, in whichever slot: a record with all but one is not covered.
func TestCoverUsesNobodyWithoutOneScope(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Shards[0].Epoch = epochOf(t, today, wide(consent.Conditions, consent.Statistics), wide(consent.Conditions), wide(consent.Statistics), wide())
	require.NoError(t, solveAs(t, tiny.Cover(), assignCover(t, w)))
	for _, added := range []int{1, 2, 3} {
		_, err := usedWith(w, added).Public(tiny.Cover())
		require.ErrorContains(t, err, "used without a consent in force")
		c := assignCover(t, w)
		bitmap, err := usedBitmap(tiny.ShardSize, []int{0, added})
		require.NoError(t, err)
		c.UsedDigest = sponge(TagUsedDigest, []fr.Element{
			commitBitmap(c.Shards[0].Salt.(fr.Element), bitmap), commitBitmap(fr.Element{}, make([]bool, tiny.ShardSize)),
		})
		require.Error(t, solveAs(t, tiny.Cover(), c))
	}
}

func usedWith(w AccessWitness, slot int) AccessWitness {
	w.Shards = []ShardUse{{w.Shards[0].Epoch, []int{0, slot}, w.Shards[0].Salt}}
	return w
}

// (2, 0, …) packs like (0, 1, …), and would count twice.
func TestCoverRefusesBitsThatAreNone(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Shards[0].Epoch = epochOf(t, today, wide(), wide(consent.Conditions))
	w.Need, w.Min, w.Shards[0].Used = consent.MaskOf(consent.Conditions), 0, []int{1}
	c := assignCover(t, w)
	require.NoError(t, solveAs(t, tiny.Cover(), c))
	var word fr.Element
	for s := range c.Shards[0].Columns {
		c.Shards[0].Columns[s].Bits[0], c.Shards[0].Columns[s].Bits[1] = 2, 0
	}
	word.SetUint64(4) // the product of both slots: 2·2 records in slot 0
	empty := commitBitmap(fr.Element{}, make([]bool, tiny.ShardSize))
	c.UsedDigest = sponge(TagUsedDigest, []fr.Element{sponge(TagBitmap, []fr.Element{c.Shards[0].Salt.(fr.Element), word}), empty})
	require.Error(t, solveAs(t, tiny.Cover(), c))
}

func TestCoverRefusesColumnsOfAnotherEpoch(t *testing.T) {
	t.Parallel()
	after := tinyAccess(t) // the first participant has withdrawn since
	after.Shards[0].Epoch.Consents[0].Attributes.Status = Withdrawn
	after.Shards[0].Used, after.Min = nil, 0
	now := assignCover(t, after)
	stale := assignCover(t, tinyAccess(t))
	stale.MatrixDigest = now.MatrixDigest
	require.Error(t, solveAs(t, tiny.Cover(), stale), "all columns of the old epoch")
	mixed := assignCover(t, tinyAccess(t))
	mixed.Shards[0].Columns[1] = now.Shards[0].Columns[1]
	require.Error(t, solveAs(t, tiny.Cover(), mixed), "one column of each")
}

func TestCoverWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	dropped := tinyAccess(t)
	dropped.Shards[0].Used, dropped.Min = nil, 0
	_, err := dropped.Public(tiny.Access())
	require.NoError(t, err, "an access may leave a record out")
	_, err = dropped.Public(tiny.Cover())
	require.EqualError(t, err, "access: shard 0: record 0: permitted but not used")

	without := tinyAccess(t)
	without.Shards[0].Used = []int{0, 1}
	_, err = without.Public(tiny.Cover())
	require.EqualError(t, err, "access: shard 0: record 1: used without a consent in force for scope 1")
}
