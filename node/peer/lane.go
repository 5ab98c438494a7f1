package peer

import (
	"context"
	"sync"
	"time"
)

// A proof takes all cores of a node for seconds, and a step of a question some
// milliseconds. The hub asks for many proofs once no question is under way; a question
// that comes then would compete with one of them after the other.

const (
	// quiet is how long no step was under way before a proof is begun: longer than a step
	// takes to the hub and its researcher and the next one back, or proofs would be begun in
	// the midst of questions.
	quiet = time.Second

	// longestYield is how long a proof waits for steps at most. It is less than a hub waits
	// for a proof, or none would ever be made at a node that is always asked.
	longestYield = 20 * time.Second
)

// lane lets one proof be made at a time, and begun between questions.
type lane struct {
	turn chan struct{} // held while a proof is made, or waits for steps

	mu      sync.Mutex
	steps   int           // under way
	at      time.Time     // when steps changed last
	changed chan struct{} // closed when steps changes
}

func newLane() *lane {
	return &lane{turn: make(chan struct{}, 1), changed: make(chan struct{})}
}

// step notes that a step of a question is under way, until the returned function is called.
func (l *lane) step() (end func()) {
	l.count(1)
	return func() { l.count(-1) }
}

func (l *lane) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps += n
	l.at = time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
}

// now says how many steps are under way, and since when.
func (l *lane) now() (steps int, since time.Time, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.steps, l.at, l.changed
}

// enter waits until a proof may be begun; leave is called when it is made. It fails if ctx
// ends before.
func (l *lane) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	over := time.NewTimer(longestYield)
	defer over.Stop()
	for {
		steps, since, changed := l.now()
		still := time.NewTimer(quiet - time.Since(since))
		if steps > 0 {
			still.Stop()
		}
		select {
		case <-changed:
			still.Stop()
			continue
		case <-still.C:
		case <-over.C:
		case <-ctx.Done():
			still.Stop()
			<-l.turn
			return nil, context.Cause(ctx)
		}
		return func() { <-l.turn }, nil
	}
}
