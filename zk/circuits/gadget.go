package circuits

import (
	"fmt"
	"math/big"

	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/permutation/poseidon2"
)

// gadget is the hash of hash.go and a few comparisons inside a circuit.
type gadget struct {
	frontend.API
	permutation *poseidon2.Permutation
}

func newGadget(api frontend.API) (gadget, error) {
	p, err := poseidon2.NewPoseidon2FromParameters(api, width, fullRounds, partialRounds)
	if err != nil {
		return gadget{}, fmt.Errorf("poseidon2: %w", err)
	}
	return gadget{api, p}, nil
}

func (g gadget) permute(state *[width]frontend.Variable) {
	if err := g.permutation.Permutation(state[:]); err != nil {
		panic("circuits: " + err.Error()) // only a wrong width can fail
	}
}

func (g gadget) compress(x [width]frontend.Variable) frontend.Variable {
	first := x[0]
	g.permute(&x)
	return g.Add(x[0], first)
}

func (g gadget) hash2(tag Tag, a, b frontend.Variable) frontend.Variable {
	return g.compress([width]frontend.Variable{a, b, 0, uint64(tag)})
}

func (g gadget) sponge(tag Tag, xs []frontend.Variable) frontend.Variable {
	return g.spongeState(tag, xs)[0]
}

func (g gadget) spongeState(tag Tag, xs []frontend.Variable) [width]frontend.Variable {
	iv := capacity(tag, len(xs))
	state := [width]frontend.Variable{0, 0, 0, iv.BigInt(new(big.Int))}
	for {
		n := min(3, len(xs))
		for i := range n {
			state[i] = g.Add(state[i], xs[i])
		}
		g.permute(&state)
		if xs = xs[n:]; len(xs) == 0 {
			return state
		}
	}
}

func (g gadget) merkleRoot(leaves []frontend.Variable) frontend.Variable {
	level := append([]frontend.Variable(nil), leaves...)
	for len(level) > 1 {
		for i := range len(level) / 4 {
			level[i] = g.compress([width]frontend.Variable(level[4*i : 4*i+4]))
		}
		level = level[:len(level)/4]
	}
	return level[0]
}

// climb returns the root above a node of an arity-4 tree. path holds, level by
// level, the four children among which the node is; index says which, lowest bit first.
func (g gadget) climb(node frontend.Variable, index []frontend.Variable, path [][width]frontend.Variable) frontend.Variable {
	for l, children := range path {
		ours := g.Lookup2(index[2*l], index[2*l+1], children[0], children[1], children[2], children[3])
		g.AssertIsEqual(node, ours)
		node = g.compress(children)
	}
	return node
}

// sum adds any number of values; the empty sum is 0.
func (g gadget) sum(xs []frontend.Variable) frontend.Variable {
	switch len(xs) {
	case 0:
		return 0
	case 1:
		return xs[0]
	}
	return g.Add(xs[0], xs[1], xs[2:]...)
}

// pack sums bits[i]·2^i. The bits must be constrained to 0 or 1 by the caller.
func (g gadget) pack(bits []frontend.Variable) frontend.Variable {
	terms := make([]frontend.Variable, len(bits))
	for i, bit := range bits {
		terms[i] = g.Mul(bit, new(big.Int).Lsh(big.NewInt(1), uint(i)))
	}
	return g.sum(terms)
}

// bothAtMost returns whether a <= b and whether c <= d, as 1 or 0. All four must
// already be constrained to [timeBits] bits: on unbounded values the differences
// would wrap and lie. Each difference plus 2^32 fits in 33 bits with the answer
// on top; the two are split in one go.
func (g gadget) bothAtMost(a, b, c, d frontend.Variable) (first, second frontend.Variable) {
	one := new(big.Int).Lsh(big.NewInt(1), timeBits)
	above := new(big.Int).Lsh(big.NewInt(1), timeBits+1)
	low, high := g.Add(g.Sub(b, a), one), g.Add(g.Sub(d, c), one)
	bits := g.ToBinary(g.Add(low, g.Mul(high, above)), comparisonBits)
	return bits[timeBits], bits[comparisonBits-1]
}

// comparisonBits is the width of the two differences of bothAtMost.
const comparisonBits = 2 * (timeBits + 1)

// assertAtMost constrains a <= b, a already constrained to n bits. Then b needs no
// constraint of its own: it is an integer, at most 2^n above a, and no field
// element that wraps.
func (g gadget) assertAtMost(a, b frontend.Variable, n int) {
	g.ToBinary(g.Sub(b, a), n)
}

// assertAscending constrains each value to be at most the next, and the first to
// n bits; the others lie above it without wrapping, see assertAtMost.
func (g gadget) assertAscending(n int, values ...frontend.Variable) {
	g.ToBinary(values[0], n)
	for i := range len(values) - 1 {
		g.assertAtMost(values[i], values[i+1], n)
	}
}
