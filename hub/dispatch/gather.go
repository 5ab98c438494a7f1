package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// steps are those that are gathered, in order.
var steps = []query.Step{query.StepAsk, query.StepMask, query.StepConfirm, query.StepUnmask}

// stepTime is a step's share of the time left: when all nodes are quick, none
// is spent; when one is silent, later steps still have theirs. Just after the
// hub has started it is more, so that nodes that are on their way back count.
func (r *round) stepTime(step query.Step) time.Duration {
	now := r.cfg.Now()
	left := max(r.q.Deadline.Sub(now), r.cfg.Grace)
	share := left / 2 // of a further round, which cannot do without anybody
	if place := slices.Index(steps, step); place >= 0 {
		share = left / time.Duration(len(steps)-place)
		if r.q.Request.Analysis.Kind.InRounds() {
			share = min(share, left/2) // more are to come
		}
	}
	return max(share, min(r.settled().Sub(now), left/2))
}

// gather takes one step: it asks nodes, waits for those that are slow, commits
// with whom the question goes on, and returns what those said. body gives what
// to send to a node; verify refuses an answer before it is committed, so that
// nothing a liar sends can stand in the others' way.
func gather[T any](ctx context.Context, r *round, step query.Step, nodes []identity.DID, body func(identity.DID) (any, error), verify func(identity.DID, T) error) (map[identity.DID]T, error) {
	closed, answers, done, err := r.recorded(ctx, step)
	if err != nil {
		return nil, err
	}
	if !done {
		check := func(node identity.DID, raw json.RawMessage) error {
			// Fields that nobody reads would be kept by every replica for good.
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			var value T
			if err := dec.Decode(&value); err != nil {
				return errMalformed
			}
			return verify(node, value)
		}
		if closed, answers, err = r.collect(ctx, step, nodes, answers, body, check); err != nil {
			return nil, fmt.Errorf("step %s: %w", step, err)
		}
	}
	values := make(map[identity.DID]T, len(closed))
	for _, node := range nodes {
		answer, answered := answers[node]
		switch {
		case slices.Contains(closed, node):
			var value T
			if err := json.Unmarshal(answer.Body, &value); err != nil {
				return nil, fmt.Errorf("step %s: answer of %s: %w", step, node, errMalformed)
			}
			values[node] = value
		case answered && answer.Refusal != nil:
			r.refused = append(r.refused, query.Refused{Node: node, Problem: *answer.Refusal})
		case step == query.StepAsk && slices.Contains(r.waiting, node):
			r.missing = append(r.missing, query.Missing{Node: node, Step: query.StepWait})
		default:
			r.unasked(node, step)
		}
	}
	return values, nil
}

// recorded returns what is on record of a step: with whom the question goes on after it,
// the answers, and whether it is over. Nothing is of a question that is new here.
func (r *round) recorded(ctx context.Context, step query.Step) (closed []identity.DID, answers map[identity.DID]query.Answer, over bool, err error) {
	if r.untouched {
		return nil, nil, false, nil
	}
	if closed, over, err = r.cfg.Registry.Closed(ctx, r.q.ID, step); err != nil {
		return nil, nil, false, err
	}
	answers, err = r.cfg.Registry.Answers(ctx, r.q.ID, step)
	return closed, answers, over, err
}

// collect asks the nodes that have not answered the step, then closes it.
func (r *round) collect(ctx context.Context, step query.Step, nodes []identity.DID, known map[identity.DID]query.Answer, body func(identity.DID) (any, error), check func(identity.DID, json.RawMessage) error) ([]identity.DID, map[identity.DID]query.Answer, error) {
	limit := r.stepTime(step)
	inTurns := step == query.StepAsk && r.patient() && r.cfg.Now().Before(r.q.WaitsUntil())
	if inTurns || step == query.StepAsk && len(r.waiting) > 0 {
		limit = min(limit, turn) // who was silent before is asked at every turn
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var group sync.WaitGroup
	var away atomic.Bool
	commit := newTogether(r, step, nodes, len(known) > 0 || len(r.waiting) > 0)
	defer commit.stop()
	for _, node := range nodes {
		if _, answered := known[node]; answered {
			continue
		}
		group.Go(func() {
			err := r.ask(wait, step, node, inTurns, body, check, commit)
			if err != nil {
				commit.part() // the others would wait for nothing
			}
			if errors.Is(err, errWaits) { // then those that are silent are asked in turns
				time.AfterFunc(turn, cancel)
				return
			}
			if errors.Is(err, errAway) {
				away.Store(true)
				return
			}
			if err != nil && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "node gave no answer", "query", r.q.ID.String(), "step", step, "node", node, "err", err)
			}
		})
	}
	group.Wait()
	if commit.answers != nil {
		return commit.closed, commit.answers, nil
	}
	r.untouched = false
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	known, err := r.cfg.Registry.Answers(ctx, r.q.ID, step)
	if err != nil {
		return nil, nil, err
	}
	if step == query.StepAsk {
		if err := r.wait(ctx, away.Load()); err != nil {
			return nil, nil, err
		}
	}
	var good []identity.DID
	for _, node := range nodes {
		if answer, answered := known[node]; answered && answer.Refusal == nil {
			good = append(good, node)
		}
	}
	if _, err := r.cfg.Log.Propose(ctx, registry.CloseStep{Query: r.q.ID, Step: step, Nodes: good}); err != nil {
		return nil, nil, err
	}
	closed, known, _, err := r.recorded(ctx, step) // another leader may have been first
	return closed, known, err
}

