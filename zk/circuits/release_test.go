package circuits

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tinyNoise is the smallest tally whose release takes noise: 15,000 constraints.
var tinyNoise = Tally{Shards: 1, Groups: 1, Values: 1}

func sums(count, sum, squares int64) Sums {
	return Sums{big.NewInt(count), big.NewInt(sum), big.NewInt(squares)}
}

// tinyRelease adds two shards up: 12 events of 23 in arm 0, over 4,711 days; arm 1 is
// too small in one of its cells and withheld in both.
func tinyRelease() ReleaseWitness {
	return ReleaseWitness{
		Shards: []ShardTotals{
			{[]Sums{sums(20, 10, 10), sums(19, 4000, 900000), sums(12, 5, 5), sums(10, 900, 90000)}, secret("totals", 0)},
			{[]Sums{sums(3, 2, 2), sums(3, 711, 200000), sums(1, 1, 1), sums(0, 0, 0)}, secret("totals", 1)},
		},
		Terms:     Terms{MinCount: 11, Count: Rule{Unit: 5}, Sum: Rule{Unit: 10}, Withheld: 1<<2 | 1<<3},
		QueryHash: secret("question", 0),
		Salt:      secret("release", 0),
	}
}

func tinyNoised() ReleaseWitness {
	return ReleaseWitness{
		Shards:    []ShardTotals{{[]Sums{sums(23, 4711, 1100000)}, secret("totals", 0)}},
		Terms:     Terms{Count: Rule{1, 3}, Sum: Rule{365, 4}},
		QueryHash: secret("question", 0),
		Salt:      secret("release", 0),
		Seed:      secret("seed", 1),
	}
}

func assignRelease(t testing.TB, c Circuit, w ReleaseWitness) *releaseCircuit {
	t.Helper()
	a, _, err := w.Assign(c)
	require.NoError(t, err)
	return a.(*releaseCircuit)
}

func (c *releaseCircuit) inputs() map[string]*frontend.Variable {
	inputs := map[string]*frontend.Variable{
		"totals": &c.Totals, "query hash": &c.QueryHash, "terms": &c.Terms, "released": &c.Released, "salt": &c.Salt,
	}
	for n := range c.Seed {
		inputs["seed"], inputs["seed commitment"] = &c.Seed[n], &c.SeedCommitment[n]
	}
	for k := range c.Shards {
		inputs[fmt.Sprint("salt ", k)] = &c.Shards[k].Salt
		for i := range c.Shards[k].Cells {
			inputs[fmt.Sprint("cell ", k, i)] = &c.Shards[k].Cells[i]
		}
	}
	for i := range c.Quotients {
		for n := range c.Quotients[i] {
			inputs[fmt.Sprint("quotient ", i, n)] = &c.Quotients[i][n]
		}
	}
	return inputs
}

// claim replaces released figures and keeps the published digest true to them.
func (c *releaseCircuit) claim(t testing.TB, w ReleaseWitness, circuit Circuit, change func([]Sums)) {
	t.Helper()
	released, err := w.Released(circuit)
	require.NoError(t, err)
	change(released)
	c.Released = digestReleased(c.Salt.(fr.Element), released)
}

func TestReleaseRoundsAndWithholds(t *testing.T) {
	t.Parallel()
	w, c := tinyRelease(), tinyTally.Release()
	released, err := w.Released(c)
	require.NoError(t, err)
	require.Equal(t, [][3]int64{{25, 10, 0}, {20, 4710, 0}, {0, 0, 0}, {0, 0, 0}}, ints(released))
	require.NoError(t, solveAs(t, c, assignRelease(t, c, w)))

	w.Terms = Terms{Count: Rule{Unit: 1}, Sum: Rule{Unit: 1}, Squares: Rule{Unit: 1}}
	released, err = w.Released(c)
	require.NoError(t, err)
	require.Equal(t, [][3]int64{{23, 12, 12}, {22, 4711, 1100000}, {13, 6, 6}, {10, 900, 90000}}, ints(released), "exactly")
	require.NoError(t, solveAs(t, c, assignRelease(t, c, w)))

	w.Shards = w.Shards[:1]
	require.NoError(t, solveAs(t, c, assignRelease(t, c, w)), "fewer shards than the circuit has")
	w.Salt = Element{}
	require.NoError(t, solveAs(t, c, assignRelease(t, c, w)), "open to everybody")
}

func TestReleaseRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	c := assignRelease(t, tinyTally.Release(), tinyRelease())
	refuseAnyChange(t, tinyTally.Release(), c, c.inputs(), "query hash", // squared: see TestEveryInputIsInAConstraint
		"terms") // a minimum one higher is met too: see TestReleaseRefusesTermsThatAreNone
}

func TestNoisedReleaseRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	c := assignRelease(t, tinyNoise.Noise(), tinyNoised())
	refuseAnyChange(t, tinyNoise.Noise(), c, c.inputs(), "terms") // a minimum of 1 is met too
}

func TestReleaseRefusesOtherFigures(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]Sums){
		"the exact count":           func(s []Sums) { s[0].Count.SetInt64(23) },
		"the next multiple":         func(s []Sums) { s[0].Count.SetInt64(30) },
		"the one before":            func(s []Sums) { s[0].Count.SetInt64(20) },
		"a sum off by one":          func(s []Sums) { s[1].Sum.SetInt64(4711) },
		"a figure not to release":   func(s []Sums) { s[0].Squares.SetInt64(12) },
		"a withheld cell":           func(s []Sums) { s[2] = sums(15, 10, 0) },
		"a cell hidden as 0":        func(s []Sums) { s[0] = sums(0, 0, 0) },
		"the cells exchanged":       func(s []Sums) { s[0], s[1] = s[1], s[0] },
		"another sum of two shards": func(s []Sums) { s[1].Sum.SetInt64(4000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyRelease()
			c := assignRelease(t, tinyTally.Release(), w)
			c.claim(t, w, tinyTally.Release(), func([]Sums) {})
			require.NoError(t, solveAs(t, tinyTally.Release(), c))
			c.claim(t, w, tinyTally.Release(), change)
			require.Error(t, solveAs(t, tinyTally.Release(), c))
		})
	}
}

// The prover names the quotient. Another one leaves a remainder below 0, or of a whole
// unit, or wraps around the field.
func TestReleaseRefusesAnotherQuotient(t *testing.T) {
	t.Parallel()
	var unit, wrapped fr.Element
	unit.SetUint64(10) // 4,711 + 5 − 10·q is 3 for this q, and 10·q is 4,713
	wrapped.SetUint64(4713).Div(&wrapped, &unit)
	for name, c := range map[string]struct {
		quotient frontend.Variable
		released *big.Int
	}{
		"a unit more":           {472, big.NewInt(4720)},
		"a unit less":           {470, big.NewInt(4700)},
		"none":                  {0, big.NewInt(0)},
		"a fraction in a field": {wrapped, big.NewInt(4713)},
		"below 0":               {new(big.Int).Sub(fr.Modulus(), big.NewInt(1)), big.NewInt(-10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyRelease()
			a := assignRelease(t, tinyTally.Release(), w)
			a.Quotients[1][1] = c.quotient
			a.claim(t, w, tinyTally.Release(), func(s []Sums) { s[1].Sum = c.released })
			require.Error(t, solveAs(t, tinyTally.Release(), a))
		})
	}
}

