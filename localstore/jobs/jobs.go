// Package jobs is the durable queue of work: what is acknowledged is done, also
// when the process dies on the way.
//
// A [Queue] is made with [New]; [Register] says what to do for a kind of
// arguments, [Queue.Enqueue] adds work in the transaction that stores the data it
// is about, and [Queue.Run] does the work. A worker commits its results and calls
// [Job.Complete] in one transaction, so that work takes effect once although it
// may be begun several times. A job is a file or a batch, never a single record.
//
// A job that fails is tried again after a growing pause and is dead after
// Config.Attempts, or at once with [Permanent]; [Queue.Dead] lists the dead,
// [Queue.Retry] revives one. Trouble of the database itself, such as a full disk,
// is waited out and is no failure of the job; [Queue.Held] tells of it.
//
// After a crash a job is still marked as running. Run first claims Config.Name, on
// SQLite by a lock on a file beside the database and on PostgreSQL by an advisory
// lock of its session, so there is one Run by that name; whatever is marked as
// running by that name is then nobody's, and is made available at once. A job that
// was begun Config.Attempts times and never ended is dead: it may be what kills the
// process. Jobs of another name whose process does not come back are taken over
// when Config.Timeout and five minutes have passed.
//
// Errors of jobs are stored and shown: they must not hold a value of a record.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/trialmesh/trialmesh/localstore/internal/door"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Args are the arguments of a job: a struct that marshals to JSON. Kind names what
// to do and never changes, since it is stored: letters, digits, - and _.
type Args interface{ Kind() string }

// Apart is what arguments also are whose work must not keep other work waiting, because it
// waits itself: for other servers. It has workers of its own and is not in [Queue.Counts].
type Apart interface {
	Args

	// Workers is how many jobs of this kind run at once, 1 to 64; it does not depend on the
	// arguments.
	Workers() int
}

// Config configures a [Queue]. DB is required.
type Config struct {
	// DB holds the queue. Its tables are made by [Migrate].
	DB *sqldb.DB

	// Name tells processes apart that share DB; it must be the same after a
	// restart. Up to 60 characters. Defaults to "node".
	Name string

	// Workers is how many jobs run at once, 1 to 64, beside those of work that is [Apart].
	// Defaults to 2.
	Workers int

	// Timeout ends the context of a job, 1 s to 24 h. Defaults to 1 h.
	Timeout time.Duration

	// Attempts is how often a job is tried, 1 to 100. Defaults to 5.
	Attempts int

	// Backoff is the pause after a failed attempt, numbered from 1. Defaults to
	// 1 s, 4 s, 16 s and so on up to an hour.
	Backoff func(attempt int) time.Duration

	// StopWait is how long jobs may go on after Run is told to end before their
	// contexts do, up to 1 h. Defaults to 10 s.
	StopWait time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Dates retries. Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "node"
	}
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Timeout == 0 {
		c.Timeout = time.Hour
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.Backoff == nil {
		c.Backoff = backoff
	}
	if c.StopWait == 0 {
		c.StopWait = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("no database")
	case len(c.Name) > 60:
		return errors.New("name is longer than 60 characters")
	case c.Workers < 1 || c.Workers > 64:
		return errors.New("workers must be 1 to 64")
	case c.Timeout < time.Second || c.Timeout > 24*time.Hour:
		return errors.New("timeout must be 1 s to 24 h")
	case c.Attempts < 1 || c.Attempts > 100:
		return errors.New("attempts must be 1 to 100")
	case c.StopWait < 0 || c.StopWait > time.Hour:
		return errors.New("stop wait must be up to 1 h")
	}
	return nil
}

// backoff is 4^(attempt-1) seconds, at most an hour.
func backoff(attempt int) time.Duration {
	pause := time.Second
	for range attempt - 1 {
		if pause *= 4; pause >= time.Hour {
			return time.Hour
		}
	}
	return pause
}

// Queue is a durable queue of jobs, safe for concurrent use. Its methods that take
// no transaction must not be called from inside a Write of the same database: on
// SQLite they would wait for it until their context ends.
type Queue struct {
	cfg     Config
	engine  engine
	workers *river.Workers
	m       *metrics
	holds   *holds
	log     *slog.Logger    // for what would be said too often
	stopped <-chan struct{} // closed when Run is told to end; set by Run before any work
	release func()          // of the claim; nil without one
}

