// Package dispatch takes each question through its steps: ask the nodes, agree
// on masks, add the masked vectors, unmask the sum, collect the proofs.
//
// Everything a step decides is committed to the registry before the next one
// begins: each node's signed answer, and the set of nodes with which the
// question goes on; of the last step of a sum together with what follows from
// the sum. A [Dispatcher] therefore holds no state of its own; a hub that dies, or
// a new leader, reads where each question stands and goes on. Repeated messages
// change nothing. An answer never waits for ever: a step waits for silent nodes
// only for its share of the question's time, and the result names them.
//
// A method in rounds takes its sums one after the other among the nodes of the first.
// Whoever of them is silent for long ends the question: there is no sum without them.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/hub/dispatch/queue"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Network reaches nodes. A call may be repeated, lost or answered late.
type Network interface {
	// Call sends a request to a node and returns its answer. It ends with ctx.
	Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error)
}

// Log is the replicated log.
type Log interface {
	// Propose commits a command and returns what it did. An error of package
	// problem is the command's refusal; any other means that nothing is known.
	Propose(ctx context.Context, body registry.Body) (registry.Outcome, error)

	// Leading reports whether this replica may propose.
	Leading() bool
}

// Config configures a [Dispatcher]. Registry, Log and Network are required.
type Config struct {
	Registry *registry.Reader
	Log      Log
	Network  Network

	// Verified is what the registry's machine on this replica remembers of the answers that
	// were verified here. It may be nil.
	Verified *message.Verified

	// Speaks returns which protocol versions a node speaks, and false while it is not
	// known. Defaults to this program's own.
	Speaks func(node identity.DID) (version.Range, bool)

	// Policy is the hub's own disclosure policy; nodes take it if it is stricter.
	Policy disclosure.Policy

	// Grace is the least time the remaining steps get, even when the question's
	// deadline has passed while the hub was down. Defaults to 10 s.
	Grace time.Duration

	// Settle is how long nodes have to come back after the dispatcher began to drive
	// questions, as after a restart of the hub or at a new leader: a step does not end before, unless that
	// takes more than half of the time left. Defaults to 15 s.
	Settle time.Duration

	// ProofTime is how long after a question's deadline its proofs are asked for.
	// Defaults to 24 h.
	ProofTime time.Duration

	// ProofWait is how long one request for a proof may take. Defaults to 1 min.
	ProofWait time.Duration

	// Running is how many questions are driven at once, and RunningEach how many of
	// one researcher; see package queue. They default to 64 and 8.
	Running, RunningEach int

	// Poll is how often the registry is read without being told. Defaults to 2 s.
	Poll time.Duration

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Speaks == nil {
		c.Speaks = func(identity.DID) (version.Range, bool) { return version.Spoken(), true }
	}
	if c.Grace <= 0 {
		c.Grace = 10 * time.Second
	}
	if c.Settle <= 0 {
		c.Settle = 15 * time.Second
	}
	if c.ProofTime <= 0 {
		c.ProofTime = 24 * time.Hour
	}
	if c.ProofWait <= 0 {
		c.ProofWait = time.Minute
	}
	if c.Running <= 0 {
		c.Running = 64
	}
	if c.RunningEach <= 0 {
		c.RunningEach = 8
	}
	if c.Poll <= 0 {
		c.Poll = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Bounds of what is done besides answering at once. Proofs have a pool of their own: a
// node that gives none holds its place for [Config.ProofWait], again and again for a day,
// and must not keep questions from being answered. So have cancellations, which nodes
// that are away have to be told when they are back.
const (
	maxProving = 16 // answered questions whose proofs are asked for
	maxTelling = 16 // cancelled questions of which nodes have to be told
)

// Dispatcher drives questions while its replica leads.
type Dispatcher struct {
	cfg  Config
	wake chan struct{}

	mu        sync.Mutex
	began     time.Time                       // when it last began to drive; zero while another replica leads; guarded by mu
	answering *queue.Queue                    // guarded by mu
	proving   *queue.Queue                    // guarded by mu
	ends      map[query.ID]context.CancelFunc // ends the work on a question that is answered; guarded by mu
	telling   map[query.ID]bool               // guarded by mu
	untold    map[query.ID][]identity.DID     // nodes that have not heard of a cancellation; guarded by mu
	held      map[query.ID]hold               // guarded by mu

	owed   map[query.ID]time.Time // since when proofs are; guarded by mu
	let    time.Time              // when a question was last let go; guarded by mu
	looked time.Time              // when it was last read what is owed; guarded by mu

	resting *time.Timer // wakes when it has been quiet since then; guarded by mu
}

// hold keeps a question that could not go on from being taken up at every poll.
type hold struct {
	until time.Time
	pause time.Duration
}

// longestHold is the longest pause before a question is taken up again.
const longestHold = time.Minute

// New returns a Dispatcher; it starts nothing.
func New(cfg Config) (*Dispatcher, error) {
	if cfg.Registry == nil || cfg.Log == nil || cfg.Network == nil {
		return nil, errors.New("dispatch: registry, log and network are required")
	}
	cfg = cfg.withDefaults()
	return &Dispatcher{
		cfg: cfg, wake: make(chan struct{}, 1), held: make(map[query.ID]hold),
		answering: queue.New(cfg.Running, cfg.RunningEach), proving: queue.New(maxProving, maxProving),
		ends: make(map[query.ID]context.CancelFunc), telling: make(map[query.ID]bool), untold: make(map[query.ID][]identity.DID),
		owed: make(map[query.ID]time.Time),
	}, nil
}

// Wake tells the dispatcher that there may be something to do. It never blocks.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run drives questions until ctx ends, then waits for those under way to let go.
func (d *Dispatcher) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	tick := time.NewTicker(d.cfg.Poll)
	defer tick.Stop()
	for {
		if d.lead(d.cfg.Log.Leading()) {
			if err := d.start(ctx, &group); err != nil && ctx.Err() == nil {
				d.cfg.Logger.ErrorContext(ctx, "read open questions", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.wake:
		}
	}
}

// lead notes whether this replica leads. One that does no more lets go of everything: the
// new leader drives it.
func (d *Dispatcher) lead(leads bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if leads == !d.began.IsZero() {
		return leads
	}
	d.began = time.Time{}
	if leads {
		d.began = d.cfg.Now()
	}
	for _, end := range d.ends {
		end()
	}
	return leads
}

// settled returns until when nodes have to come back.
func (d *Dispatcher) settled() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.began.Add(d.cfg.Settle)
}

// start begins to drive unfinished questions, as many as there are places for.
func (d *Dispatcher) start(ctx context.Context, group *sync.WaitGroup) error {
	unfinished, all, err := d.unfinished(ctx)
	if err != nil {
		return err
	}
	cancelled, err := d.cfg.Registry.Cancelled(ctx, d.cfg.Now())
	if err != nil {
		return err
	}
	d.stop(unfinished)
	if all {
		d.forget(unfinished, cancelled)
	}
	d.sort(unfinished)
	d.tellAll(ctx, group, cancelled)
	for _, id := range d.claim(unfinished) {
		work := d.begin(ctx, id)
		group.Go(func() {
			err := d.drive(work, id)
			if work.Err() != nil && ctx.Err() == nil {
				err = nil // there is nothing left to do for it
			}
			d.release(id, err)
			if err != nil && !errors.Is(err, errWaits) && ctx.Err() == nil {
				d.cfg.Logger.WarnContext(ctx, "question is held up and will be taken up again", "query", id.String(), "err", err)
			}
			d.Wake() // its place is free, and its proofs may be next
		})
	}
	return nil
}

// stop ends the work on questions that are not open any more: they were cancelled, or
// another leader has finished them.
func (d *Dispatcher) stop(unfinished []registry.Pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, end := range d.ends {
		if !slices.ContainsFunc(unfinished, func(p registry.Pending) bool { return p.ID == id && !p.Answered }) {
			end()
		}
	}
}

// forget drops the holds of what is not among the unfinished and cancelled questions any
// more, and whom to tell of a cancellation whose question's time is over.
func (d *Dispatcher) forget(unfinished []registry.Pending, cancelled []query.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := make(map[query.ID]bool, len(unfinished)+len(cancelled))
	for _, p := range unfinished {
		left[p.ID] = true
	}
	maps.DeleteFunc(d.owed, func(id query.ID, _ time.Time) bool { return !left[id] })
	for _, id := range cancelled {
		left[id] = true
	}
	maps.DeleteFunc(d.held, func(id query.ID, _ hold) bool { return !left[id] })
	maps.DeleteFunc(d.untold, func(id query.ID, _ []identity.DID) bool { return !slices.Contains(cancelled, id) })
}

// sort orders questions by when their hold ends, and equals by age: those that were
// not tried yet go first, then those whose last try is longest ago. What fails again
// and again does not keep its researcher's others waiting.
func (d *Dispatcher) sort(unfinished []registry.Pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(unfinished, func(a, b registry.Pending) int {
		return d.held[a.ID].until.Compare(d.held[b.ID].until)
	})
}

// claim gives the free places to questions whose turn it is, in the pool of what is
// to be done for them, and returns those that got one.
func (d *Dispatcher) claim(unfinished []registry.Pending) []query.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var answer, prove []registry.Pending
	now := d.cfg.Now()
	for _, p := range unfinished {
		if d.answering.Has(p.ID) || d.proving.Has(p.ID) || now.Before(d.held[p.ID].until) {
			continue
		}
		switch {
		case !p.Answered:
			answer = append(answer, p)
		case !d.yields(p.ID, now):
			prove = append(prove, p)
		}
	}
	return append(d.answering.Take(answer), d.proving.Take(prove)...)
}

// begin returns the context of the work on a question that has a place.
func (d *Dispatcher) begin(ctx context.Context, id query.ID) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answering.Has(id) {
		ctx, d.ends[id] = context.WithCancel(ctx)
	}
	return ctx
}

