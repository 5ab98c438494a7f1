package circuits

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/math/bits"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestEpochAcceptsAnHonestWitness(t *testing.T) {
	t.Parallel()
	require.NoError(t, solve(t, assignEpoch(t, tinyEpoch(t))))
	require.NoError(t, solve(t, assignEpoch(t, epochOf(t, today))), "a shard with nobody in it")
}

func TestEpochRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	honest := func() *epochCircuit { return assignEpoch(t, tinyEpoch(t)) }
	changes := map[string]func(*epochCircuit){
		"shard root":   func(c *epochCircuit) { c.ShardRoot = other(c.ShardRoot) },
		"window start": func(c *epochCircuit) { c.From = today.From - 40*day },
		"window end":   func(c *epochCircuit) { c.To = today.To + 40*day },
		"matrix root":  func(c *epochCircuit) { c.MatrixRoot = other(c.MatrixRoot) },
	}
	for i := range honest().Grants {
		changes[fmt.Sprintf("participant %d", i)] = func(c *epochCircuit) { c.Participants[i] = other(c.Participants[i]) }
		changes[fmt.Sprintf("status %d", i)] = func(c *epochCircuit) { c.Statuses[i] = other(c.Statuses[i]) }
		changes[fmt.Sprintf("grant %d", i)] = func(c *epochCircuit) { c.Grants[i] = other(c.Grants[i]) }
	}
	for j := 0; j < scopes; j += 7 {
		changes[fmt.Sprintf("salt %d", j)] = func(c *epochCircuit) { c.Salts[j] = other(c.Salts[j]) }
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

// other returns a value that differs from v by 1.
func other(v frontend.Variable) frontend.Variable {
	var x, one fr.Element
	if _, err := x.SetInterface(v); err != nil {
		panic(err)
	}
	return *x.Add(&x, one.SetOne())
}

// matrixRootWith computes the root a node would publish had it set one bit of
// the matrix as it liked.
func matrixRootWith(t *testing.T, w EpochWitness, scope consent.Scope, slot int, set bool) fr.Element {
	t.Helper()
	m, err := w.matrix(tiny.ShardSize)
	require.NoError(t, err)
	require.NotEqual(t, set, m.bitmaps[scope][slot], "the change must be one")
	m.bitmaps[scope][slot] = set
	return m.rootWith(map[consent.Scope]fr.Element{scope: words(m.bitmaps[scope])[0]})
}

// rootWith computes the root over columns some of which hold any word at all.
func (m *matrix) rootWith(word map[consent.Scope]fr.Element) fr.Element {
	commitments := slices.Clone(m.hash().levels[0])
	for scope, w := range word {
		commitments[scope] = sponge(TagBitmap, []fr.Element{m.salts[scope], w})
	}
	return merkleRoot(commitments)
}

func TestEpochRefusesAPermissionNobodyGave(t *testing.T) {
	t.Parallel()
	notYet, over := wide(consent.Conditions), wide(consent.Conditions)
	notYet.From = today.From + 1
	over.To = today.To - 1
	for name, c := range map[string]struct {
		attributes Attributes
		scope      consent.Scope
	}{
		"withdrawn":         {Attributes{wide(0, 1).Mask, Withdrawn, 0, 1<<32 - 1}, 1},
		"starts too late":   {notYet, consent.Conditions},
		"ends too early":    {over, consent.Conditions},
		"another scope":     {wide(consent.Conditions), consent.Statistics},
		"an empty slot":     {Attributes{}, consent.Conditions},
		"the highest scope": {wide(62), 63},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := epochOf(t, today, c.attributes)
			assignment := assignEpoch(t, w)
			require.NoError(t, solve(t, assignment))
			assignment.MatrixRoot = matrixRootWith(t, w, c.scope, 0, true)
			require.Error(t, solve(t, assignment))
		})
	}
}

// Pitfall 4 for the epoch: its indicators are forced both ways.
func TestEpochRefusesAPermissionWithheld(t *testing.T) {
	t.Parallel()
	assignment := assignEpoch(t, tinyEpoch(t))
	assignment.MatrixRoot = matrixRootWith(t, tinyEpoch(t), consent.Statistics, 2, false)
	require.Error(t, solve(t, assignment))
}

