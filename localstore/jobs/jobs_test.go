package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// load is the job of these tests: it stores its number.
type load struct {
	N int64 `json:"n"`
}

func (load) Kind() string { return "test-load" }

// wait bounds how long a test waits for what must happen.
const wait = time.Minute

var schema = fstest.MapFS{
	"sqlite/0001_done.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE done (n BIGINT NOT NULL, attempt BIGINT NOT NULL);")},
	"postgres/0001_done.sql": {Data: []byte("-- +goose Up\nCREATE TABLE done (n BIGINT NOT NULL, attempt BIGINT NOT NULL);")},
}

func prepared(t testing.TB, db *sqldb.DB) *sqldb.DB {
	t.Helper()
	require.NoError(t, jobs.Migrate(t.Context(), db))
	require.NoError(t, sqldb.Migrate(t.Context(), db, "done", schema))
	return db
}

func newQueue(t testing.TB, db *sqldb.DB, change func(*jobs.Config)) *jobs.Queue {
	t.Helper()
	cfg := jobs.Config{DB: db, Backoff: func(int) time.Duration { return 0 }}
	if change != nil {
		change(&cfg)
	}
	q, err := jobs.New(cfg)
	require.NoError(t, err)
	return q
}

func enqueue(t testing.TB, db *sqldb.DB, q *jobs.Queue, from, to int64) (ids []int64) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for n := from; n < to; n++ {
			id, err := q.Enqueue(t.Context(), tx, load{n})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	}))
	return ids
}

// start runs q until the test ends or stop is called.
func start(t testing.TB, q *jobs.Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	var once atomic.Bool
	stop = func() {
		if once.CompareAndSwap(false, true) {
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return stop
}

// store is the worker that stores a job's number and completes it.
func store(db *sqldb.DB) func(context.Context, *jobs.Job[load]) error {
	return func(ctx context.Context, j *jobs.Job[load]) error {
		return db.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO done (n, attempt) VALUES (?, ?)", j.Args.N, j.Attempt); err != nil {
				return err
			}
			return j.Complete(ctx, tx)
		})
	}
}

func doneRows(t testing.TB, db *sqldb.DB) (rows, distinct int) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT n) FROM done").Scan(&rows, &distinct)
	}))
	return rows, distinct
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, wait, 20*time.Millisecond, what)
}

func counts(t testing.TB, q *jobs.Queue) jobs.Counts {
	t.Helper()
	c, err := q.Counts(t.Context())
	require.NoError(t, err)
	return c
}

func TestJobsAreDoneOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), nil)
		jobs.Register(q, store(db))
		enqueue(t, db, q, 0, 20)
		require.Equal(t, jobs.Counts{Waiting: 20}, counts(t, q))
		stop := start(t, q)
		eventually(t, "jobs from before the start", func() bool { return counts(t, q).Done == 20 })
		enqueue(t, db, q, 20, 40)
		eventually(t, "jobs from after the start", func() bool { return counts(t, q).Done == 40 })
		stop()
		rows, distinct := doneRows(t, db)
		require.Equal(t, 40, rows)
		require.Equal(t, 40, distinct)
	})
}

func TestJobOfARolledBackTransactionIsNotThere(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), nil)
		jobs.Register(q, store(db))
		boom := errors.New("boom")
		require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := q.Enqueue(t.Context(), tx, load{1})
			require.NoError(t, err)
			return boom
		}), boom)
		require.Zero(t, counts(t, q))
	})
}

type unknown struct{}

func (unknown) Kind() string { return "test-unknown" }

func TestUnknownKindIsNotEnqueued(t *testing.T) {
	t.Parallel()
	db := prepared(t, sqltest.SQLite(t))
	q := newQueue(t, db, nil)
	jobs.Register(q, store(db))
	require.Error(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := q.Enqueue(t.Context(), tx, unknown{})
		return err
	}))
}

