package evm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// Receipt says which transaction wrote something, in which block, and what gas it used.
type Receipt struct {
	TxHash Hash
	Block  uint64
	Gas    uint64
}

func receiptOf(r *types.Receipt) Receipt {
	return Receipt{TxHash: r.TxHash, Block: r.BlockNumber.Uint64(), Gas: r.GasUsed}
}

// settled returns the receipt of a transaction that wrote something earlier, once it is confirmed.
func (c *Client) settled(ctx context.Context, what string, tx Hash) (Receipt, error) {
	receipt, err := c.wait(ctx, what, []Hash{tx})
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(receipt), nil
}

// wait returns the receipt of whichever of the transactions is mined and confirmed, or ErrPending
// after MineTimeout. A receipt that a fork takes away again before that is not returned.
func (c *Client) wait(ctx context.Context, what string, txs []Hash) (*types.Receipt, error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.MineTimeout)
	defer cancel()
	pause := min(10*time.Millisecond, c.cfg.PollInterval)
	var last error // of a look that was not cut short
	for {
		receipt, err := c.confirmed(limited, what, txs)
		if receipt != nil {
			return receipt, nil
		}
		if err != nil && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrDisagree) && !errors.Is(err, context.Canceled) {
			return nil, err
		}
		if limited.Err() == nil || last == nil {
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-limited.Done():
			timer.Stop()
			return nil, stillPending(ctx, what, last)
		case <-timer.C:
		}
		pause = min(2*pause, c.cfg.PollInterval)
	}
}

// stillPending says why wait ended without a receipt; last is the last look's error, if any.
func stillPending(ctx context.Context, what string, last error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, context.Canceled)
	case last != nil:
		return fmt.Errorf("%w: %w", ErrPending, last)
	default:
		return fmt.Errorf("%s: %w", what, ErrPending)
	}
}

// confirmed returns the receipt if enough blocks follow it, nil if not yet.
func (c *Client) confirmed(ctx context.Context, what string, txs []Hash) (*types.Receipt, error) {
	receipt, err := c.mined(ctx, what, txs)
	if receipt == nil || err != nil || c.cfg.Confirmations == 0 {
		return receipt, err
	}
	head, err := ask(ctx, c, what, func(ctx context.Context) (*types.Header, error) {
		return c.backend.HeaderByNumber(ctx, nil)
	})
	if err != nil || head.Number.Uint64() < receipt.BlockNumber.Uint64()+c.cfg.Confirmations {
		return nil, err
	}
	// The head may be of another branch than the receipt was: look again.
	again, err := c.mined(ctx, what, txs)
	if err != nil || again == nil || again.BlockHash != receipt.BlockHash {
		return nil, err
	}
	return again, nil
}

// mined returns the receipt of whichever transaction was mined, nil if none was.
func (c *Client) mined(ctx context.Context, what string, txs []Hash) (*types.Receipt, error) {
	for _, tx := range txs {
		receipt, err := ask(ctx, c, what, func(ctx context.Context) (*types.Receipt, error) {
			return c.backend.TransactionReceipt(ctx, tx)
		})
		if err == nil {
			if receipt.BlockNumber == nil {
				return nil, fmt.Errorf("%s: %w: receipt without a block", what, ErrUnreachable)
			}
			return receipt, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}
