package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	// pollInterval is how late a job may start on SQLite, where nothing tells
	// another process of it.
	pollInterval = 250 * time.Millisecond
	// pollPostgres is only a fallback: PostgreSQL notifies.
	pollPostgres = time.Second
	// fetchCooldown is the least time between two fetches.
	fetchCooldown = 20 * time.Millisecond
	// beyondTimeout is how long after its timeout a job counts as abandoned.
	beyondTimeout = 5 * time.Minute
	// stopGrace is how long workers may take to heed the end of their context.
	stopGrace = 30 * time.Second
	// forever is how long the dead are kept. river's own word for it, -1, deletes
	// them on SQLite: its driver knows a horizon only, and takes it for 1 ns ago.
	forever = 100 * 365 * 24 * time.Hour
	// rescueBatch is how many abandoned jobs are rescued by one statement.
	rescueBatch = 500
)

// engine is river on either database, without its transaction type.
type engine interface {
	insert(ctx context.Context, tx *sqldb.Tx, args Args) (int64, error)
	addQueue(name string, workers int) error
	run(ctx context.Context) error
	stopping() bool
	rescue(ctx context.Context) (int, error)
	list(ctx context.Context, limit int, states ...rivertype.JobState) ([]*rivertype.JobRow, error)
	retry(ctx context.Context, id int64) error
	counts(ctx context.Context) (map[rivertype.JobState]int, error)
}

// newEngine returns the engine for the dialect of cfg.DB. failed is called with
// every error of river's own.
func newEngine(cfg Config, workers *river.Workers, failed func()) (engine, error) {
	rc := &river.Config{
		ID:                          cfg.Name,
		Logger:                      slog.New(newQuiet(cfg.Log.Handler(), failed)),
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Workers}},
		Workers:                     workers,
		MaxAttempts:                 cfg.Attempts,
		JobTimeout:                  cfg.Timeout,
		RescueStuckJobsAfter:        cfg.Timeout + beyondTimeout,
		RetryPolicy:                 retryPolicy{cfg},
		SoftStopTimeout:             cfg.StopWait,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           pollPostgres,
		CancelledJobRetentionPeriod: forever, // the dead are kept
		DiscardedJobRetentionPeriod: forever,
	}
	writer, pool := cfg.DB.Native(key)
	if cfg.DB.Dialect() == sqldb.Postgres {
		driver := riverpgxv5.New(pool)
		return newClient(cfg, driver, rc, func(tx *sqldb.Tx) pgx.Tx { _, t := tx.Native(key); return t })
	}
	// Listening is polling on SQLite, and more often than we need.
	rc.PollOnly, rc.FetchPollInterval = true, pollInterval
	driver := riversqlite.New(writer)
	return newClient(cfg, driver, rc, func(tx *sqldb.Tx) *sql.Tx { t, _ := tx.Native(key); return t })
}

// retryPolicy dates the next attempt.
type retryPolicy struct{ cfg Config }

func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return p.cfg.Now().Add(p.cfg.Backoff(job.Attempt))
}

// client is river with the transaction type TTx.
type client[TTx any] struct {
	cfg    Config
	river  *river.Client[TTx]
	driver riverdriver.Driver[TTx]
	native func(*sqldb.Tx) TTx
	stop   atomic.Bool
}

func newClient[TTx any](cfg Config, driver riverdriver.Driver[TTx], rc *river.Config, native func(*sqldb.Tx) TTx) (engine, error) {
	rv, err := river.NewClient(driver, rc)
	if err != nil {
		return nil, err
	}
	return &client[TTx]{cfg: cfg, river: rv, driver: driver, native: native}, nil
}

func (c *client[TTx]) insert(ctx context.Context, tx *sqldb.Tx, args Args) (int64, error) {
	var opts *river.InsertOpts
	if _, apart := args.(Apart); apart {
		opts = &river.InsertOpts{Queue: args.Kind()}
	}
	res, err := c.river.InsertTx(ctx, c.native(tx), args, opts)
	if err != nil {
		return 0, err
	}
	return res.Job.ID, nil
}

// addQueue gives the jobs of a queue workers.
func (c *client[TTx]) addQueue(name string, workers int) error {
	return c.river.Queues().Add(name, river.QueueConfig{MaxWorkers: workers})
}

