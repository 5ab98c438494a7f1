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

// A question of an hour or more is as patient with nodes that are away: they have until then
// to come back, and are asked in turns as well, one call each, so that a question that waits
// for days holds neither a place nor a goroutine between them.

// patience is the least time of such a question.
const patience = time.Hour

// patient reports whether a question waits for nodes that are away.
func (r *round) patient() bool { return r.q.Deadline.Sub(r.q.Asked) >= patience }

// turn is how long nodes are asked that have not answered while others wait: a node
// may take that long to evaluate a question, once its people have approved.
const turn = 2 * time.Minute

// longestWait is the longest pause before nodes that wait are asked again, in the first hour
// of a question; then it is longestHold.
const longestWait = 10 * time.Second

// waits is errWaits for a question: since when, and when it waits no longer.
type waits struct{ since, until time.Time }

// pause is the longest pause at now.
func (w waits) pause(now time.Time) time.Duration {
	longest := longestWait
	if now.Sub(w.since) >= patience {
		longest = longestHold
	}
	return min(longest, w.until.Sub(now))
}

func (waits) Error() string { return errWaits.Error() }

// Is makes every waits an errWaits.
func (waits) Is(target error) bool { return target == errWaits }

var (
	// errWaits says that a node's people have not decided yet.
	errWaits = errors.New("a node waits for approval, or is away")

	// errAway says that a node gave no answer to a question that is asked in turns.
	errAway = errors.New("the node is away, or not done yet")

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
// taken up again for them, or for nodes that are away.
func (r *round) wait(ctx context.Context, away bool) error {
	if err := r.whoWaits(ctx); err != nil {
		return err
	}
	if until := r.q.WaitsUntil(); (len(r.waiting) > 0 || away && r.patient()) && r.cfg.Now().Before(until) {
		return waits{r.q.Asked, until}
	}
	return nil
}

func (r *round) whoWaits(ctx context.Context) (err error) {
	r.waiting, err = r.cfg.Registry.Waiting(ctx, r.q.ID)
	return err
}