// Pitfall 2: with an unchecked field, a consent that starts in 30 days has a
// second reading in which it is valid today and the other fields make up for
// it. Here the prover supplies that reading digit by digit. The sum comes out
// right because the digit of scope 63 is a fraction, and the matrix root is the
// one that these digits give, so only the check of the digits is left.
func TestEpochRefusesASecondDecomposition(t *testing.T) {
	t.Parallel()
	future := wide(consent.Conditions)
	future.From = today.From + 30*day
	early := future
	early.From = today.From - 30*day
	const top = grantBits - 1

	w := epochOf(t, today, future)
	honest, claimed := future.grant(), early.grant()
	var gap, power fr.Element
	power.SetBigInt(new(big.Int).Lsh(big.NewInt(1), top))
	gap.Sub(&honest, &claimed).Div(&gap, &power)
	forge := func(_ *big.Int, inputs, outputs []*big.Int) error {
		source := inputs[0]
		var x fr.Element
		if x.SetBigInt(source); x.Equal(&honest) && len(outputs) == grantBits {
			source = claimed.BigInt(new(big.Int))
		}
		for i := range outputs {
			outputs[i].SetUint64(uint64(source.Bit(i)))
		}
		if source != inputs[0] {
			gap.BigInt(outputs[top])
		}
		return nil
	}
	assignment := assignEpoch(t, w)
	m, err := w.matrix(tiny.ShardSize)
	require.NoError(t, err)
	var one fr.Element
	one.SetOne()
	assignment.MatrixRoot = m.rootWith(map[consent.Scope]fr.Element{consent.Conditions: one, 63: gap})
	require.Error(t, solve(t, assignment, solver.OverrideHint(hintID(t, "nBits"), forge)))
}

// The status is no hint and in no split: it is what the leaf leaves over once
// the grant is named. So a prover may name any grant and any status that add up
// to the leaf, unless both are held to their ranges.
func TestEpochRefusesAnotherSplitOfStatusAndGrant(t *testing.T) {
	t.Parallel()
	withdrawn := wide(consent.Conditions)
	withdrawn.Status = Withdrawn
	w := epochOf(t, today, withdrawn)
	var unit fr.Element
	unit.SetBigInt(statusUnit)

	t.Run("status 1 and a grant of 129 bits", func(t *testing.T) {
		t.Parallel()
		assignment := assignEpoch(t, w)
		grant := withdrawn.grant()
		assignment.Statuses[0], assignment.Grants[0] = 1, *grant.Add(&grant, &unit)
		assignment.MatrixRoot = matrixRootWith(t, w, consent.Conditions, 0, true)
		require.Error(t, solve(t, assignment))
	})
	t.Run("another grant and a status that is none", func(t *testing.T) {
		t.Parallel()
		assignment := assignEpoch(t, w)
		claimed := wide(consent.Conditions, consent.Statistics)
		grant, leaf := claimed.grant(), withdrawn.field()
		var status, active, two fr.Element
		status.Sub(&leaf, &grant).Div(&status, &unit)
		active.Mul(&status, two.Sub(two.SetUint64(2), &status))
		require.False(t, active.IsUint64(), "a fraction")
		assignment.Statuses[0], assignment.Grants[0] = status, grant
		// The columns hold what such a status would put there.
		m, err := w.matrix(tiny.ShardSize)
		require.NoError(t, err)
		assignment.MatrixRoot = m.rootWith(map[consent.Scope]fr.Element{consent.Conditions: active, consent.Statistics: active})
		require.Error(t, solve(t, assignment))
	})
}

// Pitfall 11: hints are the prover's to choose. Here it sets the carry bit that
// says "started" and pays with the bit below, which becomes -1 or -2.
func TestEpochRefusesAForgedComparison(t *testing.T) {
	t.Parallel()
	future := wide(consent.Conditions)
	future.From = today.From + 30*day
	w := epochOf(t, today, future)
	assignment := assignEpoch(t, w)
	assignment.MatrixRoot = matrixRootWith(t, w, consent.Conditions, 0, true)
	lie := func(q *big.Int, inputs, outputs []*big.Int) error {
		for i := range outputs {
			outputs[i].SetUint64(uint64(inputs[0].Bit(i)))
		}
		if len(outputs) == comparisonBits && inputs[0].Bit(timeBits) == 0 {
			outputs[timeBits].SetUint64(1)
			outputs[timeBits-1].Sub(outputs[timeBits-1], big.NewInt(2)).Mod(outputs[timeBits-1], q)
		}
		return nil
	}
	require.Error(t, solve(t, assignment, solver.OverrideHint(hintID(t, "nBits"), lie)))
}

// hintID finds a hint of the bit library by the end of its name.
func hintID(t *testing.T, name string) solver.HintID {
	t.Helper()
	for _, hint := range bits.GetHints() {
		full := solver.GetHintName(hint)
		if len(full) > len(name) && full[len(full)-len(name)-1:] == "."+name {
			return solver.GetHintID(hint)
		}
	}
	require.Fail(t, "no such hint", name)
	return 0
}