// release lets a question go. One that failed is held back for a poll, then
// for twice as long each time, up to a minute; one that waits for approval less.
func (d *Dispatcher) release(id query.ID, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answering.Has(id) {
		d.letGo()
	}
	if end := d.ends[id]; end != nil {
		end()
	}
	delete(d.ends, id)
	delete(d.telling, id)
	d.answering.Release(id)
	d.proving.Release(id)
	if err == nil {
		delete(d.held, id)
		return
	}
	now := d.cfg.Now()
	pause := min(max(2*d.held[id].pause, d.cfg.Poll), longestHold)
	if w, is := errors.AsType[waits](err); is {
		pause = min(pause, w.pause(now))
	}
	d.held[id] = hold{until: now.Add(pause), pause: pause}
}

// drive answers an open question, or asks for the proofs of an answered one.
func (d *Dispatcher) drive(ctx context.Context, id query.ID) error {
	q, err := d.cfg.Registry.Question(ctx, id)
	if err != nil {
		return err
	}
	if q.Result != nil {
		return d.prove(ctx, q)
	}
	r := &round{Dispatcher: d, q: q, n: 1}
	result, err := r.answer(ctx)
	if err != nil {
		return fmt.Errorf("answer question: %w", err)
	}
	if err := r.follow(ctx, registry.RecordSum{Finish: &registry.FinishQuestion{Result: result}}); err != nil && !errors.Is(err, registry.ErrQuestionClosed) {
		return fmt.Errorf("finish question: %w", err)
	}
	d.cfg.Logger.InfoContext(ctx, "question answered", "query", q.ID.String(), "state", result.State,
		"answered", len(result.Answered), "refused", len(result.Refused), "missing", len(result.Missing))
	return nil
}
