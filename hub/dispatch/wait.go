package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A node whose people have to decide about a question answers its ask with
// StepWait. That is committed like any answer, so every replica shows who waits.
// The question lets go of its place and is taken up again, as one that is held up
// is, until it is decided or only the time for the remaining steps is left.

// turn is how long nodes are asked that have not answered while others wait: a node
// may take that long to evaluate a question, once its people have approved.
const turn = 2 * time.Minute

// longestWait is the longest pause before nodes that wait are asked again.
const longestWait = 10 * time.Second

// waits is errWaits for a question, with when it waits no longer.
type waits struct{ until time.Time }

func (waits) Error() string { return errWaits.Error() }

// Is makes every waits an errWaits.
func (waits) Is(target error) bool { return target == errWaits }

var (
	// errWaits says that a node's people have not decided yet.
	errWaits = errors.New("a node waits for approval")

	errWaitBody = problem.Refusal("dispatch.wait", "a node that waits says nothing else")
)

func checkWait(a query.Answer) error {
	if a.Refusal != nil || len(a.Body) > 0 {
		return errWaitBody
	}
	return nil
}

// untilOf is what a step's tasks tell nodes about waiting.
func (r *round) untilOf(step query.Step) *time.Time {
	if step != query.StepAsk {
		return nil
	}
	until := r.q.WaitsUntil()
	return &until
}

// wait notes which nodes wait, and returns errWaits if the question is to be
// taken up again for them.
func (r *round) wait(ctx context.Context) error {
	if err := r.whoWaits(ctx); err != nil {
		return err
	}
	if until := r.q.WaitsUntil(); len(r.waiting) > 0 && r.cfg.Now().Before(until) {
		return waits{until}
	}
	return nil
}

func (r *round) whoWaits(ctx context.Context) (err error) {
	r.waiting, err = r.cfg.Registry.Waiting(ctx, r.q.ID)
	return err
}
