package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

const (
	// maxGas is the most gas that one transaction may use by EIP-7825.
	maxGas = 1 << 24

	// maxInFlight bounds the transactions that are remembered because they are not mined yet.
	maxInFlight = 256

	// forkDepth is how many blocks a fork is expected to take back at most, two epochs of
	// Ethereum, after which a block is final; maxRecent bounds what is remembered for that.
	forkDepth = 64
	maxRecent = 256

	gwei = 1_000_000_000
)

// account sends the transactions of one key.
//
// A write that timed out is remembered under its content with its nonce. When it is asked for
// again, the same transaction is sent again, or one with the same nonce that pays more, of which
// the chain can take only one: a retry neither writes twice nor waits behind itself. After a
// restart this memory is gone, and what keeps a write single are the contracts.
type account struct {
	c    *Client
	turn chan struct{} // holds one token; whoever chooses a nonce has it

	mu sync.Mutex // guards inFlight
	// inFlight maps what a transaction does to the transactions that were sent to do it.
	// They all have the same nonce; the last pays most.
	inFlight map[Hash][]*types.Transaction
	// recent are the last writes that were mined, which a fork of the chain may take back.
	recent []minedWrite
}

// minedWrite is a write and what was sent for it.
type minedWrite struct {
	call call
	sent []*types.Transaction
}

func newAccount(c *Client) *account {
	a := &account{
		c:        c,
		turn:     make(chan struct{}, 1),
		inFlight: make(map[Hash][]*types.Transaction),
	}
	a.turn <- struct{}{}
	return a
}

// call is what a transaction is to do: input for a contract, or for creating one if to is nil.
type call struct {
	what  string
	to    *Address
	input []byte
	mark  Hash // tells it from other calls; zero if input does
}

func (k call) id() Hash {
	if k.mark != (Hash{}) {
		return k.mark
	}
	if k.to == nil {
		return crypto.Keccak256Hash(k.input)
	}
	return crypto.Keccak256Hash(k.to.Bytes(), k.input)
}

// transact sends a transaction and waits until it is mined and confirmed.
func (c *Client) transact(ctx context.Context, k call) (*types.Receipt, error) {
	if c.account == nil {
		return nil, fmt.Errorf("%s: %w", k.what, ErrReadOnly)
	}
	a := c.account
	sent, err := a.send(ctx, k)
	if errors.Is(err, ErrFunds) {
		err = fmt.Errorf("%w: fund %s", err, c.Address())
	}
	if err != nil {
		return nil, err
	}
	receipt, err := c.wait(ctx, k.what, hashes(sent))
	if err != nil {
		return nil, err
	}
	a.remember(k, nil)
	a.keep(minedWrite{k, sent})
	if receipt.Status != types.ReceiptStatusSuccessful {
		return nil, c.whyReverted(ctx, k, receipt)
	}
	return receipt, nil
}

// earlier returns what was sent for k and is not known to be mined, and how many writes wait in all.
func (a *account) earlier(k call) ([]*types.Transaction, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inFlight[k.id()], len(a.inFlight)
}

// remember replaces what is known to have been sent for k.
func (a *account) remember(k call, sent []*types.Transaction) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(sent) == 0 {
		delete(a.inFlight, k.id())
		return
	}
	a.inFlight[k.id()] = sent
}

// keep remembers a write that was mined, and the last that was sent for it.
func (a *account) keep(w minedWrite) {
	a.forget(w)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recent = append(a.recent, w)
	if excess := len(a.recent) - maxRecent; excess > 0 {
		a.recent = slices.Delete(a.recent, 0, excess)
	}
}

