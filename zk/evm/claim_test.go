package evm_test

import (
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// claims are of each kind, with the largest numbers.
func claims() []evm.Claim {
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	return []evm.Claim{
		{Checkpoint: &evm.Checkpoint{Size: ^uint64(0), Root: [32]byte{1, 31: 2}}},
		{Roots: []evm.Root{{Node: evm.Node{1}, Trial: evm.Trial{2}, Digest: [32]byte{3}, LedgerIndex: 4}, {Node: evm.Node{5}, Digest: [32]byte{6}}}},
		{Accept: &evm.Acceptance{Number: most, Roots: []evm.AcceptedRoot{{Node: evm.Node{1}, Root: [32]byte{31: 7}, Until: time.Unix(1<<40, 0)}}}},
	}
}

var deployed = evm.Deployment{ChainID: 1337, Origin: "hub.example.org/log", Anchor: evm.Address{1}, Roots: evm.Address{2}, Access: evm.Address{3}}

// TestClaims: what a replica reads out of a statement makes the same statement again.
func TestClaims(t *testing.T) {
	t.Parallel()
	for _, claim := range claims() {
		statement, err := deployed.State(claim)
		require.NoError(t, err)
		raw, err := json.Marshal(statement)
		require.NoError(t, err)
		read, err := evm.ReadClaim(raw)
		require.NoError(t, err)
		require.Equal(t, claim, read)
		again, err := deployed.State(read)
		require.NoError(t, err)
		require.Equal(t, statement, again)
	}
	_, err := deployed.State(evm.Claim{})
	require.Error(t, err)
	// A change of who the replicas are is not the hub's to sign by itself.
	for _, raw := range []string{
		``, `{}`, `{"primaryType":"Propose","message":{"number":"1","change":"0x"}}`, `{"primaryType":"Roots","message":{"roots":[]}}`,
		`{"primaryType":"Checkpoint","message":{"size":"-1","root":"0x00"}}`,
	} {
		_, err := evm.ReadClaim([]byte(raw))
		require.Error(t, err, raw)
	}
}

func FuzzReadClaim(f *testing.F) {
	for _, claim := range claims() {
		statement, err := deployed.State(claim)
		require.NoError(f, err)
		raw, err := json.Marshal(statement)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		claim, err := evm.ReadClaim(raw)
		if err != nil {
			return
		}
		_, err = deployed.State(claim)
		require.NoError(t, err)
	})
}
