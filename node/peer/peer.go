// Package peer takes the hub's tasks and answers them.
//
// A [Peer] believes nothing the hub says. For every question it checks the
// researcher's signature, the trial and its approval by a board this site
// trusts, its own policy and consents, and waits for its people where they are to
// decide; only then it evaluates, passes the answer through the release gate and takes
// part in the masked sum. Each answer is
// signed. Steps may be repeated, and give the same answer, until the next one
// was taken, or a withdrawal or the question's end forbids any; an earlier step
// that comes back is a replay and is refused.
// Everything needed to go on after a crash is on disk.
package peer

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why a task is refused, besides the rules of the packages that judge it.
var (
	ErrCaller    = problem.Refusal("peer.caller", "only the hub may bring tasks")
	ErrTask      = problem.Refusal("peer.task", "the task is malformed")
	ErrReplayed  = problem.Refusal("peer.replayed", "the question was taken further than this step, or came before with other papers")
	ErrUnasked   = problem.Refusal("peer.unasked", "the question was never accepted here")
	ErrHubPolicy = problem.Refusal("peer.hub-policy", "the hub's disclosure policy is out of range")
	ErrScopes    = problem.Refusal("peer.scopes", "the question reads more kinds of data than one proof of consent covers in this network; ask for fewer")
	ErrDesign    = problem.Refusal("peer.design", "the trial came under another design before; an amended design needs a trial id of its own")
	ErrThreshold = problem.Refusal("peer.threshold", "this node's cell threshold is above what hub and trial demand of pooled numbers, and the method shows some; have the trial's design demand as much")
	ErrMinSites  = problem.Refusal("peer.min-sites", "the question would be summed over fewer sites than this node demands")
)

// Prover makes access proofs.
type Prover interface {
	// Access proves that an answer used only records that were permitted.
	Access(ctx context.Context, w circuits.AccessWitness) (circuits.AccessProof, error)
}

// Proving is what access proofs are made with.
type Proving struct {
	Prover  Prover
	Circuit circuits.Circuit // the prover's access circuit
	Key     message.Digest   // of its verifying key

	// Results is nil where figures cannot be proved.
	Results *Results

	// Venue is the chain that proofs are made for.
	Venue protocol.Venue
}

// Config configures a [Peer]. All fields but Log and Now are required.
type Config struct {
	DB  *sqldb.DB
	Key identity.Key // the node's
	Hub identity.DID

	// Boards are the ethics boards whose approvals count at this site.
	Boards []identity.DID

	// Policy is the site's own disclosure policy.
	Policy disclosure.Policy

	Consents *consent.Book
	Columns  *columns.Book
	Engine   *query.Engine
	Gate     *release.Gate
	Trail    *audit.Trail

	// Approvals decides what may run and leave, by policy and by people.
	Approvals *approval.Desk

	// Proving returns what access proofs are made with, or an error of kind
	// unavailable until the hub has told this node.
	Proving func() (Proving, error)

	// Believed returns why no question of the hub is taken any more, nil if they are.
	Believed func() error

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

//go:embed migrations
var migrations embed.FS

// Peer answers tasks, whether or not [Peer.Run] runs, which only keeps count of
// those refused. It is safe for concurrent use.
type Peer struct {
	cfg Config

	evaluations prometheus.Histogram // seconds
	lane        *lane
	verified    *message.Verified // of trials' papers, which come with every question

	refusals *rate.Limiter // of records of single refusals
	counted  atomic.Int64  // refusals that are not on the trail yet

	mu     sync.Mutex
	busy   map[protocol.ID]*turn       // one task of a question at a time; guarded by mu
	recent []*recent                   // used last, the latest last; guarded by mu
	pinned map[trial.ID]message.Digest // as in peer_trial, as far as known; guarded by mu
}

// Open brings the peer's table up to date and returns the peer.
func Open(ctx context.Context, cfg Config) (*Peer, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, err
	}
	if err := migrate(ctx, cfg.DB); err != nil {
		return nil, err
	}
	return &Peer{
		cfg: cfg, evaluations: newEvaluations(), lane: newLane(), verified: message.NewVerified(), refusals: newRefusals(),
		busy: make(map[protocol.ID]*turn), pinned: make(map[trial.ID]message.Digest),
	}, nil
}

func migrate(ctx context.Context, db *sqldb.DB) error {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := sqldb.Migrate(ctx, db, "peer", own); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	return nil
}

// Drop drops the questions that are under way, of a node that does not run and whose
// database is that of an earlier moment: the guard against a second masked sum with the
// same secret may have been forgotten.
func Drop(ctx context.Context, db *sqldb.DB) error {
	if err := migrate(ctx, db); err != nil { // the node may never have run
		return err
	}
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, table := range []string{"peer_question", "peer_round"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("peer: drop questions: %w", err)
	}
	return nil
}