// New returns a queue over tables that [Migrate] made; it starts nothing.
func New(cfg Config) (*Queue, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	q := &Queue{cfg: cfg, workers: river.NewWorkers(), m: newMetrics(), holds: newHolds(cfg.Now)}
	q.log = slog.New(newQuiet(cfg.Log.Handler(), func() {}))
	var err error
	if q.engine, err = newEngine(cfg, q.workers, q.holds.failed); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return q, nil
}

// Job is one attempt at a piece of work.
type Job[T Args] struct {
	ID      int64
	Attempt int  // from 1
	Last    bool // no further attempt follows if this one fails
	Args    T

	complete func(context.Context, *sqldb.Tx) error
}

// Complete marks the job as done if tx commits. A worker calls it in the
// transaction of its results, with its own context, and then returns nil. An error
// says that the job is no longer this attempt's: tx must not commit.
func (j *Job[T]) Complete(ctx context.Context, tx *sqldb.Tx) error {
	if err := j.complete(ctx, tx); err != nil {
		return fmt.Errorf("jobs: complete %d: %w", j.ID, err)
	}
	return nil
}

// Register says that work does jobs with arguments of type T. It is called before
// Run and once for each kind; other use is a bug and panics. work may be called
// again for a job that it began before, and by several goroutines.
func Register[T Args](q *Queue, work func(context.Context, *Job[T]) error) {
	var args T
	if apart, is := any(args).(Apart); is {
		if err := q.engine.addQueue(args.Kind(), apart.Workers()); err != nil {
			panic(err) // a number or a name that is fixed in the code
		}
	}
	river.AddWorker(q.workers, river.WorkFunc(func(ctx context.Context, rj *river.Job[T]) error {
		j := &Job[T]{ID: rj.ID, Attempt: rj.Attempt, Last: rj.Attempt >= rj.MaxAttempts, Args: rj.Args}
		j.complete = func(ctx context.Context, tx *sqldb.Tx) error { return complete(ctx, tx, rj) }
		return q.run(ctx, rj.JobRow, func() error { return work(ctx, j) })
	}))
}

// run does an attempt and says what becomes of the job.
func (q *Queue) run(ctx context.Context, row *rivertype.JobRow, work func() error) error {
	start := time.Now()
	err := q.patiently(ctx, row.ID, func() error { return q.guard(ctx, row, work) })
	outcome := "done"
	var permanent *permanentError
	var later *laterError
	switch {
	case err == nil:
	case errors.As(err, &later) && !q.engine.stopping():
		q.m.observe(row.Kind, "later", time.Since(start))
		return river.JobSnooze(later.pause)
	case q.engine.stopping():
		// Not the job's fault: it is not counted as an attempt.
		outcome, err = "stopped", river.JobSnooze(0)
	case errors.As(err, &permanent):
		outcome, err = "dead", river.JobCancel(err)
	case row.Attempt >= row.MaxAttempts:
		outcome = "dead"
	default:
		outcome = "failed"
	}
	took := time.Since(start)
	q.m.observe(row.Kind, outcome, took)
	if err != nil {
		q.cfg.Log.ErrorContext(ctx, "job did not end well", "job", row.ID, "kind", row.Kind, "attempt", row.Attempt,
			"outcome", outcome, "dur", took, "err", err)
	}
	return err
}

// guard turns a panic into an error without its value, which may be a record's.
func (q *Queue) guard(ctx context.Context, row *rivertype.JobRow, work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("worker panicked with a %T", r)
			q.cfg.Log.ErrorContext(ctx, "worker panicked", "job", row.ID, "kind", row.Kind, "stack", string(debug.Stack()))
		}
	}()
	return work()
}

// Permanent returns an error that makes a job dead at once. It is for what no
// further attempt can change, such as input that cannot be read.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Later returns an error that makes a job be tried again after a pause, and counts as no
// attempt. It is for work that waits for what is not the node's, and that itself says how long
// and why.
func Later(pause time.Duration) error { return &laterError{pause} }

type laterError struct{ pause time.Duration }

func (e *laterError) Error() string { return "to be tried again in " + e.pause.String() }

