package outbox

import (
	"sync"
	"time"
)

// rests keep an endpoint that is in trouble from being asked for every message that waits for
// it: when its rest is over one message is tried, and the others once that one got through.
// They live as long as the process; what they forget costs one attempt.
type rests struct {
	probe time.Duration // the longest that an attempt takes

	mu sync.Mutex
	by map[string]*rest // guarded by mu
}

type rest struct {
	until   time.Time
	probing bool // until is when the attempt that is under way ends at the latest
	count   int  // troubles in a row
}

func newRests(probe time.Duration) *rests { return &rests{probe: probe, by: make(map[string]*rest)} }

// begin returns how long an attempt at an endpoint has to wait, 0 if it may begin.
func (r *rests) begin(endpoint string, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.by[endpoint]
	switch {
	case one == nil:
		return 0
	case now.Before(one.until) && one.probing:
		return min(one.until.Sub(now), firstPause)
	case now.Before(one.until):
		return one.until.Sub(now)
	}
	one.until, one.probing = now.Add(r.probe), true
	return 0
}

// trouble has an endpoint rest for what pause says after so many troubles in a row, or for
// as long as it asked for.
func (r *rests) trouble(endpoint string, now time.Time, asked time.Duration, pause func(int) time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.by[endpoint]
	if one == nil {
		one = new(rest)
		r.by[endpoint] = one
	}
	one.count++
	wait := max(pause(one.count), asked)
	one.until, one.probing = now.Add(wait), false
	return wait
}

// over says that an endpoint answers, or that it is to be tried all the same.
func (r *rests) over(endpoint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, endpoint)
}