// Resend looks for the writes of this client that were mined in the last blocks, and sends those
// again that a fork of the chain took back. It returns how many. They have the nonces they had, so
// that none happens twice. Call it now and then: a write that succeeded is not looked at otherwise.
func (c *Client) Resend(ctx context.Context) (int, error) {
	if c.account == nil {
		return 0, nil
	}
	const what = "look for forks"
	a := c.account
	a.mu.Lock()
	recent := slices.Clone(a.recent)
	a.mu.Unlock()
	if len(recent) == 0 {
		return 0, nil
	}
	head, err := ask(ctx, c, what, func(ctx context.Context) (*types.Header, error) {
		return c.backend.HeaderByNumber(ctx, nil)
	})
	if err != nil {
		return 0, err
	}
	again := 0
	var failures []error
	for _, w := range recent {
		receipt, err := c.mined(ctx, what, hashes(w.sent))
		if err == nil && receipt == nil {
			a.remember(w.call, w.sent)
			var sent []*types.Transaction
			if sent, err = a.send(ctx, w.call); err == nil {
				again++
				a.keep(minedWrite{w.call, sent})
			}
		}
		if receipt != nil {
			a.remember(w.call, nil)
		}
		if err != nil {
			failures = append(failures, err)
		}
		if err == nil && receipt != nil && head.Number.Uint64() > receipt.BlockNumber.Uint64()+forkDepth {
			a.forget(w)
		}
	}
	return again, errors.Join(failures...)
}

// forget drops a write that no fork takes back any more.
func (a *account) forget(w minedWrite) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recent = slices.DeleteFunc(a.recent, func(other minedWrite) bool { return other.call.id() == w.call.id() })
}

// send makes sure that a transaction for k is on its way and returns all that were sent for it.
func (a *account) send(ctx context.Context, k call) ([]*types.Transaction, error) {
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: wait for the account's turn: %w", k.what, ctx.Err())
	}
	earlier, waiting := a.earlier(k)
	if len(earlier) > 0 {
		return a.resend(ctx, k, earlier)
	}
	if waiting >= maxInFlight {
		return nil, fmt.Errorf("%s: %d transactions are not mined yet: %w", k.what, waiting, ErrPending)
	}
	return a.sendNew(ctx, k)
}

func (a *account) sendNew(ctx context.Context, k call) ([]*types.Transaction, error) {
	tip, fee, err := a.fees(ctx, k.what)
	if err != nil {
		return nil, err
	}
	gas, err := ask(ctx, a.c, k.what, func(ctx context.Context) (uint64, error) {
		return a.c.backend.EstimateGas(ctx, ethereum.CallMsg{From: a.c.Address(), To: k.to, Data: k.input})
	})
	if err != nil {
		return nil, err
	}
	// The state may differ a little by the time it is mined.
	if gas += gas / 5; gas > maxGas {
		return nil, fmt.Errorf("%s: needs %d gas, the limit is %d", k.what, gas, maxGas)
	}
	nonce, err := ask(ctx, a.c, k.what, func(ctx context.Context) (uint64, error) {
		return a.c.backend.PendingNonceAt(ctx, a.c.Address())
	})
	if err != nil {
		return nil, err
	}
	return a.post(ctx, k, nil, &types.DynamicFeeTx{
		Nonce: nonce, GasTipCap: tip, GasFeeCap: fee, Gas: gas, To: k.to, Data: k.input,
	})
}

// resend sends the last of the earlier transactions again, or one that pays more if by now the
// chain asks for more. If another transaction took the nonce, it starts afresh.
func (a *account) resend(ctx context.Context, k call, earlier []*types.Transaction) ([]*types.Transaction, error) {
	last := earlier[len(earlier)-1]
	next, err := ask(ctx, a.c, k.what, func(ctx context.Context) (uint64, error) {
		return a.c.backend.NonceAt(ctx, a.c.Address(), nil)
	})
	if err != nil {
		return nil, err
	}
	if next > last.Nonce() {
		receipt, err := a.c.mined(ctx, k.what, hashes(earlier))
		if err != nil {
			return nil, err
		}
		if receipt != nil {
			return earlier, nil
		}
		a.remember(k, nil)
		return a.sendNew(ctx, k)
	}
	tip, fee, err := a.fees(ctx, k.what)
	if err != nil {
		return nil, err
	}
	if tip.Cmp(last.GasTipCap()) <= 0 && fee.Cmp(last.GasFeeCap()) <= 0 {
		return earlier, a.broadcast(ctx, k.what, last)
	}
	tip, fee = larger(tip, raised(last.GasTipCap())), larger(fee, raised(last.GasFeeCap()))
	if limit := a.maxFee(); fee.Cmp(limit) > 0 {
		return earlier, a.broadcast(ctx, k.what, last)
	}
	return a.post(ctx, k, earlier, &types.DynamicFeeTx{
		Nonce: last.Nonce(), GasTipCap: tip, GasFeeCap: fee, Gas: last.Gas(), To: k.to, Data: k.input,
	})
}

