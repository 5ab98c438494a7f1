package evm_test

import (
	"math/big"
	"slices"
	"testing"

	bn254 "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// batch is what verifyBatch takes, proof by proof.
type batch []evm.Access

func (b batch) args() (proofs []byte, inputs []*big.Int) {
	for _, a := range b {
		proofs, inputs = append(proofs, a.Proof...), append(inputs, words(a.Inputs...)...)
	}
	return proofs, inputs
}

func (b batch) cloned() batch {
	other := slices.Clone(b)
	for i := range other {
		other[i] = cloned(other[i])
	}
	return other
}

// TestBatchRefusesOneTamperedProof also makes errors that would cancel out if the equations were
// only multiplied, or multiplied by factors that the prover can know.
func TestBatchRefusesOneTamperedProof(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t)
	ours := verifierArtifact(t)
	at, err := w.deploy(t, ours, keyNumbers(toy().words))
	require.NoError(t, err)
	verify := func(b batch) error {
		proofs, inputs := b.args()
		return w.call(t, ours, at, "verifyBatch", proofs, inputs)
	}
	var good batch
	for i := range byte(4) {
		good = append(good, toy().access(t, evm.Deployment{}, toyNode(i), evm.Question{i}, uint64(i)))
		require.NoError(t, verify(good), "%d proofs", i+1)
	}
	require.NoError(t, verify(append(good.cloned(), good...)), "it is for the caller to see repetitions")

	g1 := func(a evm.Access, from int) bn254.G1Affine {
		var p bn254.G1Affine
		p.X.SetBytes(a.Proof[from : from+32])
		p.Y.SetBytes(a.Proof[from+32 : from+64])
		require.True(t, p.IsOnCurve())
		return p
	}
	set := func(a evm.Access, from int, p bn254.G1Affine) {
		raw := p.RawBytes()
		copy(a.Proof[from:], raw[:])
	}
	_, _, base, _ := bn254.Generators()
	shift := func(b batch, i, from int, by *big.Int) {
		p := g1(b[i], from)
		var d bn254.G1Affine
		d.ScalarMultiplication(&base, by)
		p.Add(&p, &d)
		set(b[i], from, p)
	}
	for i := range good {
		for word := range evm.ProofSize / 32 {
			bad := good.cloned()
			bad[i].Proof[32*word+31] ^= 1
			require.Error(t, verify(bad), "proof %d, word %d", i, word)
		}
		for input := range good[i].Inputs {
			bad := good.cloned()
			bad[i].Inputs[input][31] ^= 1
			require.Error(t, verify(bad), "proof %d, input %d", i, input)
			bad = good.cloned()
			bad[i].Inputs[input] = plusR(bad[i].Inputs[input])
			require.Error(t, verify(bad), "proof %d, input %d plus r", i, input)
		}
		bad := good.cloned()
		shift(bad, i, 192, big.NewInt(1))
		require.Error(t, verify(bad), "proof %d, another C", i)
	}
	for name, spoil := range map[string]func(batch){
		// The factor of the first is 1 and everybody knows it: 1 and -1 would cancel there.
		"what one C has more another has less": func(b batch) {
			shift(b, 0, 192, big.NewInt(1))
			shift(b, 1, 192, big.NewInt(-1))
		},
		"the same, without the first": func(b batch) {
			shift(b, 2, 192, big.NewInt(1))
			shift(b, 3, 192, big.NewInt(-1))
		},
		"two have each other's C": func(b batch) {
			first, second := g1(b[1], 192), g1(b[2], 192)
			set(b[1], 192, second)
			set(b[2], 192, first)
		},
		"two have each other's inputs": func(b batch) { b[0].Inputs, b[1].Inputs = b[1].Inputs, b[0].Inputs },
		"what one input has more another has less": func(b batch) {
			b[0].Inputs[0][31]++
			b[1].Inputs[0][31]--
		},
		"an A is infinity": func(b batch) { clear(b[1].Proof[:64]) },
		"a B is infinity":  func(b batch) { clear(b[1].Proof[64:192]) },
		"all is infinity":  func(b batch) { clear(b[3].Proof) },
		"a B is in no group": func(b batch) {
			for i, coordinate := range outsideSubgroup(t) {
				coordinate.FillBytes(b[2].Proof[64+32*i : 96+32*i])
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good.cloned()
			spoil(bad)
			require.ErrorContains(t, verify(bad), "execution reverted")
		})
	}
	t.Run("a wrong length is refused", func(t *testing.T) {
		proofs, inputs := good.args()
		require.Error(t, w.call(t, ours, at, "verifyBatch", []byte{}, []*big.Int{}))
		require.Error(t, w.call(t, ours, at, "verifyBatch", proofs[:len(proofs)-1], inputs))
		require.Error(t, w.call(t, ours, at, "verifyBatch", proofs[256:], inputs))
		require.Error(t, w.call(t, ours, at, "verifyBatch", proofs, inputs[1:]))
		require.Error(t, w.call(t, ours, at, "verifyBatch", slices.Repeat(good[0].Proof, 129), slices.Repeat(inputs[:5], 129)))
	})
}