func TestFailedJobIsRetriedThenDeadThenRevived(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), func(c *jobs.Config) { c.Attempts = 3 })
		var broken atomic.Bool
		broken.Store(true)
		var tried, last atomic.Int64
		work := store(db)
		jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
			tried.Add(1)
			if j.Last {
				last.Add(1)
			}
			if broken.Load() {
				return fmt.Errorf("attempt %d: line 7: wrong-type", j.Attempt)
			}
			return work(ctx, j)
		})
		id := enqueue(t, db, q, 5, 6)[0]
		start(t, q)
		eventually(t, "dead", func() bool { return counts(t, q).Dead == 1 })
		require.EqualValues(t, 3, tried.Load())
		require.EqualValues(t, 1, last.Load())
		dead, err := q.Dead(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, id, dead[0].ID)
		require.Equal(t, "test-load", dead[0].Kind)
		require.JSONEq(t, `{"n":5}`, string(dead[0].Args))
		require.Equal(t, 3, dead[0].Attempts)
		require.Equal(t, "attempt 3: line 7: wrong-type", dead[0].Error)
		require.WithinDuration(t, time.Now(), dead[0].At, time.Minute)

		broken.Store(false)
		require.NoError(t, q.Retry(t.Context(), id))
		eventually(t, "done", func() bool { return counts(t, q) == jobs.Counts{Done: 1} })
		require.ErrorIs(t, q.Retry(t.Context(), 99_999), jobs.ErrNotFound)
	})
}

func TestPermanentErrorAndPanic(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), func(c *jobs.Config) { c.Attempts = 2 })
		var tried atomic.Int64
		cause := errors.New("not FHIR")
		require.ErrorIs(t, jobs.Permanent(cause), cause)
		jobs.Register(q, func(_ context.Context, j *jobs.Job[load]) error {
			tried.Add(1)
			if j.Args.N == 0 {
				return fmt.Errorf("read: %w", jobs.Permanent(cause))
			}
			panic("Jane Doe")
		})
		enqueue(t, db, q, 0, 2)
		start(t, q)
		eventually(t, "dead", func() bool { return counts(t, q).Dead == 2 })
		require.EqualValues(t, 3, tried.Load(), "one attempt at the first, two at the second")
		dead, err := q.Dead(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, "worker panicked with a string", dead[0].Error)
		require.Contains(t, dead[1].Error, "read: not FHIR")
		for _, limit := range []int{0, 1001} {
			_, err := q.Dead(t.Context(), limit)
			require.Error(t, err)
		}
	})
}

// TestTheDeadAreKept waits until old completed jobs have been cleared away.
func TestTheDeadAreKept(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		prepared(t, db)
		open := func() *jobs.Queue {
			q := newQueue(t, db, func(c *jobs.Config) { c.Attempts = 1 })
			jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
				switch j.Args.N {
				case 0:
					return jobs.Permanent(errors.New("hopeless"))
				case 1:
					return errors.New("its attempts ran out")
				}
				return store(db)(ctx, j)
			})
			return q
		}
		q := open()
		enqueue(t, db, q, 0, 3)
		stop := start(t, q)
		eventually(t, "ended", func() bool { return counts(t, q) == jobs.Counts{Done: 1, Dead: 2} })
		stop()
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			old := time.Now().UTC().AddDate(0, 0, -40)
			if db.Dialect() == sqldb.SQLite {
				_, err := tx.Exec(t.Context(), "UPDATE river_job SET finalized_at = ?", old.Format("2006-01-02 15:04:05.000"))
				return err
			}
			_, err := tx.Exec(t.Context(), "UPDATE river_job SET finalized_at = ?", old)
			return err
		}))
		q = open()
		start(t, q)
		eventually(t, "what was done is cleared away", func() bool { return counts(t, q).Done == 0 })
		require.Equal(t, jobs.Counts{Dead: 2}, counts(t, q))
	})
}

func TestResultsAndCompletionAreOneTransaction(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), nil)
		boom := errors.New("boom after completing")
		jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
			return db.Write(ctx, func(tx *sqldb.Tx) error {
				if _, err := tx.Exec(ctx, "INSERT INTO done (n, attempt) VALUES (?, ?)", j.Args.N, j.Attempt); err != nil {
					return err
				}
				if err := j.Complete(ctx, tx); err != nil {
					return err
				}
				if j.Attempt < 3 {
					return boom
				}
				return nil
			})
		})
		enqueue(t, db, q, 0, 1)
		start(t, q)
		eventually(t, "done", func() bool { return counts(t, q).Done == 1 })
		var attempt int
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT attempt FROM done").Scan(&attempt)
		}))
		require.Equal(t, 3, attempt, "the only row is of the attempt that committed")
	})
}

