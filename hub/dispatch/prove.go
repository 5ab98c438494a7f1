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
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// prove asks the nodes of an answered question for their proofs, of accesses and of figures
// if the question asks for those, once each, and records those that verify. What is missing is
// asked for again at the next poll: proving takes a node its time.
func (d *Dispatcher) prove(ctx context.Context, q registry.Question) error {
	known, err := d.cfg.Registry.Accesses(ctx, q.ID)
	if err != nil {
		return err
	}
	results, err := d.cfg.Registry.ResultProofs(ctx, q.ID)
	if err != nil {
		return err
	}
	failures := make([]error, len(q.Result.Answered))
	var group sync.WaitGroup
	for i, answered := range q.Result.Answered {
		access := !slices.ContainsFunc(known, func(a registry.Access) bool { return a.Node == answered.Node })
		figures := answered.Figures != nil && !slices.Contains(results, answered.Node)
		group.Go(func() {
			var err error
			if access {
				err = d.proveOne(ctx, q.ID, answered.Node, query.StepProve, answerSize)
			}
			if err == nil && figures {
				err = d.proveOne(ctx, q.ID, answered.Node, query.StepProveResult, answerSize+shardSize*circuits.MaxShards)
			}
			if err != nil {
				failures[i] = fmt.Errorf("proof of %s: %w", answered.Node, err)
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// proveOne asks one node for a proof and records it.
func (d *Dispatcher) proveOne(ctx context.Context, id query.ID, node identity.DID, step query.Step, size int) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ProofWait)
	defer cancel()
	_, answer, err := d.call(ctx, id, step, node, nil, size, nil)
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
	var record registry.Body = registry.RecordAccess{Envelope: envelope}
	if step == query.StepProveResult {
		record = registry.RecordResult{Envelope: envelope}
	}
	_, err = d.cfg.Log.Propose(ctx, record)
	return err
}
