package prover

import (
	"crypto/rand"
	"math/big"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Pitfall 8: anybody turns a proof into another that verifies as well. Whoever
// keeps replays out by the bytes of a proof keeps nothing out; the statement,
// which carries the question's hash, does not change.
func TestAnotherProofOfTheSameStatement(t *testing.T) {
	t.Parallel()
	p := smallProver(t)
	a, err := p.Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)

	replay := a
	replay.Proof = rerandomize(t, p.access, a.Proof)
	require.NotEqual(t, a.Proof, replay.Proof)
	require.NoError(t, p.access.Verifying().VerifyAccess(replay.Public, replay.Proof))
	require.Equal(t, a.Public.QueryHash, replay.Public.QueryHash, "the replay key is the same")

	again, err := p.Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)
	require.NotEqual(t, a.Proof, again.Proof, "proofs are random")
	require.Equal(t, a.Public, again.Public)
}

// rerandomize maps (A, B, C) to (xA, (B + yδ)/x, C + yA).
func rerandomize(t *testing.T, k *Keys, proof circuits.Proof) circuits.Proof {
	t.Helper()
	scalar := func() *big.Int {
		n, err := rand.Int(rand.Reader, new(big.Int).Sub(fr.Modulus(), big.NewInt(1)))
		require.NoError(t, err)
		return n.Add(n, big.NewInt(1))
	}
	var a, c, ya curve.G1Affine
	var b, yDelta curve.G2Affine
	for _, point := range []struct {
		set  func([]byte) (int, error)
		from int
		to   int
	}{{a.SetBytes, 0, 64}, {b.SetBytes, 64, 192}, {c.SetBytes, 192, 256}} {
		_, err := point.set(proof[point.from:point.to])
		require.NoError(t, err)
	}
	x, y := scalar(), scalar()
	c.Add(&c, ya.ScalarMultiplication(&a, y))
	b.Add(&b, yDelta.ScalarMultiplication(&k.proving.G2.Delta, y))
	b.ScalarMultiplication(&b, new(big.Int).ModInverse(x, fr.Modulus()))
	a.ScalarMultiplication(&a, x)

	rawA, rawB, rawC := a.RawBytes(), b.RawBytes(), c.RawBytes()
	out, err := circuits.NewProof(append(append(rawA[:], rawB[:]...), rawC[:]...))
	require.NoError(t, err)
	return out
}
