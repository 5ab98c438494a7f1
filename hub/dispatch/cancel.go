package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// A question that is cancelled is over in the registry before a node hears of it. The
// dispatcher lets go of it, which ends the calls under way and with them what nodes do for
// them, and then tells every node of the trial, so that none goes on by itself or keeps the
// question before its people. Nodes that are away are told when they are back, until the
// question's time is over. Who was told is kept in memory only: another leader tells all
// again, which changes nothing.

// tellTime is how long a node may take to hear that a question was cancelled.
const tellTime = 10 * time.Second

// tellAll begins to tell nodes of cancelled questions.
func (d *Dispatcher) tellAll(ctx context.Context, group *sync.WaitGroup, cancelled []query.ID) {
	for _, id := range cancelled {
		if !d.claimTelling(id) {
			continue
		}
		group.Go(func() {
			err := d.tell(ctx, id)
			d.release(id, err)
			if err != nil && ctx.Err() == nil {
				d.cfg.Logger.DebugContext(ctx, "nodes have not heard of a cancellation and will be told again", "query", id.String(), "err", err)
			}
		})
	}
}

// claimTelling takes a place for a cancelled question, unless all nodes were told.
func (d *Dispatcher) claimTelling(id query.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, begun := d.untold[id]
	if begun && len(left) == 0 || d.telling[id] || d.answering.Has(id) || len(d.telling) >= maxTelling || d.cfg.Now().Before(d.held[id].until) {
		return false
	}
	d.telling[id] = true
	return true
}

// tell tells the nodes that have not heard of it that a question was cancelled.
func (d *Dispatcher) tell(ctx context.Context, id query.ID) error {
	q, err := d.cfg.Registry.Question(ctx, id)
	if err != nil {
		return err
	}
	registration, design, err := d.cfg.Registry.Trial(ctx, q.Request.Trial)
	if err != nil {
		return err
	}
	body := query.Cancel{Cancellation: *q.Result.Cancelled, Request: q.Envelope, Trial: registration}
	left := d.leftToTell(id, design.Nodes)
	failures := make([]error, len(left))
	var group sync.WaitGroup
	for i, node := range left {
		if d.lacks(node, version.Cancellation) != nil {
			d.heard(id, node) // there is nothing to tell it
			continue
		}
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, tellTime)
			defer cancel()
			// A refusal is as good: it is by a node that never took the question.
			if _, _, err := d.call(ctx, id, query.StepCancel, node, body, answerSize, nil); err != nil && !errors.Is(err, errHopeless) {
				failures[i] = fmt.Errorf("tell %s: %w", node, err)
				return
			}
			d.heard(id, node)
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// leftToTell returns the nodes that have not heard of a cancellation: all at first.
func (d *Dispatcher) leftToTell(id query.ID, all []identity.DID) []identity.DID {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, begun := d.untold[id]; !begun {
		d.untold[id] = slices.Clone(all)
	}
	return slices.Clone(d.untold[id])
}

// heard notes that a node was told.
func (d *Dispatcher) heard(id query.ID, node identity.DID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.untold[id] = slices.DeleteFunc(d.untold[id], func(other identity.DID) bool { return other == node })
}
