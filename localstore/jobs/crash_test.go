package jobs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// Variables that turn this test binary into a worker process.
const (
	childDSN      = "JOBS_TEST_DSN"
	childBlock    = "JOBS_TEST_BLOCK"
	childAttempts = "JOBS_TEST_ATTEMPTS"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		if err := work(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work runs the queue until it is killed or its standard input ends. It prints a
// line for every job it begins.
func work(dsn string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	attempts, err := strconv.Atoi(os.Getenv(childAttempts))
	if err != nil {
		return err
	}
	q, err := jobs.New(jobs.Config{DB: db, Attempts: attempts, Backoff: func(int) time.Duration { return 0 }})
	if err != nil {
		return err
	}
	jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
		fmt.Println("begun", j.Args.N)
		if os.Getenv(childBlock) != "" {
			<-ctx.Done()
			return ctx.Err()
		}
		return store(db)(ctx, j)
	})
	return q.Run(ctx)
}

// child starts a worker process and returns the lines it prints.
func child(t *testing.T, dsn string, attempts int, block bool) (lines *bufio.Scanner, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDSN+"="+dsn, childAttempts+"="+strconv.Itoa(attempts))
	if block {
		cmd.Env = append(cmd.Env, childBlock+"=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	_, err = cmd.StdinPipe() // ends with this process
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	return bufio.NewScanner(out), kill
}

// onEach runs fn with the address of a fresh database with the tables of the queue.
func onEach(t *testing.T, fn func(t *testing.T, dsn string, db *sqldb.DB)) {
	t.Helper()
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dsn(t)
			fn(t, dsn, prepared(t, sqltest.Open(t, dsn)))
		})
	}
}

func TestKilledAgainAndAgainEveryJobTakesEffectOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn string, db *sqldb.DB) {
		const n, kills = 60, 4
		q := newQueue(t, db, nil)
		jobs.Register(q, store(db))
		enqueue(t, db, q, 0, n)
		for i := range kills {
			lines, kill := child(t, dsn, 100, false)
			for range 3 + 4*i { // in the midst of a job, each time elsewhere
				require.True(t, lines.Scan(), "the worker begins jobs")
			}
			kill()
		}
		start(t, q)
		eventually(t, "all done", func() bool { return counts(t, q).Done == n })
		rows, distinct := doneRows(t, db)
		require.Equal(t, n, distinct, "none is lost")
		require.Equal(t, n, rows, "none took effect twice")
	})
}

func TestJobOfAKilledProcessIsTakenUpAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn string, db *sqldb.DB) {
		q := newQueue(t, db, nil)
		jobs.Register(q, store(db))
		enqueue(t, db, q, 0, 1)
		lines, kill := child(t, dsn, 5, true)
		require.True(t, lines.Scan())
		kill()
		require.Equal(t, jobs.Counts{Running: 1}, counts(t, q), "nobody has noticed")
		begun := time.Now()
		start(t, q)
		eventually(t, "done", func() bool { return counts(t, q).Done == 1 })
		t.Logf("taken up and done after %s", time.Since(begun))
	})
}

func TestJobThatKillsTheProcessIsDeadInTheEnd(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn string, db *sqldb.DB) {
		q := newQueue(t, db, func(c *jobs.Config) { c.Attempts = 2 })
		jobs.Register(q, store(db))
		enqueue(t, db, q, 0, 1)
		for range 2 {
			lines, kill := child(t, dsn, 2, true)
			require.True(t, lines.Scan())
			kill()
		}
		start(t, q)
		eventually(t, "dead", func() bool { return counts(t, q).Dead == 1 })
		dead, err := q.Dead(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, "the process died during this attempt", dead[0].Error)
	})
}
