package circuits

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestAccessAcceptsAnHonestWitness(t *testing.T) {
	t.Parallel()
	require.NoError(t, solve(t, assignAccess(t, tinyAccess(t))))

	both := tinyAccess(t)
	both.Shards = append(both.Shards, ShardUse{Epoch: tinyEpoch(t), Used: []int{0, 2}, Salt: secret("used", 1)})
	both.Need, both.Min = consent.MaskOf(consent.Statistics), 3
	require.NoError(t, solve(t, assignAccess(t, both)), "two shards, one scope, as many records as stated")

	none := tinyAccess(t)
	none.Shards[0].Used, none.Min = nil, 0
	require.NoError(t, solve(t, assignAccess(t, none)), "an answer that used nobody")
}

func TestAccessRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	honest := func() *accessCircuit { return assignAccess(t, tinyAccess(t)) }
	changes := map[string]func(*accessCircuit){
		"matrix digest": func(c *accessCircuit) { c.MatrixDigest = other(c.MatrixDigest) },
		"used digest":   func(c *accessCircuit) { c.UsedDigest = other(c.UsedDigest) },
		"scopes":        func(c *accessCircuit) { c.Scopes = other(c.Scopes) },
		"min":           func(c *accessCircuit) { c.Min = other(c.Min) },
	}
	for k, shard := range honest().Shards {
		changes[fmt.Sprintf("shard %d salt", k)] = func(c *accessCircuit) { c.Shards[k].Salt = other(c.Shards[k].Salt) }
		for i := range shard.Used {
			changes[fmt.Sprintf("shard %d used %d", k, i)] = func(c *accessCircuit) { c.Shards[k].Used[i] = flip(c.Shards[k].Used[i]) }
		}
		for s, column := range shard.Columns {
			at := func(c *accessCircuit) *accessColumn { return &c.Shards[k].Columns[s] }
			name := fmt.Sprintf("shard %d column %d", k, s)
			changes[name+" salt"] = func(c *accessCircuit) { at(c).Salt = other(at(c).Salt) }
			for i := range column.Bits {
				changes[fmt.Sprint(name, " bit ", i)] = func(c *accessCircuit) { at(c).Bits[i] = flip(at(c).Bits[i]) }
			}
			for l, children := range column.Path {
				for i := range children {
					changes[fmt.Sprint(name, " path ", l, i)] = func(c *accessCircuit) { at(c).Path[l][i] = other(at(c).Path[l][i]) }
				}
			}
		}
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := honest()
			change(c)
			require.Error(t, solve(t, c))
		})
	}
}

func flip(bit frontend.Variable) frontend.Variable { return 1 - bit.(int) }

// use replaces the used values of one shard by any values at all and keeps the
// published digest true to them.
func (c *accessCircuit) use(t *testing.T, k int, values ...int64) {
	t.Helper()
	commitments := make([]fr.Element, len(c.Shards))
	for n := range c.Shards {
		if n == k {
			for i, v := range values {
				c.Shards[n].Used[i] = v
			}
		}
		var word fr.Element
		for i, v := range c.Shards[n].Used {
			var x fr.Element
			_, err := x.SetInterface(v)
			require.NoError(t, err)
			var weight fr.Element
			weight.SetUint64(1 << i)
			word.Add(&word, x.Mul(&x, &weight))
		}
		salt := c.Shards[n].Salt.(fr.Element)
		commitments[n] = sponge(TagBitmap, []fr.Element{salt, word})
	}
	c.UsedDigest = sponge(TagUsedDigest, commitments)
}

// Pitfall 4: used = 1 without consent must fail. The other direction is open on
// purpose: a node may leave records out, and Min bounds how many.
func TestAccessRefusesARecordWithoutConsent(t *testing.T) {
	t.Parallel()
	for name, used := range map[string][]int64{
		"withdrawn":                  {1, 1, 0, 0},
		"permitted for one scope":    {1, 0, 1, 0},
		"an empty slot":              {1, 0, 0, 1},
		"alone":                      {0, 1, 0, 0},
		"everybody":                  {1, 1, 1, 1},
		"weighed against a negative": {1, 2, -1, 0},
		"half used":                  {3, -1, -1, 0},
		"counted twice":              {2, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAccess(t)
			w.Min = 0
			w.Shards[0].Used = nil
			c := assignAccess(t, w)
			c.use(t, 0, 1, 0, 0, 0)
			require.NoError(t, solve(t, c), "the record that is permitted")
			c.use(t, 0, used...)
			require.Error(t, solve(t, c))
		})
	}
}

