package evm_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// endpoint is a chain that a test uses through JSON-RPC.
type endpoint struct {
	url  string
	fund func(context.Context, evm.Address) error
}

// inProcess starts a chain in this process.
func inProcess(tb testing.TB, cfg inprocess.Config) (endpoint, *inprocess.Chain) {
	tb.Helper()
	chain, err := inprocess.Start(context.Background(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, chain.Close()) })
	return endpoint{url: chain.URL(), fund: chain.Fund}, chain
}
