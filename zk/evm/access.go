package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Question names a question on the chain: its digest on the hub's ledger.
type Question [32]byte

// QueryHash returns the public input that makes a proof good for one node and question, on one
// chain and for one access log: 248 bits, big-endian, the first byte zero.
func (d Deployment) QueryHash(node Node, question Question) (hash [32]byte) {
	chain := new(big.Int).SetUint64(d.ChainID).FillBytes(make([]byte, 32))
	copy(hash[1:], crypto.Keccak256(chain, d.Access[:], node[:], question[:]))
	return hash
}

// Access is a node's claim, with proof, that consent covered what it used for a question.
type Access struct {
	Node     Node
	Question Question
	Proof    []byte     // ProofSize bytes
	Inputs   [][32]byte // public inputs, big-endian, each below the scalar field's order
}

// Statement is the Keccak-256 of the public inputs, by which the log names what was proven.
func (a Access) Statement() Hash { return crypto.Keccak256Hash(slices.Concat(a.bytes()...)) }

func (a Access) bytes() [][]byte {
	all := make([][]byte, len(a.Inputs))
	for i := range a.Inputs {
		all[i] = a.Inputs[i][:]
	}
	return all
}

// words are the inputs as the contract takes them: without the question's hash, which it computes
// itself.
func (a Access) words(d Deployment) []*big.Int {
	words := make([]*big.Int, 0, len(a.Inputs))
	for i, input := range a.Inputs {
		if uint64(i) != d.QueryPosition {
			words = append(words, new(big.Int).SetBytes(input[:]))
		}
	}
	return words
}

func (a Access) validate(d Deployment) error {
	if len(a.Proof) != ProofSize {
		return fmt.Errorf("proof of %d bytes, not %d: %w", len(a.Proof), ProofSize, ErrProofRefused)
	}
	if len(a.Inputs) == 0 || len(a.Inputs) > maxInputs {
		return fmt.Errorf("%d public inputs, not 1 to %d: %w", len(a.Inputs), maxInputs, ErrProofRefused)
	}
	if at := d.QueryPosition; at >= uint64(len(a.Inputs)) || a.Inputs[at] != d.QueryHash(a.Node, a.Question) {
		return fmt.Errorf("the inputs are about another node, question, chain or contract: %w", ErrProofRefused)
	}
	return nil
}

// LoggedAccess is an access in the chain's log. The proof is in the transaction.
type LoggedAccess struct {
	Node      Node
	Question  Question
	Statement Hash // Access.Statement
	Receipt   Receipt
}

// VerifyAccess lets the contract verify a proof without a transaction. It returns nil if the proof
// is valid and about a.Node and a.Question, ErrProofRefused if not. Whether the root is one of the
// node's the ledger says.
func (c *Client) VerifyAccess(ctx context.Context, a Access) error {
	if err := a.validate(c.cfg.Deployment); err != nil {
		return fmt.Errorf("verify access: %w", err)
	}
	valid, err := viewOne[bool](ctx, c, accessContract, c.cfg.Deployment.Access, "verifyAccess", a.Node, a.Question, a.Proof, a.words(c.cfg.Deployment))
	if err != nil {
		return err
	}
	if !valid {
		return fmt.Errorf("verify access: %w", ErrProofRefused)
	}
	return nil
}

// AcceptedRoot is a root under which a node's accesses are proven.
type AcceptedRoot struct {
	Node  Node
	Root  [32]byte // the public input
	Until time.Time

	// Enough is until when it may be accepted already to be left alone. Defaults to Until.
	Enough time.Time
}