func (c *client[TTx]) run(ctx context.Context) error {
	// river's own contexts outlive ctx: Stop below lets jobs finish first.
	if err := c.river.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	c.stop.Store(true)
	// Workers that heed their context are done by then; others are left behind.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.StopWait+stopGrace)
	defer cancel()
	return c.river.Stop(end)
}

func (c *client[TTx]) stopping() bool { return c.stop.Load() }

// rescue makes the jobs that a dead process of this name had begun available, or
// dead if they have had their attempts. It runs under the claim of the name.
func (c *client[TTx]) rescue(ctx context.Context) (int, error) {
	exec := c.driver.GetExecutor()
	now := c.cfg.Now().UTC()
	horizon := now.Add(24 * time.Hour) // whenever they were begun, by whatever clock
	total, after := 0, int64(0)
	for {
		stuck, err := exec.JobGetStuck(ctx, &riverdriver.JobGetStuckParams{AfterID: after, Max: rescueBatch, StuckHorizon: horizon})
		if err != nil || len(stuck) == 0 {
			return total, err
		}
		after = stuck[len(stuck)-1].ID
		params := riverdriver.JobRescueManyParams{StuckHorizon: horizon}
		for _, job := range stuck {
			if !c.abandoned(job) {
				continue
			}
			state, final := rivertype.JobStateAvailable, (*time.Time)(nil)
			if job.Attempt >= job.MaxAttempts {
				state, final = rivertype.JobStateDiscarded, &now
			}
			reason, err := json.Marshal(rivertype.AttemptError{At: now, Attempt: max(job.Attempt, 0), Error: "the process died during this attempt"})
			if err != nil {
				return total, err
			}
			params.ID = append(params.ID, job.ID)
			params.Error = append(params.Error, reason)
			params.FinalizedAt = append(params.FinalizedAt, final)
			params.ScheduledAt = append(params.ScheduledAt, now)
			params.State = append(params.State, string(state))
		}
		if len(params.ID) == 0 {
			continue
		}
		if _, err := exec.JobRescueMany(ctx, &params); err != nil {
			return total, err
		}
		total += len(params.ID)
	}
}

// abandoned reports whether a job that is marked as running is so by nobody: on
// SQLite the claim is for the whole database, whatever the name.
func (c *client[TTx]) abandoned(job *rivertype.JobRow) bool {
	n := len(job.AttemptedBy)
	return n == 0 || job.AttemptedBy[n-1] == c.cfg.Name || c.cfg.DB.Dialect() == sqldb.SQLite
}

func (c *client[TTx]) list(ctx context.Context, limit int, states ...rivertype.JobState) ([]*rivertype.JobRow, error) {
	res, err := c.river.JobList(ctx, river.NewJobListParams().States(states...).First(limit).OrderBy(river.JobListOrderByID, river.SortOrderDesc))
	if err != nil {
		return nil, err
	}
	return res.Jobs, nil
}

func (c *client[TTx]) retry(ctx context.Context, id int64) error {
	job, err := c.river.JobRetry(ctx, id)
	if err == nil && job.State == rivertype.JobStateRunning {
		err = ErrUnderWay
	}
	return err
}

func (c *client[TTx]) counts(ctx context.Context) (map[rivertype.JobState]int, error) {
	by := make(map[rivertype.JobState]int)
	err := c.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, "SELECT CAST(state AS TEXT), COUNT(*) FROM river_job WHERE queue = ? GROUP BY state", river.QueueDefault)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var state string
			var n int
			if err := rows.Scan(&state, &n); err != nil {
				return err
			}
			by[rivertype.JobState(state)] = n
		}
		return rows.Err()
	})
	return by, err
}

// complete marks job as done in tx.
func complete[T Args](ctx context.Context, tx *sqldb.Tx, job *river.Job[T]) error {
	var err error
	if std, pg := tx.Native(key); pg != nil {
		_, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, pg, job)
	} else {
		_, err = river.JobCompleteTx[*riversqlite.Driver](ctx, std, job)
	}
	return err
}

// migrateAttempts is how often migrations are tried when several processes start
// on one SQLite file at once.
const migrateAttempts = 3

// migrate brings river's tables up to date.
func migrate[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], cfg *rivermigrate.Config) error {
	m, err := rivermigrate.New(driver, cfg)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}
