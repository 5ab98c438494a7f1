package evm_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	bn254 "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// TestGeneratedVerifierIsReproducible makes gnark's verifier of the kept key again and compares it
// byte for byte, then compiles it as it is and lets the registry use it behind its wrapper.
func TestGeneratedVerifierIsReproducible(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "access-4x1x2.json"))
	require.NoError(t, err)
	var proven provenAccess
	require.NoError(t, json.Unmarshal(raw, &proven))
	var source bytes.Buffer
	require.NoError(t, gnarkKey(t, proven.KeyWords).ExportSolidity(&source, solidity.WithPragmaVersion("^0.8.0")))
	golden := filepath.Join("testdata", "access-4x1x2.sol")
	if *update {
		require.NoError(t, os.WriteFile(golden, source.Bytes(), 0o600))
	}
	kept, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(kept), source.String(), "the key, or gnark, is another: run with -update and read what changed")

	code := readArtifact(t, filepath.Join(compile(t, golden), "Verifier.json"))

	w := newWorkbench(t)
	generated, err := w.deploy(t, code)
	require.NoError(t, err)
	wrapper := contractArtifact(t, "GeneratedVerifier")
	circuit := evm.KeyWords(proven.KeyWords).Hash()
	_, err = w.deploy(t, wrapper, newCouncil(t, 1).addresses()[0], circuit, big.NewInt(5))
	require.ErrorContains(t, err, "execution reverted", "there is no contract")
	at, err := w.deploy(t, wrapper, generated, circuit, big.NewInt(5))
	require.NoError(t, err)
	r := w.registry(t, firstCircuit{at, 1})

	var inputs []*big.Int
	for _, word := range proven.Statement.Public.Words() {
		inputs = append(inputs, new(big.Int).SetBytes(word[:]))
	}
	proof := proven.Statement.Proof[:]
	require.NoError(t, r.call(t, r.artifact, r.at, "verify", circuit, proof, inputs))
	for i := range inputs {
		bad := append([]*big.Int{}, inputs...)
		bad[i] = new(big.Int).Add(bad[i], big.NewInt(1))
		require.Equal(t, "ProofInvalid", reason(t, r.call(t, r.artifact, r.at, "verify", circuit, proof, bad)), "input %d", i)
	}
	require.Equal(t, "LengthInvalid", reason(t, r.call(t, r.artifact, r.at, "verify", circuit, proof, inputs[1:])))
	require.Equal(t, "LengthInvalid", reason(t, r.call(t, r.artifact, r.at, "verify", circuit, proof[1:], inputs)))
	require.Equal(t, "NotRegistered", reason(t, r.call(t, r.artifact, r.at, "verify", [32]byte{1}, proof, inputs)))
}

// gnarkKey is the key that has these words.
func gnarkKey(t *testing.T, words []byte) *groth16bn254.VerifyingKey {
	t.Helper()
	g1 := func() (p bn254.G1Affine) {
		p.X.SetBytes(words[:32])
		p.Y.SetBytes(words[32:64])
		words = words[64:]
		return p
	}
	g2 := func() (p bn254.G2Affine) {
		for i, e := range []*fp.Element{&p.X.A1, &p.X.A0, &p.Y.A1, &p.Y.A0} {
			e.SetBytes(words[32*i : 32*i+32])
		}
		words = words[128:]
		return p
	}
	var key groth16bn254.VerifyingKey
	key.G1.Alpha = g1()
	key.G2.Beta, key.G2.Gamma, key.G2.Delta = g2(), g2(), g2()
	for len(words) > 0 {
		key.G1.K = append(key.G1.K, g1())
	}
	require.NoError(t, key.Precompute())
	return &key
}