// ask sends a step to one node until it answers and the answer is committed,
// or ctx ends, or once if the question is asked in turns. A node that signs what cannot be
// taken is not asked again: it
// would say the same, and the others would wait for it.
func (r *round) ask(ctx context.Context, step query.Step, node identity.DID, once bool, body func(identity.DID) (any, error), check func(identity.DID, json.RawMessage) error, commit *together) error {
	content, err := body(node)
	if err != nil {
		return err
	}
	return retry(ctx, func() error {
		err := r.lacks(node, r.q.Request.Needs())
		var envelope message.Envelope
		var answer query.Answer
		if err == nil {
			envelope, answer, err = r.call(ctx, r.q.ID, step, node, content, r.sizeOf(step), r.untilOf(step))
		}
		if once && err != nil && !errors.Is(err, errHopeless) {
			return fmt.Errorf("%w: %w: %w", errHopeless, errAway, err)
		}
		if err != nil {
			return outdated(err)
		}
		switch {
		case answer.Step == query.StepWait:
			err = checkWait(answer)
		case answer.Refusal == nil:
			err = check(node, answer.Body)
		default:
			err = checkRefusal(*answer.Refusal)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errHopeless, err)
		}
		if answer.Step == query.StepWait && slices.Contains(r.waiting, node) {
			return fmt.Errorf("%w: %w", errHopeless, errWaits) // on record already
		}
		err = commit.commit(ctx, envelope, answer)
		if errors.Is(err, registry.ErrNotAsked) || errors.Is(err, registry.ErrQuestionClosed) {
			err = fmt.Errorf("%w: %w", errHopeless, err)
		}
		if err == nil && answer.Step == query.StepWait {
			err = fmt.Errorf("%w: %w", errHopeless, errWaits)
		}
		return err
	})
}

// What a node's answer is refused for; such a node counts as silent.
var (
	errForeign   = problem.Refusal("dispatch.answer", "the node's answer is about another task")
	errPolicy    = problem.Refusal("dispatch.policy", "the node's policy is not one it could have accepted the question under")
	errMalformed = problem.Refusal("dispatch.malformed", "the body of the node's answer is malformed")
	errFigures   = problem.Refusal("dispatch.figures", "the node fixes figures that nobody asked it to prove, or none where it was")
	errSize      = problem.Refusal("dispatch.size", "the node's answer is larger than an answer to this step can be")
	errRefusal   = problem.Refusal("dispatch.refusal", "the node's refusal is longer than a refusal can be")
)

// maxRefusal bounds the texts of a refusal, in bytes: they are published with
// the result, and all of them have to fit into one command.
const maxRefusal = 4 << 10

func checkRefusal(d problem.Document) error {
	if len(d.Type)+len(d.Title)+len(d.Detail)+len(d.Rule) > maxRefusal {
		return errRefusal
	}
	return nil
}

// Sizes of signed answers, in bytes. Every replica keeps what is answered, so
// an answer must not be larger than an honest one can be.
const (
	answerSize = 64 << 10 // without what grows with the question; a refusal has maxRefusal and escapes
	memberSize = 256      // an encrypted box with a commitment, or a revealed share, in JSON
	wordSize   = 11       // a word of a vector in base64
	shardSize  = 1 << 10  // an aggregate and its commitments, in an envelope in an envelope
)

// sizeOf returns how large an answer to a step may be.
func (r *round) sizeOf(step query.Step) int {
	switch plain, _ := step.Split(); plain {
	case query.StepMask:
		return answerSize + memberSize*len(r.session.Members) + wordSize*r.session.Words
	case query.StepUnmask:
		return answerSize + memberSize*len(r.session.Members)
	default:
		return answerSize
	}
}

// call sends one task to a node and returns its signed answer, after checking
// that it is the node's own, about this task and at most size bytes. A node may
// wait for its people if the task says until when.
func (d *Dispatcher) call(ctx context.Context, id query.ID, step query.Step, node identity.DID, content any, size int, until *time.Time) (message.Envelope, query.Answer, error) {
	fail := func(err error) (message.Envelope, query.Answer, error) {
		return message.Envelope{}, query.Answer{}, err
	}
	body, err := json.Marshal(content)
	if err != nil {
		return fail(err)
	}
	task, err := json.Marshal(query.Task{Query: id, Step: step, Body: body, Until: until})
	if err != nil {
		return fail(err)
	}
	reply, err := d.cfg.Network.Call(ctx, node, query.TaskProtocol, task)
	if err != nil {
		return fail(err)
	}
	if len(reply) > size {
		return fail(fmt.Errorf("%w: %w", errHopeless, errSize))
	}
	envelope, err := message.Parse(reply)
	if err != nil {
		return fail(err)
	}
	answer, err := message.OpenBy[query.Answer](d.cfg.Verified, envelope, query.KindAnswer, d.cfg.Now())
	if err != nil {
		return fail(err)
	}
	if envelope.Issuer != node {
		return fail(errForeign)
	}
	waits := until != nil && answer.Step == query.StepWait
	if answer.Query != id || answer.Step != step && !waits {
		return fail(fmt.Errorf("%w: %w", errHopeless, errForeign))
	}
	return envelope, answer, nil
}

// First and longest pause between two attempts.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Second
)

// errHopeless marks what another attempt would not change.
var errHopeless = errors.New("asking again is no use")

// retry calls fn until it returns nil, its error is hopeless or ctx ends; then
// it returns fn's last error.
func retry(ctx context.Context, fn func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := fn()
		if err == nil || errors.Is(err, errHopeless) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		case <-timer.C:
		}
	}
}

// names returns the keys of a step's answers, ascending.
func names[T any](answers map[identity.DID]T) []identity.DID {
	return slices.Sorted(maps.Keys(answers))
}

// values returns a step's answers in the order of names.
func values[T any](answers map[identity.DID]T) []T {
	list := make([]T, 0, len(answers))
	for _, node := range names(answers) {
		list = append(list, answers[node])
	}
	return list
}
