package prover

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the proofs under zk/verifier/testdata")

// TestWriteVectors makes the proofs that zk/verifier and other languages are
// tested with. It needs -update because setups and proofs are random.
func TestWriteVectors(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	p := smallProver(t)
	e, err := p.Epoch(t.Context(), epoch(t, small, "a"))
	require.NoError(t, err)
	a, err := p.Access(t.Context(), access(t, small, "a"))
	require.NoError(t, err)
	vectors := map[string]any{}
	for _, v := range []struct {
		keys          *Keys
		public, proof any
		words         any
	}{{p.epoch, e.Public, e.Proof, e.Public.Words()}, {p.access, a.Public, a.Proof, a.Public.Words()}} {
		kind := "epoch"
		if v.keys.Circuit().IsAccess() {
			kind = "access"
		}
		vectors[kind] = map[string]any{
			"circuit": v.keys.Circuit(), "verifyingKey": hex.EncodeToString(v.keys.verifying.EVM()),
			"public": v.public, "words": v.words, "proof": v.proof,
		}
	}
	raw, err := json.MarshalIndent(vectors, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll("../verifier/testdata", 0o755))
	require.NoError(t, os.WriteFile("../verifier/testdata/proofs.json", append(raw, '\n'), 0o600))
}
