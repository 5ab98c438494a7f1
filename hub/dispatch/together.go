package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// The nodes of a step mostly answer within milliseconds of each other. Then their answers
// and the end of the step are one command. Until it is committed they are nowhere but here,
// which costs nothing: a hub that dies asks the nodes again, and they say the same.

// The answers to the last step of a sum are not committed before what follows from the sum is
// known, and then with it.

// soon is how long the first answers to a step wait for the others: longer than nodes differ
// that have dozens of questions at once on a busy machine, where commands apart would make
// three of one, and little to whoever watches a slow one.
const soon = 2 * time.Second

// together commits the answers to a step, in one command with its end if all nodes answer
// soon, and each by itself if not, or if one of them is known not to.
type together struct {
	r     *round
	step  query.Step
	nodes []identity.DID

	mu      sync.Mutex
	first   []*said // that wait for the others; guarded by mu
	parted  bool    // each answer by itself from now on; guarded by mu
	timer   *time.Timer
	closed  []identity.DID                // with whom the question goes on, if the command holds
	answers map[identity.DID]query.Answer // of all nodes, likewise, or nil; both are read after all commits
}

// said is an answer on its way.
type said struct {
	envelope message.Envelope
	answer   query.Answer
	done     chan error
}

// newTogether returns what commits the answers of the nodes of a step of which nothing is on
// record. apart has each committed by itself.
func newTogether(r *round, step query.Step, nodes []identity.DID, apart bool) *together {
	return &together{r: r, step: step, nodes: nodes, parted: apart}
}

// commit commits an answer and returns when that is done.
func (t *together) commit(ctx context.Context, e message.Envelope, a query.Answer) error {
	t.mu.Lock()
	if t.parted || a.Step != t.step {
		t.mu.Unlock()
		return t.alone(ctx, e)
	}
	s := &said{e, a, make(chan error, 1)}
	t.first = append(t.first, s)
	switch len(t.first) {
	case len(t.nodes):
		t.parted = true // whatever comes again
		all := t.first
		t.mu.Unlock()
		t.stop()
		return t.all(ctx, all)
	case 1:
		t.timer = time.AfterFunc(patienceOf(ctx), t.part)
	}
	t.mu.Unlock()
	select {
	case err := <-s.done:
		if errors.Is(err, errApart) {
			return t.alone(ctx, e)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patienceOf is how long the first answer waits: little of what is left of the step, within
// which it has to be committed.
func patienceOf(ctx context.Context) time.Duration {
	if end, ends := ctx.Deadline(); ends {
		return min(soon, time.Until(end)/4)
	}
	return soon
}

// errApart has who waits commit their answer by itself.
var errApart = errors.New("not all nodes answered soon")

// part ends the wait for others.
func (t *together) part() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parted {
		return
	}
	t.parted = true
	for _, s := range t.first {
		s.done <- errApart
	}
}

// stop ends the timer.
func (t *together) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (t *together) alone(ctx context.Context, e message.Envelope) error {
	_, err := t.r.cfg.Log.Propose(ctx, registry.RecordAnswer{Envelope: e})
	return err
}

// all commits the answers of all nodes with the end of the step, and tells who waits.
func (t *together) all(ctx context.Context, all []*said) error {
	command := registry.RecordStep{CloseStep: registry.CloseStep{Query: t.r.q.ID, Step: t.step, Nodes: []identity.DID{}}}
	answers := make(map[identity.DID]query.Answer, len(all))
	for _, s := range all {
		command.Answers = append(command.Answers, s.envelope)
		answers[s.envelope.Issuer] = s.answer
	}
	for _, node := range t.nodes {
		if a, answered := answers[node]; answered && a.Refusal == nil {
			command.Nodes = append(command.Nodes, node)
		}
	}
	var err error
	if plain, _ := t.step.Split(); plain == query.StepUnmask {
		t.r.held = &command
	} else {
		_, err = t.r.cfg.Log.Propose(ctx, command)
	}
	var refused *problem.Error
	switch {
	case err == nil:
		t.closed, t.answers = command.Nodes, answers
	case errors.As(err, &refused): // one of them, or another leader was first
		err = errApart
	}
	mine := all[len(all)-1]
	for _, s := range all[:len(all)-1] {
		s.done <- err
	}
	if errors.Is(err, errApart) {
		return t.alone(ctx, mine.envelope)
	}
	return err
}

// follow commits what follows from a sum, with the last step of the sum if that is held.
func (r *round) follow(ctx context.Context, c registry.RecordSum) error {
	switch {
	case r.held != nil:
		c.Step, r.held = *r.held, nil
	case c.Round != nil:
		_, err := r.cfg.Log.Propose(ctx, *c.Round)
		return err
	default:
		_, err := r.cfg.Log.Propose(ctx, *c.Finish)
		return err
	}
	_, err := r.cfg.Log.Propose(ctx, c)
	var refused *problem.Error
	if !errors.As(err, &refused) || errors.Is(err, registry.ErrQuestionClosed) {
		return err
	}
	// One of the answers, or another leader was first. Those that hold are recorded, and the
	// question is taken up again from there.
	for _, e := range c.Step.Answers {
		if _, alone := r.cfg.Log.Propose(ctx, registry.RecordAnswer{Envelope: e}); alone != nil && !errors.As(alone, &refused) {
			return alone
		}
	}
	return err
}