// Pitfall 11 for rounding: a unit less leaves a remainder of 11, so the check against the unit
// of 10 splits −2, which has no digits in 32; the liar takes one digit that is none.
func TestReleaseRefusesAForgedRemainder(t *testing.T) {
	t.Parallel()
	w := tinyRelease()
	c := assignRelease(t, tinyTally.Release(), w)
	c.Quotients[1][1] = 470
	c.claim(t, w, tinyTally.Release(), func(s []Sums) { s[1].Sum.SetInt64(4700) })
	lied := false
	lie := nBits(func(input *big.Int, digits []*big.Int) {
		if below := new(big.Int).Sub(input, fr.Modulus()); len(digits) == unitBits && below.BitLen() < unitBits {
			for _, digit := range digits {
				digit.SetUint64(0)
			}
			digits[0].Set(below)
			lied = true
		}
	})
	require.Error(t, solveAs(t, tinyTally.Release(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

// Totals are one number in which 2^64 in the sum are one in the squares; the digits keep them apart.
func TestReleaseRefusesAnotherSplitOfTotals(t *testing.T) {
	t.Parallel()
	w := tinyRelease()
	c := assignRelease(t, tinyTally.Release(), w)
	const squares = totalCountBits + totalSumBits
	lied := false
	lie := nBits(func(_ *big.Int, digits []*big.Int) {
		if len(digits) == totalBits && !lied {
			digits[squares].Sub(digits[squares], big.NewInt(1))
			digits[squares-1].Add(digits[squares-1], big.NewInt(2))
			lied = true
		}
	})
	// 12 + 2^64 to tens, and squares of 11.
	quotient := new(big.Int).Lsh(big.NewInt(1), totalSumBits)
	quotient.Add(quotient, big.NewInt(12+5)).Div(quotient, big.NewInt(10))
	c.Quotients[0][1], c.Quotients[0][2] = quotient, 11
	c.claim(t, w, tinyTally.Release(), func(s []Sums) { s[0].Sum.Mul(quotient, big.NewInt(10)) })
	require.Error(t, solveAs(t, tinyTally.Release(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

// A cell below the minimum is withheld, or there is no proof.
func TestReleaseRefusesASmallCell(t *testing.T) {
	t.Parallel()
	w := tinyRelease()
	w.Terms.Withheld = 1 << 2 // cell 3 has 10
	_, err := w.Public(tinyTally.Release())
	require.EqualError(t, err, "release: cell 3: has fewer records than the minimum and is not withheld")
	for _, least := range []uint32{11, 12, 1<<countBits - 1} {
		shown := w
		shown.Terms.MinCount = 10
		c := assignRelease(t, tinyTally.Release(), shown)
		require.NoError(t, solveAs(t, tinyTally.Release(), c))
		shown.Terms.MinCount = least
		terms, err := PackTerms(tinyTally.Release(), shown.Terms)
		require.NoError(t, err)
		c.Terms = terms[:]
		require.Error(t, solveAs(t, tinyTally.Release(), c))
	}
}

// The digits of terms are bits, and there are no more than the circuit has.
func TestReleaseRefusesTermsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(terms *big.Int){
		"a unit of 0":             func(x *big.Int) { x.Sub(x, new(big.Int).Lsh(big.NewInt(1), countBits+2*unitBits)) },
		"a bit too many":          func(x *big.Int) { x.SetBit(x, tinyTally.termsBits(false), 1) },
		"scales without noise":    func(x *big.Int) { x.SetBit(x, tinyTally.termsBits(true)-1, 1) },
		"a withheld cell shown":   func(x *big.Int) { x.SetBit(x, tinyTally.termsBits(false)-1, 0) },
		"another unit":            func(x *big.Int) { x.Add(x, new(big.Int).Lsh(big.NewInt(1), countBits)) },
		"a figure not to release": func(x *big.Int) { x.SetBit(x, countBits+statistics*unitBits, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assignRelease(t, tinyTally.Release(), tinyRelease())
			terms := new(big.Int).SetBytes(c.Terms.([]byte))
			change(terms)
			c.Terms = terms
			require.Error(t, solveAs(t, tinyTally.Release(), c))
		})
	}
}

// The public terms split in one way: releasing the squares too would make the digit for
// the sums −1.
func TestReleaseRefusesAnotherSplitOfTerms(t *testing.T) {
	t.Parallel()
	w := tinyRelease()
	c := assignRelease(t, tinyTally.Release(), w)
	const squares = countBits + statistics*unitBits + 2
	lied := false
	lie := nBits(func(_ *big.Int, digits []*big.Int) {
		if len(digits) == tinyTally.termsBits(false) {
			digits[squares].Add(digits[squares], big.NewInt(1))
			digits[squares-1].Sub(digits[squares-1], big.NewInt(2))
			lied = true
		}
	})
	c.claim(t, w, tinyTally.Release(), func(s []Sums) {
		for i, squares := range []int64{12, 1100000} {
			s[i].Sum.Neg(s[i].Sum)
			s[i].Squares.SetInt64(squares)
		}
	})
	require.Error(t, solveAs(t, tinyTally.Release(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

func TestReleaseAddsTheNoiseOfItsQuestion(t *testing.T) {
	t.Parallel()
	w, c := tinyNoised(), tinyNoise.Noise()
	seed, query := field(t, w.Seed), field(t, w.QueryHash)
	released, err := w.Released(c)
	require.NoError(t, err)
	require.Equal(t, [][3]int64{{23 + noise(seed, query, 0, 3), 365 * (13 + noise(seed, query, 1, 4)), 0}}, ints(released))
	for scale := range uint8(scales) {
		w.Terms.Count.Scale, w.Terms.Sum.Scale = scale, scales-1-scale
		require.NoError(t, solveAs(t, c, assignRelease(t, c, w)), "scale %d", scale)
	}
	again, err := tinyNoised().Public(c)
	require.NoError(t, err)
	same, err := tinyNoised().Public(c)
	require.NoError(t, err)
	require.Equal(t, again, same, "the same question has the same noise: asking often averages nothing out")
}

func TestReleaseRefusesOtherNoise(t *testing.T) {
	t.Parallel()
	honest := tinyNoised()
	seed, query := field(t, honest.Seed), field(t, honest.QueryHash)
	for name, count := range map[string]int64{
		"none":                0,
		"one more":            noise(seed, query, 0, 3) + 1,
		"of another seed":     noise(field(t, secret("seed", 2)), query, 0, 3),
		"of another question": noise(seed, field(t, secret("question", 1)), 0, 3),
		"of another place":    noise(seed, query, 1, 3),
		"of another scale":    noise(seed, query, 0, 4),
		"with another sign":   -noise(seed, query, 0, 3),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, noise(seed, query, 0, 3), count, "the change must be one")
			c := assignRelease(t, tinyNoise.Noise(), honest)
			c.claim(t, honest, tinyNoise.Noise(), func(s []Sums) { s[0].Count.SetInt64(23 + count) })
			require.Error(t, solveAs(t, tinyNoise.Noise(), c))
		})
	}
	t.Run("another seed in all", func(t *testing.T) {
		t.Parallel()
		w := tinyNoised()
		w.Seed = secret("seed", 2)
		c := assignRelease(t, tinyNoise.Noise(), w)
		require.NoError(t, solveAs(t, tinyNoise.Noise(), c))
		c.SeedCommitment[0] = assignRelease(t, tinyNoise.Noise(), honest).SeedCommitment[0]
		require.Error(t, solveAs(t, tinyNoise.Noise(), c), "the seed committed before the question")
	})
}

// Pitfall 11 for noise: an element below 2^254 less the field's order has a second
// reading in 254 digits, from which other noise comes. A prover with such a hint could
// choose between two samples of every question.
func TestReleaseRefusesASecondReadingOfNoise(t *testing.T) {
	t.Parallel()
	w := tinyNoised()
	w.Terms.Count.Scale = scales - 1 // at which the first draws count
	query := field(t, w.QueryHash)
	second := func(lane fr.Element) *big.Int {
		x := lane.BigInt(new(big.Int))
		return x.Add(x, fr.Modulus())
	}
	// A seed whose first lane has two readings, with two samples.
	var lane fr.Element
	var forged int64
	for i := 0; ; i++ {
		w.Seed = secret("seed", i)
		seed := field(t, w.Seed)
		lane = spongeState(TagNoise, []fr.Element{seed, query, {}})[0]
		if second(lane).BitLen() > fr.Bits {
			continue
		}
		var words [4]uint64
		for n := range words {
			words[n] = new(big.Int).Rsh(second(lane), uint(64*n)).Uint64()
		}
		forged = 0
		for draw, uniform48 := range draws(seed, query, 0) {
			if draw < uniformsALane {
				uniform48 = uniform(words, draw)
			}
			forged += geometricDigit(uniform48, draw, w.Terms.Count.Scale)
		}
		if forged != noise(seed, query, 0, w.Terms.Count.Scale) {
			break
		}
	}
	lied := false
	lie := nBits(func(input *big.Int, digits []*big.Int) {
		if len(digits) == fr.Bits && input.Cmp(lane.BigInt(new(big.Int))) == 0 {
			for i := range digits {
				digits[i].SetUint64(uint64(second(lane).Bit(i)))
			}
			lied = true
		}
	})
	c := assignRelease(t, tinyNoise.Noise(), w)
	c.claim(t, w, tinyNoise.Noise(), func(s []Sums) { s[0].Count.SetInt64(23 + forged) })
	require.Error(t, solveAs(t, tinyNoise.Noise(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

func TestNoiseThresholdsAreTheirFormula(t *testing.T) {
	t.Parallel()
	for i, threshold := range thresholds {
		want := math.Exp2(uniformBits) / (1 + math.Exp(math.Exp2(float64(i+lowestDigit))))
		require.InDelta(t, want, float64(threshold), 0.6, "2^%d", i+lowestDigit)
	}
	require.Equal(t, 2*geometricDigits, blocksASample*(width-1)*uniformsALane, "every draw is used once")
	require.LessOrEqual(t, uniformBits*uniformsALane, 192, "far enough below the field's order to be uniform")
}

// 1,000 samples at each of three scales. The seeds are fixed, so the figures are too;
// the bounds are four standard errors.
func TestNoiseIsDiscreteLaplace(t *testing.T) {
	t.Parallel()
	const n = 1000
	seed, query := field(t, secret("seed", 0)), field(t, secret("question", 0))
	var all [n][2 * geometricDigits]uint64
	for i := range all {
		all[i] = draws(seed, query, i)
	}
	for _, scale := range []uint8{0, 3, 7} {
		a := math.Exp(-1 / math.Exp2(float64(scale)))
		variance := 2 * a / (1 - a) / (1 - a)
		var sum, squares, zeros float64
		for _, draws := range all {
			var z float64
			for draw, uniform := range draws {
				z += float64(geometricDigit(uniform, draw, scale))
			}
			sum, squares = sum+z, squares+z*z
			if z == 0 {
				zeros++
			}
		}
		require.InDelta(t, 0, sum/n, 4*math.Sqrt(variance/n), "scale %d: mean", scale)
		require.InDelta(t, 1, squares/n/variance, 4*math.Sqrt(5.0/n), "scale %d: variance", scale)
		zero := (1 - a) / (1 + a)
		require.InDelta(t, zero, zeros/n, 4*math.Sqrt(zero/n), "scale %d: zeros", scale)
	}
}

func TestReleaseCircuitAgreesWithNativeCode(t *testing.T) {
	t.Parallel()
	circuit := tinyNoise.Release()
	rapid.Check(t, func(r *rapid.T) {
		cell := rapid.Custom(func(r *rapid.T) Sums {
			squares := new(big.Int).Lsh(big.NewInt(rapid.Int64Range(0, 1<<62).Draw(r, "squares")), 17)
			return Sums{big.NewInt(rapid.Int64Range(0, 1<<20).Draw(r, "count")), big.NewInt(rapid.Int64Range(0, 1<<50).Draw(r, "sum")), squares}
		})
		unit := func(name string) Rule { return Rule{Unit: rapid.Uint32().Draw(r, name)} }
		w := ReleaseWitness{
			Terms: Terms{
				MinCount: rapid.Uint32Max(1<<countBits-1).Draw(r, "min"), Count: unit("count unit"), Sum: unit("sum unit"), Squares: unit("squares unit"),
				Withheld: rapid.Uint64Max(1).Draw(r, "withheld"),
			},
			QueryHash: secret("question", 0),
		}
		for k := range rapid.IntRange(0, tinyNoise.Shards).Draw(r, "shards") {
			w.Shards = append(w.Shards, ShardTotals{rapid.SliceOfN(cell, 1, 1).Draw(r, "cells"), secret("totals", k)})
		}
		assignment, _, err := w.Assign(circuit)
		if err != nil {
			w.Terms.MinCount = 0
			c := assignRelease(t, circuit, w)
			w.Terms.MinCount = 1<<countBits - 1
			terms, err := PackTerms(circuit, w.Terms)
			require.NoError(t, err)
			if c.Terms = terms[:]; solveAs(t, circuit, c) == nil {
				r.Fatalf("refused natively, accepted by the circuit")
			}
			return
		}
		if err := solveAs(t, circuit, assignment); err != nil {
			r.Fatalf("accepted natively, refused by the circuit: %v", err)
		}
	})
}

func TestReleaseWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*ReleaseWitness)
		want   string
	}{
		"minimum too high":   {func(w *ReleaseWitness) { w.Terms.MinCount = 1 << 21 }, "release: terms: the minimum has more than 21 bits"},
		"no such cell":       {func(w *ReleaseWitness) { w.Terms.Withheld = 1 << 4 }, "release: terms: a cell is withheld that is not among the 4"},
		"scale, no noise":    {func(w *ReleaseWitness) { w.Terms.Sum.Scale = 1 }, "release: terms: scale 1: it is 0 to 7, and 0 without noise"},
		"seed, no noise":     {func(w *ReleaseWitness) { w.Seed = secret("seed", 0) }, "release: there must be a seed if and only if there is noise"},
		"seed unreduced":     {func(w *ReleaseWitness) { w.Seed = modulus() }, "release: seed: not a canonical field element"},
		"wide query hash":    {func(w *ReleaseWitness) { w.QueryHash[0] = 1 }, "release: query hash has more than 248 bits"},
		"salt unreduced":     {func(w *ReleaseWitness) { w.Salt = modulus() }, "release: salt: not a canonical field element"},
		"too many shards":    {func(w *ReleaseWitness) { w.Shards = make([]ShardTotals, 3) }, "release: 3 shards, the circuit has 2"},
		"cells missing":      {func(w *ReleaseWitness) { w.Shards[1].Sums = nil }, "release: shard 1: 0 cells, the circuit has 4"},
		"no shard salt":      {func(w *ReleaseWitness) { w.Shards[1].Salt = Element{} }, "release: shard 1: salt is missing"},
		"shard salt":         {func(w *ReleaseWitness) { w.Shards[1].Salt = modulus() }, "release: shard 1: salt: not a canonical field element"},
		"a figure missing":   {func(w *ReleaseWitness) { w.Shards[1].Sums[2].Sum = nil }, "release: shard 1: cell 2: a figure is missing or out of range"},
		"a figure below 0":   {func(w *ReleaseWitness) { w.Shards[1].Sums[2].Sum = big.NewInt(-1) }, "release: shard 1: cell 2: a figure is missing or out of range"},
		"a figure too large": {func(w *ReleaseWitness) { w.Shards[1].Sums[2].Count = big.NewInt(1 << 32) }, "release: shard 1: cell 2: a figure is missing or out of range"},
		"a total too large": {func(w *ReleaseWitness) {
			w.Shards[0].Sums[2].Count, w.Shards[1].Sums[2].Count = big.NewInt(1<<32-1), big.NewInt(1<<32-1)
		}, "release: cell 2: a figure is missing or out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyRelease()
			c.change(&w)
			_, err := w.Public(tinyTally.Release())
			require.EqualError(t, err, c.want)
		})
	}
	noisy := tinyNoised()
	noisy.Terms.Count.Scale = 8
	_, err := noisy.Public(tinyNoise.Noise())
	require.EqualError(t, err, "release: terms: scale 8: it is 0 to 7, and 0 without noise")
	_, err = tinyRelease().Public(tinyTally.Aggregate())
	require.ErrorContains(t, err, "is of another kind")
	_, err = ReleaseDigest([]Sums{{}}, Element{})
	require.EqualError(t, err, "release digest: cell 0: a figure is missing or out of range")
	_, err = ReleaseDigest(nil, modulus())
	require.ErrorIs(t, err, ErrElement)
	_, err = SeedCommitment(modulus())
	require.ErrorIs(t, err, ErrElement)
}

func TestTotalsDigestPadsWithTheEmptyShard(t *testing.T) {
	t.Parallel()
	c := tinyTally.Release()
	w := tinyRelease()
	w.Shards = w.Shards[:1]
	public, err := w.Public(c)
	require.NoError(t, err)
	packed, err := packSums(w.Shards[0].Sums)
	require.NoError(t, err)
	commitment := fromField(commitTotals(field(t, w.Shards[0].Salt), packed))
	digest, err := TotalsDigest(c, []Element{commitment})
	require.NoError(t, err)
	require.Equal(t, public.Totals, digest)
	_, err = TotalsDigest(c, make([]Element, 3))
	require.EqualError(t, err, "totals digest: commitment 2: the shape has 2 shards")
	_, err = TotalsDigest(tiny.Access(), nil)
	require.EqualError(t, err, "totals digest: circuit access-4x2x2 is of another kind")
	_, err = TotalsDigest(Tally{}.Release(), nil)
	require.Error(t, err)
}
