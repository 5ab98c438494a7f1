package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/core/types"
)

// Checkpoint is a ledger checkpoint as the chain holds it.
type Checkpoint struct {
	Size  uint64    // leaves
	Root  [32]byte  // Merkle root over them
	Block uint64    // in which it was anchored
	Time  time.Time // of that block, UTC, whole seconds
}

// Anchor writes a checkpoint of the hub's ledger. It is done already if the chain holds it;
// ErrConflict says that the chain holds another root for this size, ErrSuperseded that it holds a
// larger size and never held this one.
func (c *Client) Anchor(ctx context.Context, size uint64, root [32]byte) (Receipt, error) {
	what := fmt.Sprintf("anchor checkpoint of size %d", size)
	if size == 0 || root == ([32]byte{}) {
		return Receipt{}, errors.New(what + ": neither size nor root may be zero")
	}
	receipt, err := c.anchored(ctx, size, root)
	if !errors.Is(err, ErrNotFound) {
		return receipt, wrap(what, err)
	}
	mined, err := c.write(ctx, what, anchorContract, c.cfg.Deployment.Anchor, "anchor", size, root)
	if reverted(err, "NotGrowing") {
		// Another replica, or an earlier try of this call, came first.
		receipt, err = c.anchored(ctx, size, root)
		if errors.Is(err, ErrNotFound) {
			err = ErrSuperseded
		}
		return receipt, wrap(what, err)
	}
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(mined), nil
}

// anchored returns the receipt of the transaction that anchored this checkpoint.
func (c *Client) anchored(ctx context.Context, size uint64, root [32]byte) (Receipt, error) {
	found, err := c.AnchorAt(ctx, size)
	if err != nil {
		return Receipt{}, err
	}
	if found.Root != root {
		return Receipt{}, fmt.Errorf("root %x is anchored for that size: %w", found.Root, ErrConflict)
	}
	event, err := c.event(ctx, anchorContract, c.cfg.Deployment.Anchor, "Anchored", found.Block, topic(size))
	if err != nil {
		return Receipt{}, err
	}
	return c.settled(ctx, "read receipt", event.TxHash)
}

// AnchorAt returns the checkpoint over exactly size leaves, or ErrNotFound, as of the latest block.
func (c *Client) AnchorAt(ctx context.Context, size uint64) (Checkpoint, error) {
	type checkpoint struct {
		Root        [32]byte
		BlockNumber uint64
		Time        uint64
	}
	found, err := viewOne[checkpoint](ctx, c, anchorContract, c.cfg.Deployment.Anchor, "checkpoint", size)
	if err != nil {
		return Checkpoint{}, err
	}
	if found.BlockNumber == 0 {
		return Checkpoint{}, fmt.Errorf("checkpoint of size %d: %w", size, ErrNotFound)
	}
	return Checkpoint{
		Size: size, Root: found.Root, Block: found.BlockNumber,
		Time: time.Unix(int64(found.Time), 0).UTC(),
	}, nil
}

// LatestAnchor returns the largest checkpoint, or ErrNotFound before the first.
func (c *Client) LatestAnchor(ctx context.Context) (Checkpoint, error) {
	size, err := viewOne[uint64](ctx, c, anchorContract, c.cfg.Deployment.Anchor, "latestSize")
	if err != nil {
		return Checkpoint{}, err
	}
	return c.AnchorAt(ctx, size)
}

// write sends a transaction to a contract of the deployment.
func (c *Client) write(ctx context.Context, what string, on contract, at Address, method string, args ...any) (*types.Receipt, error) {
	input, err := on.abi.Pack(method, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return c.transact(ctx, call{what: what, to: &at, input: input})
}

// event returns the last event of that name and those indexed values in a block. Contracts keep
// the block of what they hold, so no range of blocks has to be searched: many endpoints limit that.
func (c *Client) event(ctx context.Context, on contract, at Address, name string, block uint64, indexed ...Hash) (types.Log, error) {
	number := new(big.Int).SetUint64(block)
	topics := [][]Hash{{on.abi.Events[name].ID}}
	for _, value := range indexed {
		topics = append(topics, []Hash{value})
	}
	logs, err := ask(ctx, c, "read event "+name, func(ctx context.Context) ([]types.Log, error) {
		return c.backend.FilterLogs(ctx, ethereum.FilterQuery{
			FromBlock: number, ToBlock: number, Addresses: []Address{at}, Topics: topics,
		})
	})
	if err != nil {
		return types.Log{}, err
	}
	if len(logs) == 0 {
		// The contract says that it is there, so this endpoint has not indexed the block yet.
		return types.Log{}, fmt.Errorf("read event %s: %w: block %d without it", name, ErrUnreachable, block)
	}
	return logs[len(logs)-1], nil
}

func topic(n uint64) Hash { return Hash(new(big.Int).SetUint64(n).FillBytes(make([]byte, 32))) }

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