// answerLife is how long the hub may take to commit an answer.
const answerLife = time.Hour

// errHeldUp says no more: what is wrong is the node's own matter.
var errHeldUp = problem.New(problem.Unavailable, "the node cannot answer at the moment")

// Take answers one task. A refusal is an answer too, signed like any other. An
// error means that there is no answer yet: the hub tries again.
func (p *Peer) Take(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
	if from != p.cfg.Hub {
		return nil, ErrCaller
	}
	var task protocol.Task
	if err := json.Unmarshal(raw, &task); err != nil || task.Query.IsZero() {
		return nil, ErrTask
	}
	if task.Step != protocol.StepProve && task.Step != protocol.StepProveResult {
		defer p.lane.step()()
	}
	if task.Step == protocol.StepCancel {
		if err := p.cancel(ctx, task); err != nil {
			return p.reply(ctx, task, nil, err)
		}
	}
	working, unlock, err := p.lock(ctx, task.Query)
	if err != nil {
		return nil, errHeldUp
	}
	defer unlock()
	body, err := p.step(working, task)
	if errors.Is(context.Cause(working), approval.ErrCancelled) && err != nil {
		err = approval.ErrCancelled
	}
	return p.reply(ctx, task, body, err)
}

// reply signs what came of a task.
func (p *Peer) reply(ctx context.Context, task protocol.Task, body json.RawMessage, err error) ([]byte, error) {
	answer := protocol.Answer{Query: task.Query, Step: task.Step, Body: body}
	switch {
	case errors.Is(err, approval.ErrWaiting) && task.Until != nil:
		answer.Step = protocol.StepWait
	case errors.Is(err, approval.ErrWaiting):
		return nil, approval.ErrWaiting // what a hub from before approvals tries again
	case err != nil:
		var refusal *problem.Error
		if !errors.As(err, &refusal) || refusal.Kind == problem.Unavailable {
			p.cfg.Log.WarnContext(ctx, "task is held up", "query", task.Query.String(), "step", task.Step, "err", err)
			return nil, errHeldUp
		}
		document := problem.From(err)
		answer.Body, answer.Refusal = nil, &document
		if err := p.refuse(context.WithoutCancel(ctx), task.Query, refusal.Rule); err != nil {
			return nil, err
		}
	}
	envelope, err := message.Seal(p.cfg.Key, protocol.KindAnswer, answer, p.cfg.Now(), answerLife, rand.Reader)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// turn is held by the task of a question that is under way. waits counts it and those
// behind it, and stop ends the work of who holds it; both are guarded by Peer.mu.
type turn struct {
	held  chan struct{}
	waits int
	stop  context.CancelCauseFunc
}

// lock keeps other tasks of the question waiting until the returned function
// is called. It fails if ctx ends before it is this task's turn. What is done for the task
// is done under the returned context, which ends when the question is cancelled.
func (p *Peer) lock(ctx context.Context, id protocol.ID) (working context.Context, unlock func(), err error) {
	p.mu.Lock()
	t, there := p.busy[id]
	if !there {
		t = &turn{held: make(chan struct{}, 1)}
		p.busy[id] = t
	}
	t.waits++
	p.mu.Unlock()
	gone := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.waits--; t.waits == 0 {
			delete(p.busy, id)
		}
	}
	select {
	case t.held <- struct{}{}:
	default:
		select {
		case t.held <- struct{}{}:
		case <-ctx.Done():
			gone()
			return nil, nil, context.Cause(ctx)
		}
	}
	working, stop := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	t.stop = stop
	return working, func() { stop(nil); <-t.held; gone() }, nil
}

// underWay reports whether there is a task of a question.
func (p *Peer) underWay(id protocol.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy[id] != nil
}

// stop ends what is being done for a question.
func (p *Peer) stop(id protocol.ID, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.busy[id]; t != nil && t.stop != nil {
		t.stop(cause)
	}
}

func (p *Peer) step(ctx context.Context, task protocol.Task) (json.RawMessage, error) {
	switch task.Step {
	case protocol.StepCancel:
		return nil, p.erase(ctx, task.Query)
	case protocol.StepAsk:
		return p.ask(ctx, task)
	case protocol.StepProve, protocol.StepProveResult:
		var q *recent
		err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			q, err = p.load(ctx, tx, task.Query)
			return err
		})
		if err != nil {
			return nil, err
		}
		if task.Step == protocol.StepProveResult {
			return p.proveResult(ctx, q.question)
		}
		return p.prove(ctx, q.question)
	}
	return p.sum(ctx, task)
}
