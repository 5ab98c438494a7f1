package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why the registry refuses changes of consent leaves, or an epoch because of them.
var (
	ErrChangesOrder = problem.Refusal("consent.order", "changes of consent leaves must be signed by their node, follow those before them, and come with the list that they name")
	ErrChangesLeaf  = problem.Refusal("consent.leaf", "a change names another leaf than the one that stands there")
	ErrChangesRoot  = problem.Refusal("consent.root", "the changes do not lead to the root that the node signed")
	ErrEpochTree    = problem.Refusal("epoch.tree", "the consent epoch is not about the leaves that the node has published")
)

// changeConsents applies changes to a node's tree. It reads and writes one group of four a
// level for each leaf, so what it costs does not depend on how many there are.
func (s step) changeConsents(c ChangeConsents) (Outcome, error) {
	changes, err := message.Open[consent.Changes](c.Envelope, consent.KindChanges, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if enrolled, err := s.enrolled(changes.Node); err != nil || !enrolled {
		return Outcome{}, firstError(err, ErrNodeUnknown)
	}
	_, design, err := trialOf(s.ctx, s.tx, changes.Trial)
	if err != nil {
		return Outcome{}, err
	}
	tree, err := treeOf(s.ctx, s.tx, changes.Trial, changes.Node)
	if err != nil {
		return Outcome{}, err
	}
	if index, err := tree.recorded(c.Envelope); err != nil || index >= 0 {
		return Outcome{LedgerIndex: index, Existed: true}, err
	}
	leaves, err := consent.LeavesDigest(c.Leaves)
	switch {
	case err != nil:
		return Outcome{}, err
	case !slices.Contains(design.Nodes, changes.Node):
		return Outcome{}, trial.ErrNode
	case c.Envelope.Issuer != changes.Node, changes.Number != tree.number+1, changes.Before != tree.root, changes.Leaves != leaves:
		return Outcome{}, ErrChangesOrder
	}
	if err := tree.change(c.Leaves, changes.After); err != nil {
		return Outcome{}, err
	}
	if _, err := s.store(c.Leaves); err != nil {
		return Outcome{}, err
	}
	document, out, err := s.record(entry.ConsentChanged, changes.Node, string(changes.Trial), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	if err := tree.save(c.Envelope, document, out.LedgerIndex); err != nil {
		return Outcome{}, err
	}
	return out, s.growPeople(tree, c.Leaves)
}

// tree is a node's consent tree of a trial.
type tree struct {
	ctx context.Context
	tx  *sqldb.Tx

	trial  trial.ID
	node   identity.DID
	id     int64 // 0 for one that is not stored
	number uint64
	leaves int // in use
	root   consent.Element

	groups map[[2]int]*circuits.Siblings // read so far, nil for those that are not there
}

// treeOf returns a tree, an empty one if nothing was published of it.
func treeOf(ctx context.Context, tx *sqldb.Tx, id trial.ID, node identity.DID) (*tree, error) {
	t := &tree{ctx: ctx, tx: tx, trial: id, node: node, root: circuits.EmptyTree(), groups: make(map[[2]int]*circuits.Siblings)}
	var number int64
	var root []byte
	err := tx.QueryRow(ctx, `SELECT tree, number, leaves, root FROM consent_tree WHERE trial = ? AND node = ?`, id, node).Scan(&t.id, &number, &t.leaves, &root)
	if errors.Is(err, sqldb.ErrNoRows) {
		return t, nil
	}
	t.number = uint64(number)
	copy(t.root[:], root)
	return t, err
}

// recorded returns the ledger index of changes that were recorded before, -1 for others.
func (t *tree) recorded(e message.Envelope) (int64, error) {
	var index int64
	err := t.tx.QueryRow(t.ctx, `SELECT ledger_index FROM consent_changes WHERE tree = ? AND body = ?`, t.id, message.Sum(e.Body).String()).Scan(&index)
	if errors.Is(err, sqldb.ErrNoRows) {
		return -1, nil
	}
	return index, err
}

// change replaces leaves, which must lead from what stands there to a root.
func (t *tree) change(list []consent.Change, after consent.Element) error {
	elements := make([]circuits.Placed, len(list))
	for i, c := range list {
		if c.Index >= circuits.TreeLeaves {
			return consent.ErrChanges
		}
		old, err := circuits.TreeElement(t, 0, c.Index)
		if err != nil {
			return err
		}
		if old != c.Old {
			return ErrChangesLeaf
		}
		if circuits.CheckElement(c.New) != nil {
			return consent.ErrChanges
		}
		elements[i] = circuits.Placed{Index: c.Index, Hash: c.New}
	}
	if t.id == 0 {
		if err := t.tx.QueryRow(t.ctx, `SELECT coalesce(max(tree), 0) + 1 FROM consent_tree`).Scan(&t.id); err != nil {
			return err
		}
	}
	root, err := circuits.UpdateTree(t, 0, elements)
	if err != nil {
		return err
	}
	if root != after {
		return ErrChangesRoot
	}
	t.number, t.leaves, t.root = t.number+1, max(t.leaves, list[len(list)-1].Index+1), root
	return nil
}

// save notes changes that the tree holds now.
func (t *tree) save(e message.Envelope, document message.Digest, ledgerIndex int64) error {
	if _, err := t.tx.Exec(t.ctx, `INSERT INTO consent_tree (tree, trial, node, number, leaves, root) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tree) DO UPDATE SET number = excluded.number, leaves = excluded.leaves, root = excluded.root`,
		t.id, t.trial, t.node, int64(t.number), t.leaves, t.root[:]); err != nil {
		return err
	}
	_, err := t.tx.Exec(t.ctx, `INSERT INTO consent_changes (tree, number, body, document, ledger_index) VALUES (?, ?, ?, ?, ?)`,
		t.id, int64(t.number), message.Sum(e.Body).String(), document.String(), ledgerIndex)
	return err
}

// holds refuses an epoch whose shards are not those of the tree. A node that has published
// no leaves yet, of a version from before there were any, is taken at its word.
func (t *tree) holds(e consent.Epoch, circuit entry.Circuit) error {
	if t.id == 0 && e.Changes == 0 {
		return nil
	}
	c, err := circuits.ParseCircuit(circuit.Shape)
	if err != nil {
		return ErrCircuitSize
	}
	shape := c.Shape()
	if e.Changes != t.number || len(e.Shards) != (t.leaves+shape.ShardSize-1)/shape.ShardSize {
		return ErrEpochTree
	}
	for i, shard := range e.Shards {
		root, err := circuits.TreeElement(t, shape.ShardLevel(), i)
		if err != nil {
			return err
		}
		if root != shard.Root {
			return ErrEpochTree
		}
	}
	return nil
}

// Siblings implements [circuits.Rows].
func (t *tree) Siblings(level, group int) (circuits.Siblings, bool, error) {
	s, read := t.groups[[2]int{level, group}]
	if !read {
		var err error
		if s, err = t.read(level, group); err != nil {
			return circuits.Siblings{}, false, err
		}
		t.groups[[2]int{level, group}] = s
	}
	if s == nil {
		return circuits.Siblings{}, false, nil
	}
	return *s, true, nil
}

// read returns a group as it is stored, nil for one that is not.
func (t *tree) read(level, group int) (*circuits.Siblings, error) {
	var hashes []byte
	err := t.tx.QueryRow(t.ctx, `SELECT hashes FROM consent_tree_group WHERE tree = ? AND level = ? AND number = ?`, t.id, level, group).Scan(&hashes)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := siblingsIn(hashes)
	return &s, nil
}

// siblingsIn reads a stored group.
func siblingsIn(hashes []byte) (s circuits.Siblings) {
	for i := range s {
		copy(s[i][:], hashes[i*len(s[i]):])
	}
	return s
}

// SetSiblings implements [circuits.Rows].
func (t *tree) SetSiblings(level, group int, s circuits.Siblings) error {
	t.groups[[2]int{level, group}] = &s
	_, err := t.tx.Exec(t.ctx, `INSERT INTO consent_tree_group (tree, level, number, hashes) VALUES (?, ?, ?, ?)
		ON CONFLICT (tree, level, number) DO UPDATE SET hashes = excluded.hashes`, t.id, level, group, slices.Concat(s[0][:], s[1][:], s[2][:], s[3][:]))
	return err
}