func TestStopIsNotAnAttempt(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		prepared(t, db)
		short := func(c *jobs.Config) { c.Attempts, c.StopWait = 1, 50*time.Millisecond }
		first := newQueue(t, db, short)
		begun := make(chan struct{})
		jobs.Register(first, func(ctx context.Context, _ *jobs.Job[load]) error {
			close(begun)
			<-ctx.Done()
			return ctx.Err()
		})
		enqueue(t, db, first, 0, 1)
		stop := start(t, first)
		<-begun
		stop()

		second := newQueue(t, db, short)
		jobs.Register(second, store(db))
		start(t, second)
		eventually(t, "done by the next process", func() bool { return counts(t, second).Done == 1 })
	})
}

func TestOneRunByAName(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		prepared(t, db)
		first, second := newQueue(t, db, nil), newQueue(t, db, nil)
		jobs.Register(first, store(db))
		jobs.Register(second, store(db))
		enqueue(t, db, first, 0, 1)
		stop := start(t, first)
		eventually(t, "running", func() bool { return counts(t, first).Done == 1 })
		require.ErrorIs(t, second.Run(t.Context()), jobs.ErrRunning)
		stop()
		enqueue(t, db, second, 1, 2)
		start(t, second)
		eventually(t, "after the first has ended", func() bool { return counts(t, second).Done == 2 })
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	for name, cfg := range map[string]jobs.Config{
		"no database":   {},
		"workers":       {DB: db, Workers: 65},
		"timeout":       {DB: db, Timeout: 25 * time.Hour},
		"attempts":      {DB: db, Attempts: 101},
		"long name":     {DB: db, Name: fmt.Sprintf("%61d", 0)},
		"negative wait": {DB: db, StopWait: -1},
	} {
		_, err := jobs.New(cfg)
		require.Error(t, err, name)
	}
}

func TestCollectors(t *testing.T) {
	t.Parallel()
	db := prepared(t, sqltest.SQLite(t))
	q := newQueue(t, db, nil)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(q.Collectors()...)
	jobs.Register(q, store(db))
	enqueue(t, db, q, 0, 1)
	start(t, q)
	eventually(t, "done", func() bool {
		families, err := reg.Gather()
		require.NoError(t, err)
		return len(families) == 2 && families[1].GetMetric()[0].GetCounter().GetValue() == 1
	})
}

// Not parallel: it looks at all goroutines.
func TestRunLeavesNoGoroutine(t *testing.T) { //nolint:paralleltest // see above
	before := goleak.IgnoreCurrent()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + t.TempDir() + "/x.db"})
	require.NoError(t, err)
	prepared(t, db)
	q := newQueue(t, db, nil)
	jobs.Register(q, store(db))
	enqueue(t, db, q, 0, 1)
	stop := start(t, q)
	eventually(t, "done", func() bool { return counts(t, q).Done == 1 })
	stop()
	require.NoError(t, db.Close())
	goleak.VerifyNone(t, before)
}

func TestRunThatIsToldToEndEndsWell(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), nil)
		jobs.Register(q, store(db))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, q.Run(ctx))
	})
}

func TestLaterIsNoAttempt(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		prepared(t, db)
		q := newQueue(t, db, func(c *jobs.Config) { c.Attempts = 2 })
		var begun atomic.Int64
		jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
			require.Equal(t, 1, j.Attempt)
			if begun.Add(1) < 5 {
				return fmt.Errorf("ask the server: %w", jobs.Later(time.Millisecond))
			}
			return store(db)(ctx, j)
		})
		enqueue(t, db, q, 0, 1)
		start(t, q)
		eventually(t, "done", func() bool { return counts(t, q).Done == 1 })
		require.Equal(t, int64(5), begun.Load())
	})
}

// call is a job of these tests that is apart.
type call struct{}

func (call) Kind() string { return "test-call" }
func (call) Workers() int { return 1 }

func TestWorkThatIsApartKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		prepared(t, db)
		q := newQueue(t, db, func(c *jobs.Config) { c.Workers = 1 })
		begun, end := make(chan struct{}, 2), make(chan struct{})
		jobs.Register(q, func(ctx context.Context, _ *jobs.Job[call]) error {
			begun <- struct{}{}
			select {
			case <-end:
			case <-ctx.Done():
			}
			return nil
		})
		jobs.Register(q, store(db))
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			for range 2 {
				if _, err := q.Enqueue(t.Context(), tx, call{}); err != nil {
					return err
				}
			}
			return nil
		}))
		start(t, q)
		<-begun
		enqueue(t, db, q, 0, 3)
		eventually(t, "the others done", func() bool { return counts(t, q) == jobs.Counts{Done: 3} })
		require.Empty(t, begun, "it has one worker")
		close(end)
		<-begun
	})
}
