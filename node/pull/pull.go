// Package pull fetches what a site's FHIR server has and hands it to the loads, when the site
// says so or by a schedule.
//
// A pull is a file NAME.yaml in a folder of the node, see [Settings]. [Puller.Run] does its
// runs: it asks for an export, or searches page by page, gives every file to
// node/ingest.Service.Accept, patients first, and waits for the loads. What a run has done is
// in the database before it does the next thing. A process that dies goes on with the same
// export and fetches no file a second time that was acknowledged, and the next run asks only
// for what changed since the last one that was complete.
//
// A run is no job of the queue, whose few workers load files: it mostly waits, for the server
// and for its own loads, and would keep them from being done. Loads of what it fetched are
// jobs like any other.
//
// What the server says was deleted is counted, and its list is loaded as a file, so that
// every entry of it is a problem of that load with its place: no row is removed.
package pull

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

//go:embed migrations
var migrations embed.FS

// Loads takes files; ingest.Service is one.
type Loads interface {
	// Accept keeps a file and enqueues its load; both are durable when it returns. A file
	// that was loaded before keeps the job it has.
	Accept(ctx context.Context, name string, r io.Reader) (raw.Digest, ingest.JobID, error)

	Job(ctx context.Context, id ingest.JobID) (ingest.Job, error)
}

// Config configures a [Puller]. DB, Loads and Dir are required.
type Config struct {
	DB    *sqldb.DB
	Loads Loads

	// Dir is the folder of the pulls. It need not be there. It is read again whenever it
	// matters, so a change holds at once.
	Dir string

	// Tick is how often the schedules are looked at, 10 ms to 1 min. Defaults to 10 s.
	Tick time.Duration

	// Parallel is how many pulls run at once, 1 to 64. Defaults to 4.
	Parallel int

	// Patience is how long a run goes on trying while the server or the database is in
	// trouble. Defaults to 24 h.
	Patience time.Duration

	// Chunk is how many resources of a search become one file, 1 to 1,000,000. Defaults to
	// 10,000.
	Chunk int

	Log  *slog.Logger                               // Defaults to discarding.
	Now  func() time.Time                           // Defaults to time.Now.
	Wait func(context.Context, time.Duration) error // Pauses, unless ctx ends. Defaults to doing so.
}

func (c Config) withDefaults() Config {
	if c.Tick == 0 {
		c.Tick = 10 * time.Second
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.Patience == 0 {
		c.Patience = 24 * time.Hour
	}
	if c.Chunk == 0 {
		c.Chunk = 10_000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil, c.Loads == nil, c.Dir == "":
		return errors.New("db, loads and dir are required")
	case c.Tick < 10*time.Millisecond || c.Tick > time.Minute:
		return errors.New("tick must be 10 ms to 1 min")
	case c.Parallel < 1 || c.Parallel > 64:
		return errors.New("parallel pulls must be 1 to 64")
	case c.Chunk < 1 || c.Chunk > 1_000_000:
		return errors.New("a file of a search must have 1 to 1,000,000 resources")
	}
	return nil
}

// Puller runs pulls. It is safe for concurrent use.
type Puller struct {
	cfg   Config
	begun time.Time     // from when on schedules count that never ran
	wake  chan struct{} // has room for one
	ended *prometheus.CounterVec

	mu      sync.Mutex
	running map[int64]context.CancelCauseFunc // by run; guarded by mu
}

// Open brings the tables of runs up to date; it starts nothing.
func Open(ctx context.Context, cfg Config) (*Puller, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "pull", own); err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	return &Puller{
		cfg: cfg, begun: cfg.Now(), wake: make(chan struct{}, 1), running: make(map[int64]context.CancelCauseFunc),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_pull_runs_total", Help: "Runs of pulls from FHIR servers that ended, by outcome.",
		}, []string{"outcome"}),
	}, nil
}

// Collectors returns the metrics.
func (p *Puller) Collectors() []prometheus.Collector { return []prometheus.Collector{p.ended} }

// Run does the runs that are open and those that fall due until ctx ends. What is under way
// then is taken up by the next Run.
func (p *Puller) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	tick := time.NewTicker(p.cfg.Tick)
	defer tick.Stop()
	for {
		if err := p.turn(ctx, &group); err != nil && ctx.Err() == nil {
			p.cfg.Log.WarnContext(ctx, "pulls were not looked at, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.wake:
		}
	}
}

// turn opens the runs that are due and does those that are open.
func (p *Puller) turn(ctx context.Context, group *sync.WaitGroup) error {
	if err := p.openDue(ctx); err != nil {
		return err
	}
	open, err := p.openRuns(ctx)
	if err != nil {
		return err
	}
	for _, r := range open {
		ctx, cancel := context.WithCancelCause(ctx)
		if !p.take(r.ID, cancel) {
			cancel(nil)
			continue
		}
		group.Go(func() {
			defer cancel(nil)
			defer p.leave(r.ID)
			p.carry(ctx, r)
		})
	}
	return nil
}

// take notes that a run is being done, unless it is already or there are too many.
func (p *Puller) take(run int64, cancel context.CancelCauseFunc) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[run] != nil || len(p.running) >= p.cfg.Parallel {
		return false
	}
	p.running[run] = cancel
	return true
}

func (p *Puller) leave(run int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, run)
}

// rouse has Run look at once.
func (p *Puller) rouse() {
	select {
	case p.wake <- struct{}{}:
	default: // it will already
	}
}

// openDue opens a run of every pull whose schedule says so. One that fell due while the node
// was off, or while the run before went on, is made up for once.
func (p *Puller) openDue(ctx context.Context) error {
	pulls, err := ReadAll(p.cfg.Dir)
	if err != nil {
		return err
	}
	for _, pull := range pulls {
		if pull.Err != nil || pull.Schedule.IsZero() {
			continue
		}
		next, err := p.next(ctx, pull.Settings)
		if err != nil {
			return err
		}
		if next.IsZero() || next.After(p.cfg.Now()) {
			continue
		}
		if _, err := p.open(ctx, pull.Settings); err != nil && !errors.Is(err, errUnderWay) {
			return err
		}
	}
	return nil
}

// next is when a pull falls due, zero for never.
func (p *Puller) next(ctx context.Context, s Settings) (time.Time, error) {
	if s.Schedule.IsZero() {
		return time.Time{}, nil
	}
	last, err := p.lastAsked(ctx, s.Name)
	if err != nil {
		return time.Time{}, err
	}
	if last.IsZero() {
		last = p.begun
	}
	return s.Schedule.Next(last), nil
}

// wait pauses for d, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