// post signs, remembers and broadcasts a transaction, in this order: what may have been sent must
// not be forgotten.
func (a *account) post(ctx context.Context, k call, earlier []*types.Transaction, body *types.DynamicFeeTx) ([]*types.Transaction, error) {
	body.ChainID = new(big.Int).SetUint64(a.c.cfg.ChainID)
	tx, err := a.c.cfg.Signer.signTransaction(ctx, types.NewTx(body))
	if err != nil {
		return earlier, fmt.Errorf("%s: %w", k.what, err)
	}
	sent := append(earlier[:len(earlier):len(earlier)], tx)
	a.remember(k, sent)
	err = a.broadcast(ctx, k.what, tx)
	if err != nil && !errors.Is(err, ErrUnreachable) && !errors.Is(err, context.Canceled) {
		a.remember(k, earlier) // the node took a look and said no
	}
	return sent, err
}

func (a *account) broadcast(ctx context.Context, what string, tx *types.Transaction) error {
	_, err := ask(ctx, a.c, what, func(ctx context.Context) (struct{}, error) {
		err := a.c.backend.SendTransaction(ctx, tx)
		if err != nil && alreadyKnown(err) {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

// alreadyKnown reports whether a node refused a transaction because it has it. JSON-RPC has no
// code for that, only the text that go-ethereum and most others use.
func alreadyKnown(err error) bool { return err.Error() == "already known" }

// fees returns the tip and the total to offer for a unit of gas, in 10^-18 of the chain's coin.
func (a *account) fees(ctx context.Context, what string) (tip, fee *big.Int, err error) {
	head, err := ask(ctx, a.c, what, func(ctx context.Context) (*types.Header, error) {
		return a.c.backend.HeaderByNumber(ctx, nil)
	})
	if err != nil {
		return nil, nil, err
	}
	if head.BaseFee == nil {
		return nil, nil, fmt.Errorf("%s: the chain has no base fee (EIP-1559)", what)
	}
	tip, err = ask(ctx, a.c, what, a.c.backend.SuggestGasTipCap)
	if err != nil {
		return nil, nil, err
	}
	limit := a.maxFee()
	least := new(big.Int).Add(head.BaseFee, tip)
	if least.Cmp(limit) > 0 {
		return nil, nil, fmt.Errorf("%s: the chain asks for %s wei, the limit is %s: %w", what, least, limit, ErrFee)
	}
	// Twice the base fee lasts for at least six full blocks (12.5 % each).
	fee = new(big.Int).Add(least, head.BaseFee)
	if fee.Cmp(limit) > 0 {
		fee = limit
	}
	return tip, fee, nil
}

func (a *account) maxFee() *big.Int {
	return new(big.Int).Mul(new(big.Int).SetUint64(a.c.cfg.MaxFeeGwei), big.NewInt(gwei))
}

// raised returns what a replacement must pay at least: nodes want 10 % more, some 12.5 %.
func raised(fee *big.Int) *big.Int {
	quarter := new(big.Int).Rsh(fee, 2)
	return quarter.Add(quarter, fee).Add(quarter, big.NewInt(1))
}

func hashes(txs []*types.Transaction) []Hash {
	list := make([]Hash, len(txs))
	for i, tx := range txs {
		list[i] = tx.Hash()
	}
	return list
}

func larger(x, y *big.Int) *big.Int {
	if x.Cmp(y) > 0 {
		return x
	}
	return y
}

// whyReverted asks the chain to repeat a call that was mined and reverted, for its reason.
func (c *Client) whyReverted(ctx context.Context, k call, receipt *types.Receipt) error {
	_, err := ask(ctx, c, k.what, func(ctx context.Context) ([]byte, error) {
		return c.backend.CallContract(ctx, ethereum.CallMsg{From: c.Address(), To: k.to, Data: k.input}, receipt.BlockNumber)
	})
	var revert *RevertError
	if errors.As(err, &revert) {
		return err
	}
	return fmt.Errorf("%s: transaction %s: %w", k.what, receipt.TxHash, &RevertError{})
}