func TestAccessRefusesARecordOfTheEmptyShard(t *testing.T) {
	t.Parallel()
	c := assignAccess(t, tinyAccess(t))
	c.use(t, 1, 1, 0, 0, 0)
	require.Error(t, solve(t, c))
}

// breaches are summed before they are compared with 0; two that cancel must
// not, and each of these pairs does if used values may be anything.
func TestAccessRefusesBreachesThatCancel(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Need, w.Min = consent.MaskOf(consent.Conditions), 0
	c := assignAccess(t, w)
	c.use(t, 0, 1, 1, -1, 0) // records 1 and 2 both lack the scope
	require.Error(t, solve(t, c))
}

// A column's bits must be the only ones that pack to the committed word:
// (2, 0, …) packs like (0, 1, …).
func TestAccessRefusesBitsThatAreNone(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Shards[0].Epoch = epochOf(t, today, wide(), wide(consent.Conditions))
	w.Need, w.Min, w.Shards[0].Used = consent.MaskOf(consent.Conditions), 0, nil
	c := assignAccess(t, w)
	require.NoError(t, solve(t, c))
	for s := range c.Shards[0].Columns {
		c.Shards[0].Columns[s].Bits[0], c.Shards[0].Columns[s].Bits[1] = 2, 0
	}
	require.Error(t, solve(t, c), "nobody is used, only the bits are wrong")
}

// Pitfalls 5 and 6: the columns must come from the epoch on the ledger.
func TestAccessRefusesColumnsOfAnotherEpoch(t *testing.T) {
	t.Parallel()
	before := tinyAccess(t)
	after := tinyAccess(t) // the first participant has withdrawn since
	after.Shards[0].Epoch.Consents[0].Attributes.Status = Withdrawn
	after.Shards[0].Used, after.Min = nil, 0
	now := assignAccess(t, after)

	stale := assignAccess(t, before)
	require.NoError(t, solve(t, stale))
	stale.MatrixDigest = now.MatrixDigest
	require.Error(t, solve(t, stale), "all columns of the old epoch")

	mixed := assignAccess(t, before)
	mixed.Shards[0].Columns[1] = now.Shards[0].Columns[1]
	require.Error(t, solve(t, mixed), "one column of each")
	mixed.MatrixDigest = now.MatrixDigest
	require.Error(t, solve(t, mixed), "one column of each, the other digest")
}

func TestAccessRefusesTheColumnOfAnotherScope(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Need = consent.MaskOf(consent.Statistics) // which record 2 permits
	w.Shards[0].Used = []int{0, 2}
	c := assignAccess(t, w)
	require.NoError(t, solve(t, c))
	packed, err := PackScopes(consent.MaskOf(consent.Conditions), tiny.Slots)
	require.NoError(t, err)
	c.Scopes = uint64(packed)
	require.Error(t, solve(t, c))
}

func TestAccessRefusesAMinimumNotReached(t *testing.T) {
	t.Parallel()
	minus := func(n int64) *big.Int { return new(big.Int).Sub(fr.Modulus(), big.NewInt(n)) }
	for name, least := range map[string]frontend.Variable{
		"one more than there are":            2,
		"the largest that fits":              1<<countBits - 1,
		"beyond the range":                   uint64(1 << countBits),
		"below 0, so that the gap wraps":     minus(1), // pitfall 3
		"far below 0":                        minus(1 << 40),
		"far below 0, the gap still in bits": minus(1<<countBits - 2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assignAccess(t, tinyAccess(t))
			c.Min = least
			require.Error(t, solve(t, c))
		})
	}
}

func TestAccessRefusesScopesBeyondTheSlots(t *testing.T) {
	t.Parallel()
	c := assignAccess(t, tinyAccess(t))
	c.Scopes = c.Scopes.(uint64) + 1<<(scopeBits*tiny.Slots)
	require.Error(t, solve(t, c))
}

// Pitfall 11: the prover chooses how the public scopes split into digits. Two
// scopes can be exchanged for others only with a digit that is no bit.
func TestAccessRefusesAForgedScopeHint(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Need = consent.MaskOf(consent.Statistics)
	w.Shards[0].Used = []int{0, 2}
	c := assignAccess(t, w)
	wanted := c.Scopes.(uint64)
	packed, err := PackScopes(consent.MaskOf(consent.Conditions), tiny.Slots)
	require.NoError(t, err)
	c.Scopes = uint64(packed)
	lie := func(q *big.Int, inputs, outputs []*big.Int) error {
		for i := range outputs {
			outputs[i].SetUint64(uint64(inputs[0].Bit(i)))
		}
		if len(outputs) == scopeBits*tiny.Slots {
			for i := range outputs {
				outputs[i].SetUint64(wanted >> i & 1)
			}
			outputs[0].Add(outputs[0], new(big.Int).SetUint64(uint64(packed)))
			outputs[0].Sub(outputs[0], new(big.Int).SetUint64(wanted)).Mod(outputs[0], q)
		}
		return nil
	}
	require.Error(t, solve(t, c, solver.OverrideHint(hintID(t, "nBits"), lie)))
}

