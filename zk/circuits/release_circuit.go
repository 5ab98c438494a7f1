package circuits

import "github.com/consensys/gnark/frontend"

// releaseCircuit constrains a release, with or without noise; see DESIGN.md for the
// claim. It uses no hint except to split Terms, totals, rounding's remainders and
// noise's uniform bits.
type releaseCircuit struct {
	Totals         frontend.Variable   `gnark:",public"`
	QueryHash      frontend.Variable   `gnark:",public"`
	Terms          frontend.Variable   `gnark:",public"`
	Released       frontend.Variable   `gnark:",public"`
	SeedCommitment []frontend.Variable `gnark:",public"` // one with noise, else none

	Shards    []releaseShard
	Quotients [][statistics]frontend.Variable // of each cell's figures by their units
	Salt      frontend.Variable
	Seed      []frontend.Variable // one with noise, else none

	tally Tally
}

// releaseShard opens one totals commitment.
type releaseShard struct {
	Cells []frontend.Variable
	Salt  frontend.Variable
}

func newReleaseCircuit(t Tally, noise bool) *releaseCircuit {
	c := &releaseCircuit{
		Shards:    make([]releaseShard, t.Shards),
		Quotients: make([][statistics]frontend.Variable, t.Cells()),
		tally:     t,
	}
	for k := range c.Shards {
		c.Shards[k].Cells = make([]frontend.Variable, t.Cells())
	}
	if noise {
		c.SeedCommitment, c.Seed = make([]frontend.Variable, 1), make([]frontend.Variable, 1)
	}
	return c
}

// terms is Terms inside a circuit.
type terms struct {
	min      frontend.Variable
	rules    [statistics]rule
	withheld []frontend.Variable
}

type rule struct {
	unit, half frontend.Variable
	released   frontend.Variable
	scale      []frontend.Variable // one of them is 1; none without noise
}

func (c *releaseCircuit) terms(g gadget) (t terms) {
	noise := len(c.Seed) > 0
	digits := g.ToBinary(c.Terms, c.tally.termsBits(noise))
	next := func(n int) []frontend.Variable {
		field := digits[:n]
		digits = digits[n:]
		return field
	}
	t.min = g.pack(next(countBits))
	for i := range t.rules {
		unit := next(unitBits)
		t.rules[i].unit, t.rules[i].half = g.pack(unit), g.pack(unit[1:])
	}
	for i := range t.rules {
		t.rules[i].released = next(1)[0]
	}
	for i := range t.rules {
		if noise {
			t.rules[i].scale, _ = g.members(1, next(scaleBits), scales)
		}
	}
	t.withheld = digits
	return t
}

// Define writes down the constraints.
func (c *releaseCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	terms := c.terms(g)

	// An input in no constraint could be exchanged in a finished proof.
	g.Mul(c.QueryHash, c.QueryHash)

	cells := make([][]frontend.Variable, len(c.Quotients))
	commitments := make([]frontend.Variable, len(c.Shards))
	for k, shard := range c.Shards {
		commitments[k] = g.sponge(TagTotals, append([]frontend.Variable{shard.Salt}, shard.Cells...))
		for i, cell := range shard.Cells {
			cells[i] = append(cells[i], cell)
		}
	}
	g.AssertIsEqual(c.Totals, g.sponge(TagTotalsDigest, commitments))
	for n, seed := range c.Seed {
		g.AssertIsEqual(c.SeedCommitment[n], g.hash2(TagSeed, seed, 0))
	}

	released := []frontend.Variable{c.Salt}
	for i, shards := range cells {
		digits := g.ToBinary(g.sum(shards), totalBits)
		open := g.Sub(1, terms.withheld[i])
		for t, rule := range terms.rules {
			figure := g.pack(digits[:figureBits[t]])
			digits = digits[figureBits[t]:]
			if t == 0 {
				g.ToBinary(g.Mul(open, g.Sub(figure, terms.min)), totalCountBits)
			}
			rounded := g.rounded(rule, figure, c.Quotients[i][t], figureBits[t])
			for _, seed := range c.Seed {
				z := g.noise(seed, c.QueryHash, statistics*i+t, rule.scale)
				rounded = g.Add(rounded, g.Mul(rule.unit, z))
			}
			released = append(released, g.Mul(g.Mul(open, rule.released), rounded))
		}
	}
	g.AssertIsEqual(c.Released, g.sponge(TagRelease, released))
	return nil
}

// rounded returns the multiple of the rule's unit next to a figure of n bits, half up,
// which the prover names by its quotient. Quotient, remainder and what the remainder
// lacks to the unit are all split, so that there is one.
func (g gadget) rounded(r rule, figure, quotient frontend.Variable, n int) frontend.Variable {
	g.ToBinary(quotient, n)
	multiple := g.Mul(r.unit, quotient)
	remainder := g.Sub(g.Add(figure, r.half), multiple)
	g.ToBinary(remainder, unitBits)
	g.assertAtMost(remainder, g.Sub(r.unit, 1), unitBits)
	return multiple
}
