package evm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// slow is a chain on which nothing is mined unless the test says so, with a deployment.
type slow struct {
	endpoint
	*inprocess.Chain
	cfg evm.Config
}

func newSlow(t *testing.T) slow {
	t.Helper()
	e, chain := inProcess(t, inprocess.Config{ManualBlocks: true})
	s := slow{endpoint: e, Chain: chain, cfg: evm.Config{
		Endpoint: e.url, PollInterval: 5 * time.Millisecond, MineTimeout: 100 * time.Millisecond,
	}}
	s.cfg.Signer = newKey(t)
	s.mining(func() {
		require.NoError(t, e.fund(t.Context(), s.cfg.Signer.Address()))
		cfg := s.cfg
		cfg.MineTimeout = time.Minute
		var err error
		cfg.Deployment, err = evm.Deploy(t.Context(), cfg, deployConfig(t, cfg.Signer))
		require.NoError(t, err)
		acceptToys(t, cfg)
		s.cfg.Deployment = cfg.Deployment
	})
	return s
}

// eventually repeats a write, as callers do, until it succeeds.
func eventually(t *testing.T, write func() (evm.Receipt, error)) evm.Receipt {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		receipt, err := write()
		if err == nil {
			return receipt
		}
		require.True(t, errors.Is(err, evm.ErrPending) || errors.Is(err, evm.ErrUnreachable), "%v", err)
		require.True(t, time.Now().Before(deadline), "%v", err)
	}
}

// mining makes blocks while do runs.
func (s slow) mining(do func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var miner sync.WaitGroup
	miner.Go(func() {
		for ctx.Err() == nil {
			s.Commit()
			time.Sleep(time.Millisecond)
		}
	})
	do()
	cancel()
	miner.Wait()
}

func TestRetryWaitsForTheSameTransaction(t *testing.T) {
	t.Parallel()
	s := newSlow(t)
	p := through(t, s.url)
	s.cfg.Endpoint = p.url
	client := dial(t, s.cfg)
	access := toy().access(t, s.cfg.Deployment, toyNode(1), evm.Question{1}, 5)

	for range 3 {
		_, err := client.LogAccess(t.Context(), access)
		require.ErrorIs(t, err, evm.ErrPending)
	}
	require.Equal(t, 1, p.requests("eth_estimateGas"), "there is one transaction, sent three times")
	s.Commit()
	receipt := eventually(t, func() (evm.Receipt, error) { return client.LogAccess(t.Context(), access) })
	event, err := client.AccessEvent(t.Context(), access.Node, access.Question)
	require.NoError(t, err)
	require.Equal(t, receipt, event.Receipt)
}

func TestRetryPaysMoreWhenTheChainAsksForMore(t *testing.T) {
	t.Parallel()
	s := newSlow(t)
	ledger := newHistory(t, "", 10, 0)
	p := through(t, s.url)
	tip := "0x1"
	var mu sync.Mutex
	p.edits(func(method string, result any) any {
		mu.Lock()
		defer mu.Unlock()
		if method == "eth_maxPriorityFeePerGas" {
			return tip
		}
		return result
	})
	s.cfg.Endpoint = p.url
	client := dial(t, s.cfg)
	_, err := ledger.anchor(t, client, 1)
	require.ErrorIs(t, err, evm.ErrPending)
	mu.Lock()
	tip = "0x3b9aca00"
	mu.Unlock()
	_, err = ledger.anchor(t, client, 1)
	require.ErrorIs(t, err, evm.ErrPending)
	require.Equal(t, 1, p.requests("eth_estimateGas"), "the second transaction replaces the first")
	require.Equal(t, 2, p.requests("eth_sendRawTransaction"))

	s.Commit()
	receipt := eventually(t, func() (evm.Receipt, error) { return ledger.anchor(t, client, 1) })
	_, err = ledger.anchor(t, client, 2)
	require.ErrorIs(t, err, evm.ErrPending)
	s.Commit()
	second := eventually(t, func() (evm.Receipt, error) { return ledger.anchor(t, client, 2) })
	require.Equal(t, receipt.Block+1, second.Block, "no transaction is left to stand in the way")
}

func TestForkTakesReceiptAway(t *testing.T) {
	t.Parallel()
	s := newSlow(t)
	ledger := newHistory(t, "", 10, 0)
	s.cfg.Confirmations = 2
	client := dial(t, s.cfg)
	anchor := func() (evm.Receipt, error) { return ledger.anchor(t, client, 7) }

	_, err := anchor()
	require.ErrorIs(t, err, evm.ErrPending)
	s.Commit() // mined
	s.Commit() // one block follows
	_, err = anchor()
	require.Error(t, err, "one block is not two")
	require.NoError(t, s.Rewind(2))
	_, err = client.AnchorAt(t.Context(), 7)
	require.ErrorIs(t, err, evm.ErrNotFound, "a fork took it away")

	var receipt evm.Receipt
	s.mining(func() { receipt = eventually(t, anchor) })
	found, err := client.AnchorAt(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, receipt.Block, found.Block)
}