// Pitfall 7: who was used, and how many, is not to be read off the statement.
func TestAccessStatementHidesWhoWasUsed(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	w.Need = consent.MaskOf(consent.Statistics)
	few, err := w.Public(tiny.Access())
	require.NoError(t, err)

	w.Shards[0].Used = []int{0, 2}
	more, err := w.Public(tiny.Access())
	require.NoError(t, err)
	more.UsedDigest = few.UsedDigest
	require.Equal(t, few, more, "only the salted digest tells them apart")

	w.Shards[0].Salt = secret("used", 7)
	again, err := w.Public(tiny.Access())
	require.NoError(t, err)
	require.NotEqual(t, more.UsedDigest, again.UsedDigest, "the same records, another salt")
}

func TestAccessCircuitAgreesWithTheNativeCheck(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := tinyAccess(t)
		w.Min = 0
		w.Shards[0].Used = nil
		for i := range tiny.ShardSize {
			if rapid.Bool().Draw(r, "used") {
				w.Shards[0].Used = append(w.Shards[0].Used, i)
			}
		}
		assignment, _, err := w.Assign(tiny.Access())
		if err == nil {
			if err := solve(t, assignment); err != nil {
				r.Fatalf("accepted natively, refused by the circuit: %v", err)
			}
			return
		}
		values := make([]int64, tiny.ShardSize)
		for _, i := range w.Shards[0].Used {
			values[i] = 1
		}
		w.Shards[0].Used = nil
		forced := assignAccess(t, w)
		forced.use(t, 0, values...)
		if solve(t, forced) == nil {
			r.Fatalf("refused natively (%v), accepted by the circuit", err)
		}
	})
}

func TestAccessWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*AccessWitness)
		want   string
	}{
		"no scopes":        {func(w *AccessWitness) { w.Need = 0 }, "access: scopes: 0 needed, 1 to 2 can be"},
		"too many scopes":  {func(w *AccessWitness) { w.Need = 7 }, "access: scopes: 3 needed, 1 to 2 can be"},
		"too many shards":  {func(w *AccessWitness) { w.Shards = make([]ShardUse, 3) }, "access: 3 shards, the circuit has 2"},
		"minimum missed":   {func(w *AccessWitness) { w.Min = 2 }, "access: fewer records were used than the minimum to be stated"},
		"wide query hash":  {func(w *AccessWitness) { w.QueryHash[0] = 1 }, "access: query hash has more than 248 bits"},
		"no salt":          {func(w *AccessWitness) { w.Shards[0].Salt = Element{} }, "access: shard 0: salt is missing"},
		"salt unreduced":   {func(w *AccessWitness) { w.Shards[0].Salt = modulus() }, "access: shard 0: salt: not a canonical field element"},
		"no epoch salts":   {func(w *AccessWitness) { w.Shards[0].Epoch.Salts = Salts{} }, "access: shard 0: salt of scope 0 is missing"},
		"slot outside":     {func(w *AccessWitness) { w.Shards[0].Used = []int{4} }, "access: shard 0: slot 4 is not in a shard of 4"},
		"slot negative":    {func(w *AccessWitness) { w.Shards[0].Used = []int{-1} }, "access: shard 0: slot -1 is not in a shard of 4"},
		"slot twice":       {func(w *AccessWitness) { w.Shards[0].Used = []int{0, 0} }, "access: shard 0: slot 0 is out of order or repeated"},
		"without consent":  {func(w *AccessWitness) { w.Shards[0].Used = []int{0, 1} }, "access: shard 0: record 1: used without a consent in force for scope 1"},
		"scope not given":  {func(w *AccessWitness) { w.Shards[0].Used = []int{2} }, "access: shard 0: record 2: used without a consent in force for scope 1"},
		"empty slot used":  {func(w *AccessWitness) { w.Shards[0].Used = []int{3} }, "access: shard 0: record 3: used without a consent in force for scope 1"},
		"epoch is too big": {func(w *AccessWitness) { w.Shards[0].Epoch.Consents = make([]Consent, 5) }, "access: shard 0: 5 consents in a shard of 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAccess(t)
			c.change(&w)
			_, err := w.Public(tiny.Access())
			require.EqualError(t, err, c.want)
		})
	}
	_, err := tinyAccess(t).Public(tiny.Epoch())
	require.EqualError(t, err, "access: circuit epoch-4 is of the other kind")
}
