package inprocess

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// Faucet returns the key of the account that has all the money at the start.
func Faucet() evm.Key {
	raw, err := hex.DecodeString(faucetKey)
	if err != nil {
		panic("inprocess: " + err.Error())
	}
	key, err := evm.NewKey(raw)
	if err != nil {
		panic("inprocess: " + err.Error())
	}
	return key
}

// Fund gives an account 1000 coins, enough for about 10^6 transactions, and waits at most 30 s for
// the block.
func (c *Chain) Fund(ctx context.Context, account evm.Address) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c.funding.Lock()
	defer c.funding.Unlock()
	if err := c.fund(ctx, account); err != nil {
		return fmt.Errorf("fund %s: %w", account, err)
	}
	return nil
}

func (c *Chain) fund(ctx context.Context, account evm.Address) error {
	key, err := crypto.HexToECDSA(faucetKey)
	if err != nil {
		return err
	}
	faucet := crypto.PubkeyToAddress(key.PublicKey)
	nonce, err := c.client.PendingNonceAt(ctx, faucet)
	if err != nil {
		return err
	}
	head, err := c.client.HeaderByNumber(ctx, nil)
	if err != nil {
		return err
	}
	chain := big.NewInt(ChainID)
	tip := big.NewInt(1)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(chain), &types.DynamicFeeTx{
		ChainID: chain, Nonce: nonce, To: &account, Gas: params.TxGas,
		GasTipCap: tip, GasFeeCap: new(big.Int).Add(tip, new(big.Int).Lsh(head.BaseFee, 1)),
		Value: new(big.Int).Mul(big.NewInt(1000), big.NewInt(params.Ether)),
	})
	if err != nil {
		return err
	}
	if err := c.client.SendTransaction(ctx, tx); err != nil {
		return err
	}
	for {
		next, err := c.client.NonceAt(ctx, faucet, nil)
		if err != nil || next > nonce {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
