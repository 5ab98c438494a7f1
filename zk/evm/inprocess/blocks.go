package inprocess

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/core"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// Commit makes a block of the transactions that wait and returns its hash. If the chain has a
// folder, the block is durable then.
func (c *Chain) Commit() evm.Hash {
	c.commit.Lock()
	defer c.commit.Unlock()
	block := c.beacon.Commit()
	// Without this a killed process loses its last few blocks. An error here comes again when
	// the next block is written, which go-ethereum reports.
	_ = c.eth.ChainDb().SyncKeyValue()
	return block
}

// Rewind takes back the last n blocks; their transactions are gone. No transaction may wait.
func (c *Chain) Rewind(n uint64) error {
	c.commit.Lock()
	defer c.commit.Unlock()
	head := c.eth.BlockChain().CurrentBlock().Number.Uint64()
	if n > head {
		return fmt.Errorf("rewind %d of %d blocks", n, head)
	}
	if err := c.beacon.Fork(c.eth.BlockChain().GetCanonicalHash(head - n)); err != nil {
		return fmt.Errorf("rewind %d blocks: %w", n, err)
	}
	return nil
}

// Forward makes an empty block that is so much later than the last one. No transaction may wait.
func (c *Chain) Forward(later time.Duration) error {
	c.commit.Lock()
	defer c.commit.Unlock()
	// The pool may still show what the last block took.
	if err := c.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("forward %s: %w", later, err)
	}
	if err := c.beacon.AdjustTime(later); err != nil {
		return fmt.Errorf("forward %s: %w", later, err)
	}
	return nil
}

// makeBlocks makes a block whenever a transaction waits, until Close.
func (c *Chain) makeBlocks() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	arrived := make(chan core.NewTxsEvent)
	subscription := c.eth.TxPool().SubscribeTransactions(arrived, true)
	wake := make(chan struct{}, 1)
	// Two loops, since the pool waits for its event to be received and a block for the pool.
	c.loops.Go(func() {
		defer subscription.Unsubscribe()
		for {
			select {
			case <-ctx.Done():
				return
			case <-arrived:
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
	c.loops.Go(func() {
		// An event can arrive before the block could take the transaction: look again.
		again := time.NewTicker(time.Second)
		defer again.Stop()
		for {
			c.makeWaiting(ctx)
			select {
			case <-ctx.Done():
				return
			case <-wake:
			case <-again.C:
			}
		}
	})
}

// makeWaiting makes blocks until no transaction waits that a block would take.
func (c *Chain) makeWaiting(ctx context.Context) {
	for ctx.Err() == nil {
		// The pool drops what the last block took only after it saw that block.
		if err := c.eth.TxPool().Sync(); err != nil {
			return
		}
		if waiting, _ := c.eth.TxPool().Stats(); waiting == 0 {
			return
		}
		block := c.eth.BlockChain().GetBlockByHash(c.Commit())
		if block == nil || len(block.Transactions()) == 0 {
			return
		}
	}
}
