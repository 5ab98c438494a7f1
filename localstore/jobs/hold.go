package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// ErrHeld says that the queue can at the moment not do its work, for a reason
// that is in the log.
var ErrHeld = errors.New("the queue cannot use its database")

// Passing reports whether err is trouble of the database that is not the job's
// fault and may pass: no room, a lock, a server that is away. A worker that
// returns such an error is called again in the same attempt, after 1 s, 2 s and
// so on up to 30 s, until the job's context ends.
func Passing(err error) bool {
	return errors.Is(err, sqldb.ErrFull) || errors.Is(err, sqldb.ErrLocked) || errors.Is(err, sqldb.ErrUnavailable)
}

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second

	// troubleTime is how long after river's last error the queue counts as held:
	// it fetches more often than that.
	troubleTime = 3 * time.Second
)

// holds knows what keeps the queue from its work.
type holds struct {
	now func() time.Time

	mu      sync.Mutex
	jobs    map[int64]error // that wait for the database; guarded by mu
	trouble time.Time       // river's last error; guarded by mu
}

func newHolds(now func() time.Time) *holds { return &holds{now: now, jobs: make(map[int64]error)} }

// failed notes an error of river's own.
func (h *holds) failed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trouble = h.now()
}

// set notes why a job waits, nil if it does no longer.
func (h *holds) set(id int64, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if why == nil {
		delete(h.jobs, id)
	} else {
		h.jobs[id] = why
	}
}

func (h *holds) reason() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, why := range h.jobs {
		return why
	}
	if !h.trouble.IsZero() && h.now().Sub(h.trouble) < troubleTime {
		return ErrHeld
	}
	return nil
}

// Held returns what keeps the queue from doing its work at the moment, nil if
// nothing does: an error for which [Passing] is true, or [ErrHeld].
func (q *Queue) Held() error { return q.holds.reason() }

// patiently calls work until it ends in another way than with passing trouble.
// Giving up at once would not help: what became of the attempt could not be
// written either, and the job would count as running until it is rescued.
func (q *Queue) patiently(ctx context.Context, id int64, work func() error) error {
	defer q.holds.set(id, nil)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := work()
		if !Passing(err) || ctx.Err() != nil {
			return err
		}
		q.holds.set(id, err)
		q.log.WarnContext(ctx, "jobs wait for the database", "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-q.stopped:
			timer.Stop()
			return err
		}
	}
}