// AcceptRoots makes the access log accept these roots until their time, 1 to 64, in one
// transaction. Those that it accepts long enough already are left out; if that is all, nothing is
// sent and the receipt is zero.
func (c *Client) AcceptRoots(ctx context.Context, roots []AcceptedRoot) (Receipt, error) {
	if len(roots) == 0 || len(roots) > maxRoots {
		return Receipt{}, fmt.Errorf("accept roots: %d roots, not 1 to %d", len(roots), maxRoots)
	}
	what := fmt.Sprintf("accept %d roots", len(roots))
	// Another replica may accept some of them between looking and sending; then look again.
	var err error
	for range 3 {
		var missing []AcceptedRoot
		for _, root := range roots {
			until, err := viewOne[uint64](ctx, c, accessContract, c.cfg.Deployment.Access, "acceptedUntil", root.Node, new(big.Int).SetBytes(root.Root[:]))
			if err != nil {
				return Receipt{}, wrap(what, err)
			}
			enough := root.Enough
			if enough.IsZero() {
				enough = root.Until
			}
			if int64(until) < enough.Unix() {
				missing = append(missing, root)
			}
		}
		if len(missing) == 0 {
			return Receipt{}, nil
		}
		var mined *types.Receipt
		if mined, err = c.setRoots(ctx, what, missing); err == nil {
			return receiptOf(mined), nil
		}
		if !reverted(err, "BatchInvalid") {
			return Receipt{}, err
		}
	}
	return Receipt{}, err
}

// WithdrawRoots makes the access log refuse these roots from now on.
func (c *Client) WithdrawRoots(ctx context.Context, roots []AcceptedRoot) (Receipt, error) {
	withdrawn := slices.Clone(roots)
	for i := range withdrawn {
		withdrawn[i].Until = time.Unix(0, 0)
	}
	mined, err := c.setRoots(ctx, fmt.Sprintf("withdraw %d roots", len(roots)), withdrawn)
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(mined), nil
}

func (c *Client) setRoots(ctx context.Context, what string, roots []AcceptedRoot) (*types.Receipt, error) {
	at := c.cfg.Deployment.Access
	number, err := viewOne[*big.Int](ctx, c, accessContract, at, "acceptances")
	if err != nil {
		return nil, wrap(what, err)
	}
	type root struct {
		Node  [32]byte
		Root  *big.Int
		Until uint64
	}
	list := make([]root, len(roots))
	for i, r := range roots {
		list[i] = root{r.Node, new(big.Int).SetBytes(r.Root[:]), uint64(r.Until.Unix())}
	}
	return c.writeSigned(ctx, what, accessContract, at, c.cfg.Deployment.acceptStatement(number, roots), "accept", number, list)
}

// LogAccess lets the contract verify a proof and log the access. There is one entry for each node
// and question: logging the same statement again, even with another proof of it, returns the first
// entry's receipt; another statement is ErrConflict. ErrRootNotAccepted says that the root has to
// be accepted first.
func (c *Client) LogAccess(ctx context.Context, a Access) (Receipt, error) {
	const what = "log access"
	if err := a.validate(c.cfg.Deployment); err != nil {
		return Receipt{}, wrap(what, err)
	}
	receipt, err := c.logged(ctx, a)
	if !errors.Is(err, ErrNotFound) {
		return receipt, wrap(what, err)
	}
	mined, err := c.write(ctx, what, accessContract, c.cfg.Deployment.Access, "logAccess", a.Node, a.Question, a.Proof, a.words(c.cfg.Deployment))
	if reverted(err, "AlreadyLogged") {
		receipt, err = c.logged(ctx, a)
		return receipt, wrap(what, err)
	}
	if err != nil {
		return Receipt{}, err
	}
	return receiptOf(mined), nil
}

// MaxBatch is how many accesses LogBatch takes: 64 cost about 5 million gas, and a block's limit
// is far above that.
const MaxBatch = 64

// LogBatch logs accesses that are not logged yet, 1 to MaxBatch, in one transaction, which costs
// about a quarter of logging each. They are logged all or not at all: if one proof is refused, log
// them singly to learn which. Receipts are in the order of accesses, and those of one transaction are
// the same.
func (c *Client) LogBatch(ctx context.Context, accesses []Access) ([]Receipt, error) {
	what := fmt.Sprintf("log %d accesses", len(accesses))
	if len(accesses) == 0 || len(accesses) > MaxBatch {
		return nil, fmt.Errorf("%s: not 1 to %d", what, MaxBatch)
	}
	for i, a := range accesses {
		if err := a.validate(c.cfg.Deployment); err != nil {
			return nil, fmt.Errorf("%s: access %d: %w", what, i, err)
		}
	}
	// Others may log some of them between looking and sending; then look again.
	var err error
	for range 3 {
		receipts := make([]Receipt, len(accesses))
		var missing []int
		for i, a := range accesses {
			receipt, err := c.logged(ctx, a)
			if errors.Is(err, ErrNotFound) {
				missing = append(missing, i)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: access %d: %w", what, i, err)
			}
			receipts[i] = receipt
		}
		if len(missing) == 0 {
			return receipts, nil
		}
		var mined *types.Receipt
		if mined, err = c.logBatch(ctx, what, accesses, missing); err == nil {
			for _, i := range missing {
				receipts[i] = receiptOf(mined)
			}
			return receipts, nil
		}
		if !reverted(err, "AlreadyLogged") {
			return nil, err
		}
	}
	return nil, err
}

