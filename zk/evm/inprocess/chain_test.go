package inprocess_test

import (
	"bufio"
	"context"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// crashDir makes this test binary start a chain there, fund some accounts, say so and hang, so
// that a test can kill it.
const (
	crashDir = "INPROCESS_CRASH_DIR"
	funded   = 10
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		chain, err := inprocess.Start(context.Background(), inprocess.Config{Dir: dir})
		for i := range byte(funded) {
			if err == nil {
				err = chain.Fund(context.Background(), evm.Address{i + 1})
			}
		}
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString("funded\n")
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cfg inprocess.Config) (*inprocess.Chain, *ethclient.Client) {
	t.Helper()
	chain, err := inprocess.Start(t.Context(), cfg)
	require.NoError(t, err)
	client, err := ethclient.Dial(chain.URL())
	require.NoError(t, err)
	t.Cleanup(func() {
		client.Close()
		require.NoError(t, chain.Close())
	})
	return chain, client
}

func balance(t *testing.T, client *ethclient.Client, account evm.Address) *big.Int {
	t.Helper()
	coins, err := client.BalanceAt(t.Context(), account, nil)
	require.NoError(t, err)
	return coins
}

func TestChainServesJSONRPC(t *testing.T) {
	t.Parallel()
	chain, client := start(t, inprocess.Config{})
	where, err := url.Parse(chain.URL())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", where.Hostname(), "nobody else can reach it")
	id, err := client.ChainID(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(inprocess.ChainID), id.Int64())

	require.NoError(t, chain.Fund(t.Context(), evm.Address{1}))
	require.Positive(t, balance(t, client, evm.Address{1}).Sign())
	require.Positive(t, balance(t, client, inprocess.Faucet().Address()).Sign())

	for _, method := range []string{"dev_setFeeRecipient", "testing_buildBlockV1", "admin_nodeInfo", "debug_setHead"} {
		require.Error(t, client.Client().CallContext(t.Context(), nil, method), "%s is not served", method)
	}
}

func TestChainMakesABlockForATransactionOnly(t *testing.T) {
	t.Parallel()
	chain, client := start(t, inprocess.Config{})
	for i := range byte(3) {
		require.NoError(t, chain.Fund(t.Context(), evm.Address{i + 1}))
	}
	head, err := client.BlockNumber(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(3), head)
}

func TestChainsDoNotShareState(t *testing.T) {
	t.Parallel()
	first, _ := start(t, inprocess.Config{})
	second, client := start(t, inprocess.Config{})
	require.NotEqual(t, first.URL(), second.URL())
	require.NoError(t, first.Fund(t.Context(), evm.Address{1}))
	require.Zero(t, balance(t, client, evm.Address{1}).Sign())
}

func TestChainTakesBlocksBack(t *testing.T) {
	t.Parallel()
	chain, client := start(t, inprocess.Config{ManualBlocks: true})
	done := make(chan error, 1)
	go func() { done <- chain.Fund(t.Context(), evm.Address{1}) }()
	require.Eventually(t, func() bool {
		chain.Commit()
		return len(done) == 1
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, <-done)
	head, err := client.BlockNumber(t.Context())
	require.NoError(t, err)
	require.NoError(t, chain.Rewind(head))
	require.Zero(t, balance(t, client, evm.Address{1}).Sign())
	require.Error(t, chain.Rewind(1), "there is nothing before the first block")
}

func TestChainResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range byte(3) {
		chain, err := inprocess.Start(t.Context(), inprocess.Config{Dir: dir})
		require.NoError(t, err)
		client, err := ethclient.Dial(chain.URL())
		require.NoError(t, err)
		for earlier := range round {
			require.Positive(t, balance(t, client, evm.Address{earlier + 1}).Sign())
		}
		require.NoError(t, chain.Fund(t.Context(), evm.Address{round + 1}))
		_, err = inprocess.Start(t.Context(), inprocess.Config{Dir: dir})
		require.Error(t, err, "one chain uses a folder at a time")
		client.Close()
		require.NoError(t, chain.Close())
		require.NoError(t, chain.Close(), "closing again is harmless")
	}
}

// coinsOnce returns what Fund gives.
func coinsOnce(t *testing.T) *big.Int {
	t.Helper()
	chain, client := start(t, inprocess.Config{})
	require.NoError(t, chain.Fund(t.Context(), evm.Address{1}))
	return balance(t, client, evm.Address{1})
}

// TestChainSurvivesKill kills the process that has the chain, so that it writes nothing at its end.
func TestChainSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		output, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(output).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "funded\n", line)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // says that it was killed
	}
	chain, client := start(t, inprocess.Config{Dir: dir})
	// The last block may have been seen before it was durable; all before it were.
	once := coinsOnce(t)
	for i := range byte(funded - 1) {
		require.Positive(t, balance(t, client, evm.Address{i + 1}).Cmp(once), "account %d, funded twice", i+1)
	}
	require.NoError(t, chain.Fund(t.Context(), evm.Address{8}), "and it goes on")
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := inprocess.Start(canceled, inprocess.Config{})
	require.ErrorIs(t, err, context.Canceled)
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = inprocess.Start(t.Context(), inprocess.Config{Dir: file})
	require.Error(t, err)
}

// TestCloseLeavesNothing is not parallel, since it counts goroutines.
func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	chain, err := inprocess.Start(t.Context(), inprocess.Config{})
	require.NoError(t, err)
	require.NoError(t, chain.Fund(t.Context(), evm.Address{1}))
	require.NoError(t, chain.Close())
	goleak.VerifyNone(t, before,
		// go-ethereum's own: one for the whole process, one that ends by itself within 30 s.
		goleak.IgnoreTopFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}