// Pitfalls 3 and 13: the window is range-checked before it is compared, so a
// start beyond 32 bits or below 0 cannot wrap into "every consent is in force".
func TestEpochRefusesAWindowThatWraps(t *testing.T) {
	t.Parallel()
	minusOne := new(big.Int).Sub(fr.Modulus(), big.NewInt(1))
	for name, window := range map[string][2]frontend.Variable{
		"end before start":     {2000, 1999},
		"start beyond 32 bits": {uint64(1 << 32), uint64(1 << 32)},
		"end beyond 32 bits":   {0, uint64(1 << 32)},
		"start below 0":        {minusOne, 5},
		"end below 0":          {0, minusOne},
		"both below 0":         {minusOne, minusOne},
		"end one bit too long": {uint64(1 << 31), uint64(1 << 32)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Everybody has withdrawn, so the matrix is right whatever the window,
			// and no consent is too short for its ends to be compared with.
			always := Attributes{Status: Withdrawn, From: 0, To: 1<<32 - 1}
			assignment := assignEpoch(t, epochOf(t, today, always, always, always, always))
			require.NoError(t, solve(t, assignment))
			assignment.From, assignment.To = window[0], window[1]
			require.Error(t, solve(t, assignment))
		})
	}
}

// One shard holds every combination of the ends that matter.
func TestEpochCircuitAgreesWithTheNativeMatrix(t *testing.T) {
	t.Parallel()
	var records []Attributes
	for _, from := range []uint32{0, today.From - 1, today.From, today.From + 1, 1<<32 - 1} {
		for _, to := range []uint32{0, today.To - 1, today.To, today.To + 1, 1<<32 - 1} {
			for _, status := range []Status{Active, Withdrawn} {
				mask := consent.Mask(0x9e3779b97f4a7c15 * uint64(len(records)+1))
				records = append(records, Attributes{mask, status, from, to})
			}
		}
	}
	records = append(records, Attributes{1<<64 - 1, Empty, 0, 1<<32 - 1}, wide(), Attributes{})
	system, err := epoch64()
	require.NoError(t, err)
	assignment, _, err := epochOf(t, today, records...).Assign(Shape{ShardSize: 64}.Epoch())
	require.NoError(t, err)
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(t, err)
	_, err = system.Solve(witness)
	require.NoError(t, err)
}

func TestEpochWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*EpochWitness)
		want   string
	}{
		"too many records": {func(w *EpochWitness) { w.Consents = make([]Consent, 5) }, "epoch: 5 consents in a shard of 4"},
		"unknown status":   {func(w *EpochWitness) { w.Consents[1].Attributes.Status = 3 }, "epoch: record 1: status is none of those there are"},
		"window reversed":  {func(w *EpochWitness) { w.Window = Window{2, 1} }, "epoch: window: ends before it starts"},
		"no salt":          {func(w *EpochWitness) { w.Salts[9] = Element{} }, "epoch: salt of scope 9 is missing"},
		"salt unreduced":   {func(w *EpochWitness) { w.Salts[9] = modulus() }, "epoch: salt of scope 9: not a canonical field element"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyEpoch(t)
			c.change(&w)
			_, err := w.Public(tiny.Epoch())
			require.EqualError(t, err, c.want)
		})
	}
	_, err := tinyEpoch(t).Public(tiny.Access())
	require.EqualError(t, err, "epoch: circuit access-4x2x2 is of the other kind")
}

// Pitfall 7: equal consents under other salts look unrelated.
func TestEpochsOfEqualConsentsCannotBeLinked(t *testing.T) {
	t.Parallel()
	a, b := tinyEpoch(t), tinyEpoch(t)
	b.Salts[0] = secret("another salt", 0)
	first, err := a.Public(tiny.Epoch())
	require.NoError(t, err)
	second, err := b.Public(tiny.Epoch())
	require.NoError(t, err)
	require.Equal(t, first.ShardRoot, second.ShardRoot)
	require.NotEqual(t, first.MatrixRoot, second.MatrixRoot)
}

func TestEpochPublicJSON(t *testing.T) {
	t.Parallel()
	public, err := tinyEpoch(t).Public(tiny.Epoch())
	require.NoError(t, err)
	raw, err := json.Marshal(public)
	require.NoError(t, err)
	var back EpochPublic
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, public, back)
}

// modulus is the smallest value that is not canonical.
func modulus() (e Element) {
	fr.Modulus().FillBytes(e[:])
	return e
}