// Enqueue adds a job if tx commits, and returns its number. A kind that is not
// registered is an error.
func (q *Queue) Enqueue(ctx context.Context, tx *sqldb.Tx, args Args) (int64, error) {
	id, err := q.engine.insert(ctx, tx, args)
	if err != nil {
		return 0, fmt.Errorf("jobs: enqueue %s: %w", args.Kind(), err)
	}
	return id, nil
}

// Dead is a job that will not be tried again.
type Dead struct {
	ID       int64
	Kind     string
	Args     json.RawMessage
	Attempts int
	Error    string // of the last attempt
	At       time.Time
}

// Dead lists dead jobs, the latest first, at most limit (1 to 1,000). They are
// kept until they are retried.
func (q *Queue) Dead(ctx context.Context, limit int) ([]Dead, error) {
	if limit < 1 || limit > 1000 {
		return nil, errors.New("jobs: dead: limit must be 1 to 1,000")
	}
	rows, err := q.engine.list(ctx, limit, rivertype.JobStateDiscarded, rivertype.JobStateCancelled)
	if err != nil {
		return nil, fmt.Errorf("jobs: dead: %w", err)
	}
	dead := make([]Dead, len(rows))
	for i, r := range rows {
		dead[i] = Dead{ID: r.ID, Kind: r.Kind, Args: r.EncodedArgs, Attempts: r.Attempt}
		if n := len(r.Errors); n > 0 {
			dead[i].Error = r.Errors[n-1].Error
		}
		if r.FinalizedAt != nil {
			dead[i].At = r.FinalizedAt.UTC()
		}
	}
	return dead, nil
}

// What Retry returns.
var (
	ErrNotFound = errors.New("no such job")
	ErrUnderWay = errors.New("an attempt at the job is under way") // nothing changed
)

// Retry makes a job that waits or has ended available at once, with one attempt
// more if none is left. It returns [ErrNotFound] or [ErrUnderWay] if it cannot.
func (q *Queue) Retry(ctx context.Context, id int64) error {
	err := q.engine.retry(ctx, id)
	if errors.Is(err, rivertype.ErrNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("jobs: retry %d: %w", id, err)
	}
	return nil
}

// Counts are numbers of jobs for status pages. Done are those of the last day.
type Counts struct{ Waiting, Running, Done, Dead int }

// Counts counts the jobs, other than those of work that is [Apart].
func (q *Queue) Counts(ctx context.Context) (Counts, error) {
	by, err := q.engine.counts(ctx)
	if err != nil {
		return Counts{}, fmt.Errorf("jobs: count: %w", err)
	}
	return Counts{
		Waiting: by[rivertype.JobStateAvailable] + by[rivertype.JobStateRetryable] + by[rivertype.JobStateScheduled] + by[rivertype.JobStatePending],
		Running: by[rivertype.JobStateRunning],
		Done:    by[rivertype.JobStateCompleted],
		Dead:    by[rivertype.JobStateDiscarded] + by[rivertype.JobStateCancelled],
	}, nil
}

// Claim claims the queue for the next Run, or returns [ErrRunning]. Run does it by itself;
// whoever has more to begin with it learns before that it may not. It is not called while
// Run runs.
func (q *Queue) Claim(ctx context.Context) (err error) {
	if q.release == nil {
		q.release, err = claim(ctx, q.cfg.DB, q.cfg.Name)
	}
	return err
}

// Release gives a claim back that no Run has used. Without one it does nothing.
func (q *Queue) Release() {
	if q.release != nil {
		q.release()
		q.release = nil
	}
}

// Run does jobs until ctx ends, lets the running ones finish for Config.StopWait,
// and returns nil. It returns [ErrRunning] if there is a Run by the same name.
// Run is called once on a Queue.
func (q *Queue) Run(ctx context.Context) error {
	err := q.Claim(ctx)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("jobs: run: %w", err)
	}
	defer q.Release()
	n, err := q.engine.rescue(ctx)
	if ctx.Err() != nil {
		return nil // told to end before it began
	}
	if err != nil {
		return fmt.Errorf("jobs: run: rescue: %w", err)
	}
	if n > 0 {
		q.cfg.Log.InfoContext(ctx, "jobs of a process that died are taken up again", "jobs", n)
	}
	q.stopped = ctx.Done()
	if err := q.engine.run(ctx); err != nil {
		return fmt.Errorf("jobs: run: %w", err)
	}
	return nil
}

var key door.Key