func (c *Client) logBatch(ctx context.Context, what string, accesses []Access, missing []int) (*types.Receipt, error) {
	var nodes, questions [][32]byte
	var proofs []byte
	var inputs []*big.Int
	for _, i := range missing {
		nodes, questions = append(nodes, accesses[i].Node), append(questions, accesses[i].Question)
		proofs = append(proofs, accesses[i].Proof...)
		inputs = append(inputs, accesses[i].words(c.cfg.Deployment)...)
	}
	if len(slices.Compact(slices.Clone(questions))) == 1 {
		questions = questions[:1]
	}
	return c.write(ctx, what, accessContract, c.cfg.Deployment.Access, "logBatch", nodes, questions, proofs, inputs)
}

// logged returns the receipt of the entry that logs a's statement.
func (c *Client) logged(ctx context.Context, a Access) (Receipt, error) {
	found, err := c.AccessEvent(ctx, a.Node, a.Question)
	if err != nil {
		return Receipt{}, err
	}
	if found.Statement != a.Statement() {
		return Receipt{}, fmt.Errorf("another statement of this node about this question is logged: %w", ErrConflict)
	}
	return c.settled(ctx, "read receipt", found.Receipt.TxHash)
}

// AccessEvent returns the logged access of a node for a question, or ErrNotFound, as of the latest
// block.
func (c *Client) AccessEvent(ctx context.Context, node Node, question Question) (LoggedAccess, error) {
	block, err := viewOne[*big.Int](ctx, c, accessContract, c.cfg.Deployment.Access, "loggedAt", node, question)
	if err != nil {
		return LoggedAccess{}, err
	}
	if block.Sign() == 0 {
		return LoggedAccess{}, fmt.Errorf("access event: %w", ErrNotFound)
	}
	event, statement, err := c.accessEvent(ctx, block.Uint64(), node, question)
	if err != nil {
		return LoggedAccess{}, err
	}
	receipt, err := c.mined(ctx, "read receipt", []Hash{event.TxHash})
	if err != nil {
		return LoggedAccess{}, err
	}
	if receipt == nil {
		return LoggedAccess{}, fmt.Errorf("read receipt: %w: event without it", ErrUnreachable)
	}
	return LoggedAccess{Node: node, Question: question, Statement: statement, Receipt: receiptOf(receipt)}, nil
}

// accessEvent finds the event of an access, alone or in a batch, in the block that has it.
func (c *Client) accessEvent(ctx context.Context, block uint64, node Node, question Question) (types.Log, Hash, error) {
	alone, err := c.events(ctx, accessContract, c.cfg.Deployment.Access, "AccessLogged", block, Hash(node), Hash(question))
	if err != nil {
		return types.Log{}, Hash{}, err
	}
	for _, event := range alone {
		if len(event.Data) == len(Hash{}) {
			return event, Hash(event.Data), nil
		}
	}
	batches, err := c.events(ctx, accessContract, c.cfg.Deployment.Access, "BatchLogged", block)
	if err != nil {
		return types.Log{}, Hash{}, err
	}
	for _, event := range batches {
		var batch struct{ Nodes, Questions, Statements [][32]byte }
		if err := accessContract.abi.UnpackIntoInterface(&batch, "BatchLogged", event.Data); err != nil || len(batch.Questions) == 0 {
			continue
		}
		for i := range min(len(batch.Nodes), len(batch.Statements)) {
			if batch.Nodes[i] == node && batch.Questions[min(i, len(batch.Questions)-1)] == question {
				return event, batch.Statements[i], nil
			}
		}
	}
	// The contract says that it is there, so this endpoint has not indexed the block yet.
	return types.Log{}, Hash{}, fmt.Errorf("access event: %w: block %d without it", ErrUnreachable, block)
}
