package jobs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestPassingTroubleIsNoFailure: a job waits for room within its attempt, and
// the queue says so meanwhile.
func TestPassingTroubleIsNoFailure(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		q := newQueue(t, prepared(t, db), func(c *jobs.Config) { c.Attempts = 1 })
		var full atomic.Bool
		full.Store(true)
		jobs.Register(q, func(ctx context.Context, j *jobs.Job[load]) error {
			if full.Load() {
				return fmt.Errorf("put: %w", sqldb.ErrFull)
			}
			return store(db)(ctx, j)
		})
		enqueue(t, db, q, 0, 1)
		require.NoError(t, q.Held())
		start(t, q)
		eventually(t, "held", func() bool { return q.Held() != nil })
		require.ErrorIs(t, q.Held(), sqldb.ErrFull)
		require.True(t, jobs.Passing(q.Held()))
		require.Equal(t, jobs.Counts{Running: 1}, counts(t, q))
		full.Store(false)
		eventually(t, "done", func() bool { return counts(t, q).Done == 1 })
		eventually(t, "not held any more", func() bool { return q.Held() == nil })
	})
}

func TestHeldJobDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	db := prepared(t, sqltest.SQLite(t))
	q := newQueue(t, db, nil)
	var calls atomic.Int64
	jobs.Register(q, func(context.Context, *jobs.Job[load]) error {
		calls.Add(1)
		return sqldb.ErrUnavailable
	})
	enqueue(t, db, q, 0, 1)
	stop := start(t, q)
	eventually(t, "waits for the third time", func() bool { return calls.Load() == 3 }) // and now for 4 s
	begun := time.Now()
	stop()
	require.Less(t, time.Since(begun), 3*time.Second)
	require.Equal(t, jobs.Counts{Waiting: 1}, counts(t, q), "what was stopped is begun again")
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// repeated returns how often the line that is there most often is there, without
// its time.
func (l *lines) repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, most := map[string]int{}, 0
	for line := range strings.Lines(l.buf.String()) {
		_, text, _ := strings.Cut(line, " ")
		seen[text]++
		most = max(most, seen[text])
	}
	return most
}

// TestTroubleOfTheQueueItselfIsToldOnce: jobs cannot even be fetched. River says
// so several times a second; the log does it once.
func TestTroubleOfTheQueueItselfIsToldOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		log := new(lines)
		q := newQueue(t, prepared(t, db), func(c *jobs.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
		jobs.Register(q, store(db))
		enqueue(t, db, q, 0, 1)
		start(t, q)
		eventually(t, "at work", func() bool { return counts(t, q).Done == 1 })
		rename := func(from, to string) {
			require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to)
				return err
			}))
		}
		rename("river_job", "away")
		var begun time.Time
		eventually(t, "held", func() bool { begun = time.Now(); return q.Held() != nil })
		require.ErrorIs(t, q.Held(), jobs.ErrHeld)
		eventually(t, "held for a while", func() bool { return time.Since(begun) > 2*time.Second })
		require.ErrorIs(t, q.Held(), jobs.ErrHeld)
		require.Equal(t, 1, log.repeated())
		rename("away", "river_job")
		enqueue(t, db, q, 1, 2)
		eventually(t, "done", func() bool { return counts(t, q).Done == 2 })
		eventually(t, "not held any more", func() bool { return q.Held() == nil })
	})
}
