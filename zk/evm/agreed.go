package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
	"golang.org/x/sync/errgroup"
)

// maxApart is how many blocks one endpoint may be behind the other. Further behind it is out of
// order, and what both have is too old to go by.
const maxApart = 32

// agreed is a chain that two endpoints tell of. What it holds is read from both, at the newest
// block that both have, and counts if they say the same. What only the sender of a transaction
// needs, such as prices, comes from the first: what a lie does there is bounded by the Config.
type agreed struct {
	first, second *ethclient.Client
}

// Close ends both connections.
func (a *agreed) Close() {
	a.first.Close()
	a.second.Close()
}

// both asks both endpoints.
func both[T any](ctx context.Context, a *agreed, exchange func(context.Context, *ethclient.Client) (T, error)) (x, y T, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { x, err = exchange(ctx, a.first); return err })
	g.Go(func() (err error) { y, err = exchange(ctx, a.second); return err })
	err = g.Wait()
	return x, y, err
}

// head returns the newest block that both endpoints have.
func (a *agreed) head(ctx context.Context) (*types.Header, error) {
	newest := func(ctx context.Context, c *ethclient.Client) (*types.Header, error) {
		return c.HeaderByNumber(ctx, nil)
	}
	x, y, err := both(ctx, a, newest)
	if err != nil {
		return nil, err
	}
	ahead := a.first
	if x.Number.Cmp(y.Number) < 0 {
		x, y, ahead = y, x, a.second
	}
	if new(big.Int).Sub(x.Number, y.Number).Cmp(big.NewInt(maxApart)) > 0 {
		return nil, fmt.Errorf("%w: one is at block %s, the other at %s", ErrDisagree, x.Number, y.Number)
	}
	if x.Number.Cmp(y.Number) > 0 {
		if x, err = ahead.HeaderByNumber(ctx, y.Number); err != nil {
			return nil, err
		}
	}
	if x.Hash() != y.Hash() {
		return nil, fmt.Errorf("%w: block %s", ErrDisagree, y.Number)
	}
	return y, nil
}

// at returns block, or the number of the newest that both endpoints have.
func (a *agreed) at(ctx context.Context, block *big.Int) (*big.Int, error) {
	if block != nil {
		return block, nil
	}
	head, err := a.head(ctx)
	if err != nil {
		return nil, err
	}
	return head.Number, nil
}

func (a *agreed) ChainID(ctx context.Context) (*big.Int, error) {
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) (*big.Int, error) { return c.ChainID(ctx) })
	if err == nil && x.Cmp(y) != 0 {
		return nil, fmt.Errorf("%w: one is of chain %s, the other of chain %s", ErrDisagree, x, y)
	}
	return x, err
}

func (a *agreed) HeaderByNumber(ctx context.Context, number *big.Int) (*types.Header, error) {
	if number == nil {
		return a.head(ctx)
	}
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) (*types.Header, error) {
		return c.HeaderByNumber(ctx, number)
	})
	if err == nil && x.Hash() != y.Hash() {
		return nil, fmt.Errorf("%w: block %s", ErrDisagree, number)
	}
	return x, err
}

func (a *agreed) CodeAt(ctx context.Context, account Address, block *big.Int) ([]byte, error) {
	block, err := a.at(ctx, block)
	if err != nil {
		return nil, err
	}
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) ([]byte, error) {
		return c.CodeAt(ctx, account, block)
	})
	if err == nil && !bytes.Equal(x, y) {
		return nil, fmt.Errorf("%w: the code of %s", ErrDisagree, account)
	}
	return x, err
}

// answered is what a contract answered, or why it refused.
type answered struct {
	output  []byte
	refusal rpc.DataError
}

func (a *agreed) CallContract(ctx context.Context, call ethereum.CallMsg, block *big.Int) ([]byte, error) {
	block, err := a.at(ctx, block)
	if err != nil {
		return nil, err
	}
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) (r answered, err error) {
		r.output, err = c.CallContract(ctx, call, block)
		if errors.As(err, &r.refusal) && r.refusal.ErrorData() != nil {
			err = nil
		}
		return r, err
	})
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(x.output, y.output), (x.refusal == nil) != (y.refusal == nil),
		x.refusal != nil && !reflect.DeepEqual(x.refusal.ErrorData(), y.refusal.ErrorData()):
		return nil, fmt.Errorf("%w: what a contract answers", ErrDisagree)
	case x.refusal != nil:
		return nil, x.refusal
	}
	return x.output, nil
}

func (a *agreed) EstimateGas(ctx context.Context, call ethereum.CallMsg) (uint64, error) {
	return a.first.EstimateGas(ctx, call)
}

func (a *agreed) SuggestGasTipCap(ctx context.Context) (*big.Int, error) {
	return a.first.SuggestGasTipCap(ctx)
}

func (a *agreed) NonceAt(ctx context.Context, account Address, block *big.Int) (uint64, error) {
	block, err := a.at(ctx, block)
	if err != nil {
		return 0, err
	}
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) (uint64, error) {
		return c.NonceAt(ctx, account, block)
	})
	if err == nil && x != y {
		return 0, fmt.Errorf("%w: the nonce of %s", ErrDisagree, account)
	}
	return x, err
}

func (a *agreed) PendingNonceAt(ctx context.Context, account Address) (uint64, error) {
	return a.first.PendingNonceAt(ctx, account)
}

// SendTransaction sends to both, so that neither can hold a transaction back. It is sent if one took it.
func (a *agreed) SendTransaction(ctx context.Context, tx *types.Transaction) error {
	failures := [2]error{}
	var g errgroup.Group
	for i, c := range []*ethclient.Client{a.first, a.second} {
		g.Go(func() error { failures[i] = c.SendTransaction(ctx, tx); return nil })
	}
	_ = g.Wait()
	if failures[1] == nil {
		return nil
	}
	return failures[0]
}

// TransactionReceipt returns a receipt that both have; as long as one has none, there is none.
func (a *agreed) TransactionReceipt(ctx context.Context, hash Hash) (*types.Receipt, error) {
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) (*types.Receipt, error) {
		return c.TransactionReceipt(ctx, hash)
	})
	if err == nil && (x.BlockHash != y.BlockHash || x.Status != y.Status || x.GasUsed != y.GasUsed) {
		return nil, fmt.Errorf("%w: transaction %s", ErrDisagree, hash)
	}
	return x, err
}

func (a *agreed) FilterLogs(ctx context.Context, query ethereum.FilterQuery) ([]types.Log, error) {
	x, y, err := both(ctx, a, func(ctx context.Context, c *ethclient.Client) ([]types.Log, error) {
		return c.FilterLogs(ctx, query)
	})
	if err == nil && !slices.EqualFunc(x, y, sameLog) {
		return nil, fmt.Errorf("%w: the events of a contract", ErrDisagree)
	}
	return x, err
}

func sameLog(x, y types.Log) bool {
	return x.Address == y.Address && slices.Equal(x.Topics, y.Topics) && bytes.Equal(x.Data, y.Data) &&
		x.BlockHash == y.BlockHash && x.TxHash == y.TxHash && x.Index == y.Index && x.Removed == y.Removed
}
