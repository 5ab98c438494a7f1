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
	Time  time.Time // of the block; of the latest only
}

// Growth returns the proof that the ledger's first from leaves are the beginning of those of the
// checkpoint to anchor: an RFC 6962 consistency proof.
type Growth func(ctx context.Context, from uint64) ([][32]byte, error)

// Anchor writes a checkpoint of the hub's ledger. It is done already if the chain holds it;
// ErrConflict says that the chain holds another root for this size, ErrSuperseded that it holds a
// larger size and never held this one, ErrNotConsistent that it holds another history.
func (c *Client) Anchor(ctx context.Context, size uint64, root [32]byte, growth Growth) (Receipt, error) {
	what := fmt.Sprintf("anchor checkpoint of size %d", size)
	if size == 0 || root == ([32]byte{}) {
		return Receipt{}, errors.New(what + ": neither size nor root may be zero")
	}
	// Another replica may anchor between looking and sending; then look again.
	var err error
	for try := 0; ; try++ {
		receipt, there := c.anchored(ctx, size, root)
		if !errors.Is(there, ErrNotFound) {
			return receipt, wrap(what, there)
		}
		if try == 3 {
			break
		}
		var mined *types.Receipt
		if mined, err = c.anchor(ctx, what, size, root, growth); err == nil {
			return receiptOf(mined), nil
		}
		if !reverted(err, "NotGrowing") && !reverted(err, "NotConsistent") {
			return Receipt{}, err
		}
	}
	if reverted(err, "NotConsistent") {
		return Receipt{}, fmt.Errorf("%s: %w", what, ErrNotConsistent)
	}
	return Receipt{}, err
}

// anchor sends a checkpoint with the proof that it extends the latest.
func (c *Client) anchor(ctx context.Context, what string, size uint64, root [32]byte, growth Growth) (*types.Receipt, error) {
	latest, err := c.LatestAnchor(ctx)
	path := [][32]byte{}
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return nil, wrap(what, err)
	case latest.Size > size:
		return nil, wrap(what, ErrSuperseded)
	default:
		if path, err = growth(ctx, latest.Size); err != nil {
			return nil, fmt.Errorf("%s: prove that it extends size %d: %w", what, latest.Size, err)
		}
	}
	at := c.cfg.Deployment.Anchor
	return c.writeSigned(ctx, what, anchorContract, at, c.cfg.Deployment.checkpointStatement(size, root), "anchor", size, root, path)
}

// anchored returns the receipt of the transaction that anchored this checkpoint.
func (c *Client) anchored(ctx context.Context, size uint64, root [32]byte) (Receipt, error) {
	found, tx, err := c.anchorAt(ctx, size)
	if err != nil {
		return Receipt{}, err
	}
	if found.Root != root {
		return Receipt{}, fmt.Errorf("root %x is anchored for that size: %w", found.Root, ErrConflict)
	}
	return c.settled(ctx, "read receipt", tx)
}

// AnchorAt returns the checkpoint over exactly size leaves, or ErrNotFound, as of the latest block.
func (c *Client) AnchorAt(ctx context.Context, size uint64) (Checkpoint, error) {
	found, _, err := c.anchorAt(ctx, size)
	return found, err
}

// anchorAt is AnchorAt that also names the transaction.
func (c *Client) anchorAt(ctx context.Context, size uint64) (Checkpoint, Hash, error) {
	block, err := viewOne[*big.Int](ctx, c, anchorContract, c.cfg.Deployment.Anchor, "anchoredAt", size)
	if err != nil {
		return Checkpoint{}, Hash{}, err
	}
	if block.Sign() == 0 {
		return Checkpoint{}, Hash{}, fmt.Errorf("checkpoint of size %d: %w", size, ErrNotFound)
	}
	event, err := c.event(ctx, anchorContract, c.cfg.Deployment.Anchor, "Anchored", block.Uint64(), topic(size))
	if err != nil {
		return Checkpoint{}, Hash{}, err
	}
	if len(event.Data) != len(Hash{}) {
		return Checkpoint{}, Hash{}, fmt.Errorf("checkpoint of size %d: %w: unexpected data", size, ErrNotDeployed)
	}
	return Checkpoint{Size: size, Root: [32]byte(event.Data), Block: block.Uint64()}, event.TxHash, nil
}

// LatestAnchor returns the largest checkpoint, or ErrNotFound before the first.
func (c *Client) LatestAnchor(ctx context.Context) (Checkpoint, error) {
	type checkpoint struct {
		Root        [32]byte
		Size        uint64
		BlockNumber uint64
		Time        uint64
		Count       uint64
	}
	latest, err := viewOne[checkpoint](ctx, c, anchorContract, c.cfg.Deployment.Anchor, "latest")
	if err != nil {
		return Checkpoint{}, err
	}
	if latest.Size == 0 {
		return Checkpoint{}, fmt.Errorf("latest checkpoint: %w", ErrNotFound)
	}
	return Checkpoint{Size: latest.Size, Root: latest.Root, Block: latest.BlockNumber, Time: time.Unix(int64(latest.Time), 0)}, nil
}

// Anchored reports whether the contract finds the entry with this leaf hash at index of the
// ledger, according to the latest checkpoint. path is an RFC 6962 inclusion proof for its size.
func (c *Client) Anchored(ctx context.Context, leaf [32]byte, index uint64, path [][32]byte) (bool, error) {
	return viewOne[bool](ctx, c, anchorContract, c.cfg.Deployment.Anchor, "includes", leaf, index, path)
}

// write sends a transaction to a contract of the deployment.
func (c *Client) write(ctx context.Context, what string, on contract, at Address, method string, args ...any) (*types.Receipt, error) {
	input, err := on.abi.Pack(method, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return c.transact(ctx, call{what: what, to: &at, input: input})
}

// event returns the last event of that name and those indexed values in a block.
func (c *Client) event(ctx context.Context, on contract, at Address, name string, block uint64, indexed ...Hash) (types.Log, error) {
	logs, err := c.events(ctx, on, at, name, block, indexed...)
	if err != nil {
		return types.Log{}, err
	}
	if len(logs) == 0 {
		// The contract says that it is there, so this endpoint has not indexed the block yet.
		return types.Log{}, fmt.Errorf("read event %s: %w: block %d without it", name, ErrUnreachable, block)
	}
	return logs[len(logs)-1], nil
}

// events returns all events of that name and those indexed values in a block. Contracts keep the
// block of what they hold, so no range of blocks has to be searched: many endpoints limit that.
func (c *Client) events(ctx context.Context, on contract, at Address, name string, block uint64, indexed ...Hash) ([]types.Log, error) {
	number := new(big.Int).SetUint64(block)
	topics := [][]Hash{{on.abi.Events[name].ID}}
	for _, value := range indexed {
		topics = append(topics, []Hash{value})
	}
	return ask(ctx, c, "read event "+name, func(ctx context.Context) ([]types.Log, error) {
		return c.backend.FilterLogs(ctx, ethereum.FilterQuery{
			FromBlock: number, ToBlock: number, Addresses: []Address{at}, Topics: topics,
		})
	})
}

func topic(n uint64) Hash { return Hash(new(big.Int).SetUint64(n).FillBytes(make([]byte, 32))) }

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
