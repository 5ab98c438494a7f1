package dispatch

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// A node is sent nothing that its version does not know. It could only call a question of
// a later version malformed; so it is not asked, and the result names it as one that
// refuses by the rule of package version, with the version it would need. A question that
// waits for nodes that are away waits for this one too: it may come back updated.

// lacks returns the refusal of a node that does not know a feature, or shares no version
// with this hub. It is nil of one that knows it, and of one whose version was not heard: it
// is not connected, and nothing reaches it.
func (d *Dispatcher) lacks(node identity.DID, f version.Feature) error {
	spoken, known := d.cfg.Speaks(node)
	if !known {
		return nil
	}
	party := version.Party{Name: "node", Speaks: spoken}
	if err := (version.Party{Name: "hub", Speaks: version.Spoken()}).Check(party); err != nil {
		return err
	}
	if !spoken.Knows(f) {
		return party.Lacks(f)
	}
	return nil
}

// outdated makes an attempt at a node hopeless that fails for the node's version.
func outdated(err error) error {
	var refusal *problem.Error
	if errors.As(err, &refusal) && refusal.Rule == version.Rule {
		return fmt.Errorf("%w: %w", errHopeless, err)
	}
	return err
}

// unasked is how a node appears in the result that gave no answer to a step.
func (r *round) unasked(node identity.DID, step query.Step) {
	if step == query.StepAsk {
		if err := r.lacks(node, r.q.Request.Needs()); err != nil {
			r.refused = append(r.refused, query.Refused{Node: node, Problem: problem.From(err)})
			return
		}
	}
	r.missing = append(r.missing, query.Missing{Node: node, Step: step})
}
