package evm_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// TestNewTakesAnyBackend uses go-ethereum's simulated chain without a network between.
func TestNewTakesAnyBackend(t *testing.T) {
	t.Parallel()
	chain := simulated.NewBackend(nil)
	t.Cleanup(func() { _ = chain.Close() })
	client, err := evm.New(t.Context(), chain.Client(), evm.Config{ChainID: 1337})
	require.NoError(t, err)
	_, err = client.LatestAnchor(t.Context())
	require.ErrorIs(t, err, evm.ErrNotDeployed)
	access := toy().access(t, evm.Deployment{ChainID: 1337}, toyNode(1), evm.Question{1}, 5)
	access.Inputs[0] = evm.Deployment{}.QueryHash(access.Node, access.Question)
	require.ErrorIs(t, client.VerifyAccess(t.Context(), access), evm.ErrNotDeployed,
		"an address without code answers every call, and that is not a valid proof")

	_, err = evm.New(t.Context(), chain.Client(), evm.Config{ChainID: 1})
	require.ErrorIs(t, err, evm.ErrWrongChain)
}
