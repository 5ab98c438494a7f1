package evidence

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// tree is a node's consents of a trial, recomputed from every change that it published.
type tree struct {
	rows   circuits.MemoryRows
	root   consent.Element
	number uint64
}

func newTree() *tree { return &tree{rows: circuits.MemoryRows{}, root: circuits.EmptyTree()} }

// grow applies the changes of an entry, and returns them.
func (t *tree) grow(ctx context.Context, v *verification, l leaf) ([]consent.Change, error) {
	c, err := v.changes(ctx, l)
	if err != nil {
		return nil, err
	}
	if c.body.Number != t.number+1 || c.body.Before != t.root {
		return nil, errors.New("the changes do not follow those before them")
	}
	l.Digest = c.body.Leaves
	list, err := read[[]consent.Change](ctx, v, l)
	if err != nil {
		return nil, err
	}
	if _, err := consent.LeavesDigest(list); err != nil {
		return nil, err
	}
	elements := make([]circuits.Placed, len(list))
	for i, change := range list {
		if change.Index >= circuits.TreeLeaves {
			return nil, consent.ErrChanges
		}
		old, err := circuits.TreeElement(t.rows, 0, change.Index)
		if err != nil {
			return nil, err
		}
		if old != change.Old {
			return nil, fmt.Errorf("another leaf %d stood there than the changes say", change.Index)
		}
		elements[i] = circuits.Placed{Index: change.Index, Hash: change.New}
	}
	if t.root, err = circuits.UpdateTree(t.rows, 0, elements); err != nil {
		return nil, err
	}
	if t.number = c.body.Number; t.root != c.body.After {
		return nil, errors.New("the changes do not lead to the root that the node signed")
	}
	return list, nil
}

// changes returns an entry's changes, without their list.
func (v *verification) changes(ctx context.Context, l leaf) (signed[consent.Changes], error) {
	c, err := open[consent.Changes](ctx, v, l, consent.KindChanges)
	return c, about(l, string(c.body.Trial), own(err, l.Actor, c.body.Node))
}

// trees recomputes every tree, or those of the leaves that only allows, from its changes, and
// compares each epoch with the tree as it was then.
func (v *verification) trees(ctx context.Context, only func(leaf) bool) {
	type owner struct {
		trial trial.ID
		node  identity.DID
	}
	_, partial := v.copyOf()
	all := make(map[owner]*tree)
	var changes, epochs int
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return
		}
		if l.Kind != entry.ConsentChanged && l.Kind != entry.ConsentEpoch || only != nil && !only(l) {
			continue
		}
		key := owner{trial.ID(l.Subject), l.Actor}
		t := all[key]
		if t == nil {
			t = newTree()
			all[key] = t
		}
		var err error
		if l.Kind == entry.ConsentChanged {
			changes++
			_, err = t.grow(ctx, v, l)
		} else {
			epochs++
			err = v.holds(ctx, t, l)
		}
		switch {
		case errors.Is(err, ErrNoDocument) && partial:
			v.report.skip(CheckTrees, v.trust.Origin, "the changes of leaves are not in this copy, which was not made of the whole log")
			return
		case err != nil:
			v.report.fail(CheckTrees, l.place(), "%v", err)
			return
		}
	}
	v.report.pass(CheckTrees, v.trust.Origin, "%d changes of consent leaves lead to the roots that were signed, and %d epochs are about the leaves that were published before", changes, epochs)
}

// holds checks that an epoch is about a tree.
func (v *verification) holds(ctx context.Context, t *tree, l leaf) error {
	e, err := open[consent.Epoch](ctx, v, l, consent.KindEpoch)
	if err != nil || t.number == 0 && e.body.Changes == 0 {
		return err
	}
	if e.body.Changes != t.number {
		return errOtherLeaves
	}
	root, err := v.treeOf(e)
	if err == nil && root != t.root {
		err = errOtherLeaves
	}
	return err
}

var errOtherLeaves = errors.New("the epoch is not about the leaves that the node had published")

// treeOf returns the root of the tree that an epoch's shards make.
func (v *verification) treeOf(e signed[consent.Epoch]) (consent.Element, error) {
	c, known := v.circuits[e.body.Circuit]
	if !known {
		return consent.Element{}, errors.New("its circuit is not registered")
	}
	circuit, err := circuits.ParseCircuit(c.Shape)
	if err != nil {
		return consent.Element{}, err
	}
	shape := circuit.Shape()
	shape.Shards, shape.Slots = 1, 1 // an epoch's circuit has neither
	roots := make([]consent.Element, len(e.body.Shards))
	for i, s := range e.body.Shards {
		roots[i] = s.Root
	}
	return circuits.TreeOfShards(shape, roots)
}

// tied checks that an epoch is about the leaves that the node had published, as far as that
// shows without their list: that they lead to the root is for [VerifyLedger], and the hub
// refused it otherwise.
func (v *verification) tied(ctx context.Context, e *signed[consent.Epoch]) {
	subject := string(e.body.Node)
	var before []leaf
	for _, l := range v.find(entry.ConsentChanged, string(e.body.Trial)) {
		if l.Actor == e.body.Node && l.index < e.index {
			before = append(before, l)
		}
	}
	if len(before) == 0 && e.body.Changes == 0 {
		v.report.skip(CheckEpochTree, subject, "the node publishes no leaves, as those of the version before: what led to the roots of its epoch is its word")
		return
	}
	err := errOtherLeaves
	if e.body.Changes == uint64(len(before)) {
		last := before[len(before)-1]
		var c signed[consent.Changes]
		var root consent.Element
		if c, err = v.changes(ctx, last); err == nil {
			root, err = v.treeOf(*e)
		}
		if err == nil && (c.body.Number != e.body.Changes || c.body.After != root) {
			err = errOtherLeaves
		}
	}
	if err != nil {
		v.report.fail(CheckEpochTree, subject, "%s: %v", e.place(), err)
		return
	}
	v.report.pass(CheckEpochTree, subject, "the epoch is about the leaves that the node had published, the last in entry %d", before[len(before)-1].index)
}
