package dispatch

import (
	"context"
	"time"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A proof takes each node a hundred times the work of an answer, and nobody waits for it.
// So proofs are asked for once no question has been under way for a moment: a series of
// questions is answered at the speed of answers, and proved after it.

const (
	// quiet is how long no question has been under way before proofs are asked for.
	quiet = 100 * time.Millisecond

	// longestYield is how long an answered question's proofs wait at most for others'
	// answers.
	longestYield = time.Minute

	// owedPause is how often it is read which proofs are owed while questions are under
	// way: a long series of questions owes thousands.
	owedPause = time.Second
)

// unfinished returns what is to be done, and whether that is all: it is without proofs if
// those are not to be asked for at the moment.
func (d *Dispatcher) unfinished(ctx context.Context) (list []registry.Pending, all bool, err error) {
	now := d.cfg.Now()
	d.mu.Lock()
	all = d.answering.Taken() == 0 || now.Sub(d.looked) >= owedPause
	if all {
		d.looked = now
	}
	d.mu.Unlock()
	if all {
		list, err = d.cfg.Registry.Unfinished(ctx, now.Add(-d.cfg.ProofTime))
	} else {
		list, err = d.cfg.Registry.Open(ctx)
	}
	return list, all, err
}

// yields reports whether the proofs of an answered question are to wait. d.mu is held.
func (d *Dispatcher) yields(id query.ID, now time.Time) bool {
	since, known := d.owed[id]
	if !known {
		since, d.owed[id] = now, now
	}
	if now.Sub(since) >= longestYield {
		return false
	}
	return d.answering.Taken() > 0 || now.Sub(d.let) < quiet
}

// letGo notes that a question is not under way any more. d.mu is held.
func (d *Dispatcher) letGo() {
	d.let = d.cfg.Now()
	if d.resting == nil {
		d.resting = time.AfterFunc(quiet, d.Wake) // which does nothing after the end
		return
	}
	d.resting.Reset(quiet)
}
