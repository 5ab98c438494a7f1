package prover

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
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

// TestWriteResultVectors does the same for the proofs behind a result, with and without noise.
func TestWriteResultVectors(t *testing.T) {
	if !*update {
		t.Skip("only with -update")
	}
	p, err := resultProver()
	require.NoError(t, err)
	w, _ := result(t, small, "a")
	use := w.Access.Shards[0]
	aggregate := circuits.AggregateWitness{Used: use.Used, UsedSalt: use.Salt, Table: w.Tables[0], Plan: w.Plan, Salt: w.TotalsSalts[0]}
	totals, err := aggregate.Sums(p.aggregate.Circuit())
	require.NoError(t, err)
	noised := circuits.ReleaseWitness{
		Shards: []circuits.ShardTotals{{Sums: totals[:1], Salt: aggregate.Salt}}, QueryHash: w.Access.QueryHash, Seed: secret("seed", 0),
		Terms: circuits.Terms{Count: circuits.Rule{Unit: 1, Scale: 3}},
	}
	noise, err := cachedKeys(circuits.Tally{Shards: 1, Groups: 1, Values: 1}.Noise())
	require.NoError(t, err)

	cover, err := p.Cover(t.Context(), w.Access)
	require.NoError(t, err)
	summed, err := p.Aggregate(t.Context(), aggregate)
	require.NoError(t, err)
	released, err := p.Release(t.Context(), circuits.ReleaseWitness{
		Shards: []circuits.ShardTotals{{Sums: totals, Salt: aggregate.Salt}}, QueryHash: w.Access.QueryHash, Terms: w.Terms,
	})
	require.NoError(t, err)
	withNoise, err := (&Prover{noise: noise[0], turns: make(chan struct{}, 1)}).Release(t.Context(), noised)
	require.NoError(t, err)

	var vectors []map[string]any
	for _, v := range []struct {
		keys  *Keys
		words []circuits.Element
		proof circuits.Proof
	}{
		{p.cover, cover.Public.Words(), cover.Proof},
		{p.aggregate, summed.Public.Words(), summed.Proof},
		{p.release, released.Public.Words(), released.Proof},
		{noise[0], withNoise.Public.Words(), withNoise.Proof},
	} {
		vectors = append(vectors, map[string]any{
			"circuit": v.keys.Circuit(), "verifyingKey": hex.EncodeToString(v.keys.verifying.EVM()), "words": v.words, "proof": v.proof,
		})
	}
	raw, err := json.MarshalIndent(vectors, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("../verifier/testdata/results.json", append(raw, '\n'), 0o600))
}
