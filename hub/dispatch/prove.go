package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// prove asks the nodes of an answered question for their access proofs, once
// each, and records those that verify. What is missing is asked for again at
// the next poll: proving takes a node its time.
func (d *Dispatcher) prove(ctx context.Context, q registry.Question) error {
	known, err := d.cfg.Registry.Accesses(ctx, q.ID)
	if err != nil {
		return err
	}
	failures := make([]error, len(q.Result.Answered))
	var group sync.WaitGroup
	for i, answered := range q.Result.Answered {
		if slices.ContainsFunc(known, func(a registry.Access) bool { return a.Node == answered.Node }) {
			continue
		}
		group.Go(func() {
			if err := d.proveOne(ctx, q.ID, answered.Node); err != nil {
				failures[i] = fmt.Errorf("proof of %s: %w", answered.Node, err)
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// proveOne asks one node for its access proof and records it.
func (d *Dispatcher) proveOne(ctx context.Context, id query.ID, node identity.DID) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ProofWait)
	defer cancel()
	_, answer, err := d.call(ctx, id, query.StepProve, node, nil, answerSize, nil)
	if err != nil {
		return err
	}
	if answer.Refusal != nil {
		return answer.Refusal.Err()
	}
	envelope, err := message.Parse(answer.Body)
	if err != nil {
		return err
	}
	_, err = d.cfg.Log.Propose(ctx, registry.RecordAccess{Envelope: envelope})
	return err
}
