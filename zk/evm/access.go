package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// QueryHash names a question in a proof: 248 bits, big-endian, the first byte zero.
type QueryHash [32]byte

// Access is a node's claim, with proof, that consent covered what it used for a question.
type Access struct {
	Node   Node
	Query  QueryHash
	Proof  []byte     // ProofSize bytes
	Inputs [][32]byte // public inputs, big-endian, each below the scalar field's order
}

func (a Access) words() []*big.Int {
	words := make([]*big.Int, len(a.Inputs))
	for i, input := range a.Inputs {
		words[i] = new(big.Int).SetBytes(input[:])
	}
	return words
}

func (a Access) validate() error {
	if len(a.Proof) != ProofSize {
		return fmt.Errorf("proof of %d bytes, not %d: %w", len(a.Proof), ProofSize, ErrProofRefused)
	}
	if len(a.Inputs) == 0 || len(a.Inputs) > maxInputs {
		return fmt.Errorf("%d public inputs, not 1 to %d: %w", len(a.Inputs), maxInputs, ErrProofRefused)
	}
	return nil
}

// LoggedAccess is an access in the chain's log. The proof is in the transaction.
type LoggedAccess struct {
	Node    Node
	Query   QueryHash
	Inputs  [][32]byte
	Receipt Receipt
}

// VerifyAccess lets the contract verify a proof without a transaction. It returns nil if the proof
// is valid and about a.Query, ErrProofRefused if not. It does not look at a.Node: which node's
// consents the inputs stand for, the ledger says.
func (c *Client) VerifyAccess(ctx context.Context, a Access) error {
	if err := a.validate(); err != nil {
		return fmt.Errorf("verify access: %w", err)
	}
	valid, err := viewOne[bool](ctx, c, accessContract, c.cfg.Deployment.Access, "verifyAccess", a.Query, a.Proof, a.words())
	if err != nil {
		return err
	}
	if !valid {
		return fmt.Errorf("verify access: %w", ErrProofRefused)
	}
	return nil
}

// LogAccess lets the contract verify a proof and log the access. There is one entry for each node
// and question: logging the same statement again, even with another proof of it, returns the first
// entry's receipt; another statement is ErrConflict.
func (c *Client) LogAccess(ctx context.Context, a Access) (Receipt, error) {
	const what = "log access"
	if err := a.validate(); err != nil {
		return Receipt{}, wrap(what, err)
	}
	receipt, err := c.logged(ctx, a)
	if !errors.Is(err, ErrNotFound) {
		return receipt, wrap(what, err)
	}
	mined, err := c.write(ctx, what, accessContract, c.cfg.Deployment.Access, "logAccess", a.Node, a.Query, a.Proof, a.words())
	if reverted(err, "AlreadyLogged") {
		receipt, err = c.logged(ctx, a)
		return receipt, wrap(what, err)
	}
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(mined), nil
}

// logged returns the receipt of the entry that logs a's statement.
func (c *Client) logged(ctx context.Context, a Access) (Receipt, error) {
	found, err := c.AccessEvent(ctx, a.Node, a.Query)
	if err != nil {
		return Receipt{}, err
	}
	if !slices.Equal(found.Inputs, a.Inputs) {
		return Receipt{}, fmt.Errorf("another statement of this node about this question is logged: %w", ErrConflict)
	}
	return c.settled(ctx, "read receipt", found.Receipt.TxHash)
}

// AccessEvent returns the logged access of a node for a question, or ErrNotFound, as of the latest
// block.
func (c *Client) AccessEvent(ctx context.Context, node Node, query QueryHash) (LoggedAccess, error) {
	block, err := viewOne[*big.Int](ctx, c, accessContract, c.cfg.Deployment.Access, "loggedAt", node, query)
	if err != nil {
		return LoggedAccess{}, err
	}
	if block.Sign() == 0 {
		return LoggedAccess{}, fmt.Errorf("access event: %w", ErrNotFound)
	}
	event, err := c.event(ctx, accessContract, c.cfg.Deployment.Access, "AccessLogged", block.Uint64(), Hash(node), Hash(query))
	if err != nil {
		return LoggedAccess{}, err
	}
	values, err := accessContract.abi.Unpack("AccessLogged", event.Data)
	if err != nil {
		return LoggedAccess{}, fmt.Errorf("access event: %w: unexpected data", ErrNotDeployed)
	}
	words := values[0].([]*big.Int)
	logged := LoggedAccess{Node: node, Query: query, Inputs: make([][32]byte, len(words))}
	for i, word := range words {
		word.FillBytes(logged.Inputs[i][:])
	}
	receipt, err := c.mined(ctx, "read receipt", []Hash{event.TxHash})
	if err != nil {
		return LoggedAccess{}, err
	}
	if receipt == nil {
		return LoggedAccess{}, fmt.Errorf("read receipt: %w: event without it", ErrUnreachable)
	}
	logged.Receipt = receiptOf(receipt)
	return logged, nil
}
