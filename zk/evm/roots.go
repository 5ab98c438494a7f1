package evm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
)

// Node names a node on the chain: its Ed25519 public key.
type Node [32]byte

// Trial names a trial on the chain: the SHA-256 of its identifier.
type Trial [32]byte

// Root is a node's consent root for a trial.
type Root struct {
	Node        Node
	Trial       Trial
	Digest      [32]byte // stands for the shard roots of the epoch; not zero
	LedgerIndex uint64   // where the node's signed root is in the hub's ledger; grows
}

// PostedRoot is a root as the chain holds it.
type PostedRoot struct {
	Root
	Block uint64
}

// maxRoots is the largest batch, as in ConsentRoots.sol.
const maxRoots = 64

// PostRoots makes the chain's latest roots at least as new as these, 1 to 64 for different nodes
// and trials, in one transaction. Roots that the chain has, or has newer ones than, are left out;
// if that is all of them the receipt is that of the newest root's transaction. ErrConflict says
// that the chain holds another digest for the same ledger index.
func (c *Client) PostRoots(ctx context.Context, roots []Root) (Receipt, error) {
	if err := validateRoots(roots); err != nil {
		return Receipt{}, err
	}
	what := fmt.Sprintf("post %d consent roots", len(roots))
	// Another replica may post some of them between looking and sending; then look again.
	var err error
	for range 3 {
		var missing []Root
		var newest PostedRoot
		missing, newest, err = c.missingRoots(ctx, roots)
		if err != nil {
			return Receipt{}, wrap(what, err)
		}
		if len(missing) == 0 {
			receipt, err := c.rootReceipt(ctx, newest)
			return receipt, wrap(what, err)
		}
		var mined *types.Receipt
		mined, err = c.postRoots(ctx, what, missing)
		if err == nil {
			return receiptOf(mined), nil
		}
		if !reverted(err, "NotNewer") {
			return Receipt{}, err
		}
	}
	return Receipt{}, err
}

func (c *Client) postRoots(ctx context.Context, what string, roots []Root) (*types.Receipt, error) {
	at := c.cfg.Deployment.Roots
	return c.writeSigned(ctx, what, rootsContract, at, c.cfg.Deployment.rootsStatement(roots), "postRoots", roots)
}

func validateRoots(roots []Root) error {
	if len(roots) == 0 || len(roots) > maxRoots {
		return fmt.Errorf("post consent roots: %d roots, not 1 to %d", len(roots), maxRoots)
	}
	type place struct {
		Node
		Trial
	}
	seen := make(map[place]bool, len(roots))
	for i, root := range roots {
		if root.Digest == ([32]byte{}) {
			return fmt.Errorf("post consent roots: digest %d is zero", i)
		}
		at := place{root.Node, root.Trial}
		if seen[at] {
			return fmt.Errorf("post consent roots: root %d is the second for its node and trial", i)
		}
		seen[at] = true
	}
	return nil
}

// missingRoots returns the roots that are newer than the chain's, and the chain's newest among the
// others.
func (c *Client) missingRoots(ctx context.Context, roots []Root) (missing []Root, newest PostedRoot, err error) {
	for _, root := range roots {
		latest, err := c.LatestRoot(ctx, root.Node, root.Trial)
		switch {
		case errors.Is(err, ErrNotFound):
			missing = append(missing, root)
		case err != nil:
			return nil, PostedRoot{}, err
		case latest.LedgerIndex < root.LedgerIndex:
			missing = append(missing, root)
		case latest.LedgerIndex == root.LedgerIndex && latest.Digest != root.Digest:
			return nil, PostedRoot{}, fmt.Errorf("root at ledger index %d: %w", root.LedgerIndex, ErrConflict)
		case latest.Block >= newest.Block:
			newest = latest
		}
	}
	return missing, newest, nil
}

func (c *Client) rootReceipt(ctx context.Context, root PostedRoot) (Receipt, error) {
	event, err := c.event(ctx, rootsContract, c.cfg.Deployment.Roots, "RootPosted", root.Block, Hash(root.Node), Hash(root.Trial))
	if err != nil {
		return Receipt{}, err
	}
	return c.settled(ctx, "read receipt", event.TxHash)
}

// LatestRoot returns a node's newest root for a trial, or ErrNotFound.
func (c *Client) LatestRoot(ctx context.Context, node Node, trial Trial) (PostedRoot, error) {
	type posted struct {
		Digest      [32]byte
		LedgerIndex uint64
		BlockNumber uint64
	}
	found, err := viewOne[posted](ctx, c, rootsContract, c.cfg.Deployment.Roots, "latestRoot", node, trial)
	if err != nil {
		return PostedRoot{}, err
	}
	if found.BlockNumber == 0 {
		return PostedRoot{}, fmt.Errorf("consent root: %w", ErrNotFound)
	}
	return PostedRoot{
		Root:  Root{Node: node, Trial: trial, Digest: found.Digest, LedgerIndex: found.LedgerIndex},
		Block: found.BlockNumber,
	}, nil
}
