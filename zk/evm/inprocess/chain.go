// Package inprocess runs an EVM chain of one inside this process, for the lab and for tests.
//
// [Start] assembles what `geth --dev` does from go-ethereum's own parts: execution, transaction
// pool, a stand-in for consensus that makes a block whenever a transaction waits, and a JSON-RPC
// server on the loopback interface. Other processes use [Chain.URL] as they would any endpoint.
//
// It is the execution of a real chain with none of its security: there is one block maker and the
// money is in an account whose key is in this source. Nothing outside simulations/lab and tests
// imports it.
//
// With Config.Dir the chain is on disk and goes on where it stopped, also after a crash, when it
// may be missing its last block. Without, it is in memory and gone with the process. So callers
// deploy with evm.DeployConfig.Redeploy and anchor again what [evm.ErrNotFound] says is missing.
package inprocess

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sync"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// ChainID is the chain id of every chain of this package, that of go-ethereum's development mode.
const ChainID = 1337

// faucetKey is the key that go-ethereum's tests and development mode use. It is public on purpose.
const faucetKey = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"

// Config configures a [Chain]. The zero Config is a chain in memory.
type Config struct {
	// Dir holds the chain. It is created if missing; one chain uses it at a time. Empty means
	// in memory.
	Dir string

	// ManualBlocks leaves making blocks to Chain.Commit, so that tests can look at a
	// transaction that waits, or take blocks back.
	ManualBlocks bool
}

// Chain is a running chain.
type Chain struct {
	stack  *node.Node
	eth    *eth.Ethereum
	client *ethclient.Client

	commit sync.Mutex // guards beacon, which is not safe for concurrent use
	beacon *catalyst.SimulatedBeacon

	funding sync.Mutex // one transfer at a time, so that nonces follow each other

	stop     context.CancelFunc
	loops    sync.WaitGroup
	close    sync.Once
	closeErr error
}

// Start starts a chain and its JSON-RPC server on a free port of 127.0.0.1. ctx limits starting
// only; Close ends the chain.
func Start(ctx context.Context, cfg Config) (*Chain, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start chain: %w", err)
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("start chain: %w", err)
		}
	}
	stack, err := node.New(nodeConfig(cfg.Dir))
	if err != nil {
		return nil, fmt.Errorf("start chain: %w", err)
	}
	c := &Chain{stack: stack, stop: func() {}}
	if err := c.start(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("start chain: %w", err), c.Close())
	}
	return c, nil
}

func (c *Chain) start(ctx context.Context, cfg Config) error {
	var err error
	if c.eth, err = eth.New(c.stack, ethConfig()); err != nil {
		return err
	}
	c.stack.RegisterAPIs([]rpc.API{{
		Namespace: "eth",
		Service:   filters.NewFilterAPI(filters.NewFilterSystem(c.eth.APIBackend, filters.Config{})),
	}})
	if err := c.stack.Start(); err != nil {
		return err
	}
	// Started by nobody: its own loop would have nobody who waits for its end.
	if c.beacon, err = catalyst.NewSimulatedBeacon(0, evm.Address{}, c.eth); err != nil {
		return err
	}
	c.client = ethclient.NewClient(c.stack.Attach())
	if _, err := c.client.ChainID(ctx); err != nil {
		return err
	}
	if !cfg.ManualBlocks {
		c.makeBlocks()
	}
	return nil
}

func nodeConfig(dir string) *node.Config {
	cfg := node.DefaultConfig
	cfg.DataDir = dir
	cfg.Name = "chain"
	cfg.P2P = p2p.Config{NoDiscovery: true} // no listener, no peers
	cfg.HTTPHost, cfg.HTTPPort = "127.0.0.1", 0
	cfg.HTTPModules = []string{"eth", "net", "web3"}
	cfg.AuthAddr, cfg.AuthPort = "127.0.0.1", 0
	cfg.UseLightweightKDF = true
	return &cfg
}

// rules returns the protocol of Ethereum's main network as of 2026 (Osaka), so that gas is what it
// is there. go-ethereum's development default is ahead of that and prices new state differently.
func rules() *params.ChainConfig {
	cfg := *params.AllDevChainProtocolChanges
	cfg.AmsterdamTime, cfg.BogotaTime, cfg.UBTTime = nil, nil, nil
	return &cfg
}

func ethConfig() *ethconfig.Config {
	cfg := ethconfig.Defaults
	alloc := core.SystemContractAllocs()
	alloc[Faucet().Address()] = types.Account{Balance: new(big.Int).Lsh(big.NewInt(1), 200)}
	cfg.NetworkId = ChainID
	cfg.Genesis = &core.Genesis{
		Config:   rules(),
		GasLimit: cfg.Miner.GasCeil,
		Alloc:    alloc,
	}
	cfg.SyncMode = ethconfig.FullSync
	cfg.TxPool.NoLocals = true
	cfg.TxPool.Journal = ""
	cfg.Miner.GasPrice = big.NewInt(1)
	// Every block's state goes to disk, since a killed process writes none at its end.
	cfg.StateScheme, cfg.NoPruning = rawdb.HashScheme, true
	cfg.LogNoHistory = true // logs are found without an index
	cfg.DatabaseCache, cfg.DatabaseHandles = 16, 64
	cfg.TrieCleanCache, cfg.TrieDirtyCache, cfg.SnapshotCache = 8, 8, 0
	return &cfg
}

// URL returns the http URL of the JSON-RPC endpoint.
func (c *Chain) URL() string { return c.stack.HTTPEndpoint() }

// Close ends the chain and its server. It may be called again.
func (c *Chain) Close() error {
	c.close.Do(func() {
		c.stop()
		c.loops.Wait()
		if c.client != nil {
			c.client.Close()
		}
		c.closeErr = c.stack.Close()
	})
	return c.closeErr
}