// TestForkTakesAWriteBack takes back what was reported as done, which was to be found by nobody else.
func TestForkTakesAWriteBack(t *testing.T) {
	t.Parallel()
	s := newSlow(t)
	s.cfg.MineTimeout = 10 * time.Second
	ledger := newHistory(t, "", 10, 0)
	client := dial(t, s.cfg)
	var first evm.Receipt
	s.mining(func() {
		first = eventually(t, func() (evm.Receipt, error) { return ledger.anchor(t, client, 7) })
		eventually(t, func() (evm.Receipt, error) { return ledger.anchor(t, client, 9) })
	})
	again, err := client.Resend(t.Context())
	require.NoError(t, err)
	require.Zero(t, again, "nothing is missing")

	chain, err := ethclient.Dial(s.url)
	require.NoError(t, err)
	t.Cleanup(chain.Close)
	head, err := chain.BlockNumber(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Rewind(head-first.Block+1))
	_, err = client.LatestAnchor(t.Context())
	require.ErrorIs(t, err, evm.ErrNotFound)
	again, err = client.Resend(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, again)
	s.Commit()
	for _, size := range []uint64{7, 9} {
		found, err := client.AnchorAt(t.Context(), size)
		require.NoError(t, err)
		require.Equal(t, ledger.root(t, size), found.Root)
	}
	again, err = client.Resend(t.Context())
	require.NoError(t, err)
	require.Zero(t, again)
}

// TestEmptyAccount writes with an account without money, and goes on when it has some.
func TestEmptyAccount(t *testing.T) {
	t.Parallel()
	e, cfg, _ := ready(t)
	cfg.Replicas = []evm.Replica{cfg.Signer}
	cfg.Signer = newKey(t)
	client, ledger := dial(t, cfg), newHistory(t, "", 5, 0)
	for range 2 {
		_, err := ledger.anchor(t, client, 5)
		require.ErrorIs(t, err, evm.ErrFunds)
		require.ErrorContains(t, err, "fund "+cfg.Signer.Address().String())
	}
	require.NoError(t, e.fund(t.Context(), cfg.Signer.Address()))
	_, err := ledger.anchor(t, client, 5)
	require.NoError(t, err)
}

// TestReplicasWriteTogether lets two replicas write the same and different things at once.
func TestReplicasWriteTogether(t *testing.T) {
	t.Parallel()
	e, _ := inProcess(t, inprocess.Config{})
	keys := []evm.Key{e.fundedKey(t), e.fundedKey(t)}
	d, err := evm.Deploy(t.Context(), evm.Config{Endpoint: e.url, Signer: keys[0]}, deployConfig(t, keys...))
	require.NoError(t, err)
	acceptToys(t, evm.Config{Endpoint: e.url, Signer: keys[0], Deployment: d, Replicas: []evm.Replica{keys[0], keys[1]}})
	ledger := newHistory(t, "", 10, 0)
	same := toy().access(t, d, toyNode(1), evm.Question{1}, 5)
	receipts := make(chan evm.Receipt, 100)
	failures := make(chan error, 100)
	var writers sync.WaitGroup
	for r, key := range keys {
		client := dial(t, evm.Config{Endpoint: e.url, Signer: key, Deployment: d, Replicas: []evm.Replica{keys[1], keys[0]}})
		persist := func(write func() (evm.Receipt, error)) (receipt evm.Receipt, err error) {
			for range 20 {
				if receipt, err = write(); !errors.Is(err, evm.ErrPending) && !errors.Is(err, evm.ErrUnreachable) {
					break
				}
			}
			return receipt, err
		}
		for w := range 4 {
			writers.Go(func() {
				receipt, err := persist(func() (evm.Receipt, error) { return client.LogAccess(t.Context(), same) })
				if err != nil {
					failures <- fmt.Errorf("log access: %w", err)
				}
				receipts <- receipt
				_, err = persist(func() (evm.Receipt, error) { return ledger.anchor(t, client, uint64(w+1)) })
				if err != nil && !errors.Is(err, evm.ErrSuperseded) {
					failures <- fmt.Errorf("anchor: %w", err)
				}
				_, err = persist(func() (evm.Receipt, error) {
					return client.PostRoots(t.Context(), []evm.Root{
						{Node: evm.Node{9}, Digest: [32]byte{byte(w + 1)}, LedgerIndex: uint64(w)},
						{Node: evm.Node{10, byte(r), byte(w)}, Digest: [32]byte{1}, LedgerIndex: 1},
					})
				})
				if err != nil {
					failures <- fmt.Errorf("post roots: %w", err)
				}
			})
		}
	}
	writers.Wait()
	close(receipts)
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	first := <-receipts
	for receipt := range receipts {
		require.Equal(t, first, receipt, "one access, one entry")
	}
	reader := dial(t, evm.Config{Endpoint: e.url, Deployment: d})
	latest, err := reader.LatestAnchor(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(4), latest.Size)
	root, err := reader.LatestRoot(t.Context(), evm.Node{9}, evm.Trial{})
	require.NoError(t, err)
	require.Equal(t, uint64(3), root.LedgerIndex)
}
