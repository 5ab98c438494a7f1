package dispatch_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// cancellation is the researcher's word that a question is cancelled.
func (w *world) cancellation(t *testing.T, id query.ID) registry.CancelQuestion {
	t.Helper()
	e, err := message.Seal(w.trial.Researcher, query.KindCancellation, query.Cancellation{Query: id}, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	return registry.CancelQuestion{Envelope: e}
}

// ear notes the tasks that a node hears.
type ear struct {
	mu    sync.Mutex
	heard []query.Step
}

func (e *ear) at(w *world, i int) {
	w.intercept(i, func(task query.Task) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, task.Step)
		return true
	})
}

func (e *ear) count(step query.Step) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.heard {
		if s == step {
			n++
		}
	}
	return n
}

// TestCancelledQuestionStopsTheNodes: the call under way ends, no step follows and every
// node is told once. Who asked the same is answered next.
func TestCancelledQuestionStopsTheNodes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		busy, ended := make(chan struct{}), make(chan struct{})
		take := w.sites[0].Peer.Take
		var once sync.Once
		w.ends[0].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
			var task query.Task
			if err := json.Unmarshal(raw, &task); err != nil {
				return nil, err
			}
			first := false
			once.Do(func() { first = true })
			if first {
				close(busy)
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}
			return take(ctx, from, raw)
		})
		var other ear
		other.at(w, 1)
		w.runPatiently(t)
		id := w.put(t, w.trial.CountBySex(), time.Hour)
		<-busy
		same := w.put(t, w.trial.CountBySex(), time.Hour)
		w.propose(t, w.cancellation(t, id))
		<-ended
		r := w.result(t, id)
		require.Equal(t, query.Cancelled, r.State)
		require.Equal(t, w.trial.Researcher.DID(), r.Cancelled.Issuer)
		require.Equal(t, query.Complete, w.result(t, same).State, "it is a question of its own")
		time.Sleep(10 * time.Minute) // of the bubble
		require.Equal(t, 1, other.count(query.StepCancel))
		require.Equal(t, 2, other.count(query.StepAsk), "of the one and of the other")
		_, err := w.log.Propose(t.Context(), w.cancellation(t, same))
		require.ErrorIs(t, err, registry.ErrQuestionClosed)
		w.replay(t)
	})
}

// TestNodeFromBeforeCancellations is not told: it would not understand.
func TestNodeFromBeforeCancellations(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.gate(t, 0)
		old := w.sites[1].Key.DID()
		w.speaks = func(node identity.DID) (version.Range, bool) {
			if node == old {
				return version.Unsaid, true
			}
			return version.Spoken(), true
		}
		var told, others atomic.Int64
		w.intercept(1, func(task query.Task) bool {
			if task.Step == query.StepCancel {
				told.Add(1)
			}
			return true
		})
		w.intercept(2, func(task query.Task) bool {
			if task.Step == query.StepCancel {
				others.Add(1)
			}
			return true
		})
		w.runPatiently(t)
		id := w.put(t, w.trial.CountBySex(), time.Hour)
		w.waiting(t, id, w.sites[0].Key.DID())
		w.propose(t, w.cancellation(t, id))
		time.Sleep(10 * time.Minute)
		require.Zero(t, told.Load())
		require.EqualValues(t, 1, others.Load())
	})
}

// TestNodeThatWasAwayHearsOfTheCancellation, from the next hub if need be, while the
// question's time lasts.
func TestNodeThatWasAwayHearsOfTheCancellation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.gate(t, 0)
		var away atomic.Bool
		w.intercept(0, func(query.Task) bool { return !away.Load() })
		ctx, die := context.WithCancel(t.Context())
		done := make(chan error, 1)
		first := w.dispatcher(t, w.log)
		go func() { done <- first.Run(ctx) }()
		id := w.put(t, w.trial.CountBySex(), 24*time.Hour)
		w.waiting(t, id, w.sites[0].Key.DID())
		away.Store(true)
		w.propose(t, w.cancellation(t, id))
		require.Equal(t, query.Cancelled, w.result(t, id).State)
		die()
		require.NoError(t, <-done)
		pending := func() int {
			list, err := w.sites[0].Desk.Items(t.Context(), false)
			require.NoError(t, err)
			return len(list)
		}
		w.runPatiently(t)
		time.Sleep(30 * time.Minute)
		require.Equal(t, 1, pending(), "its people do not know yet")
		away.Store(false)
		time.Sleep(2 * time.Minute)
		require.Zero(t, pending())
	})
}

// cancellingLog commits a cancellation just before the n-th proposal.
type cancellingLog struct {
	*fakeLog
	cancel registry.CancelQuestion

	mu   sync.Mutex
	left int
	err  error // of the cancellation
}

func (l *cancellingLog) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	l.mu.Lock()
	l.left--
	now := l.left == 0
	l.mu.Unlock()
	if now {
		_, err := l.fakeLog.Propose(ctx, l.cancel)
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
	return l.fakeLog.Propose(ctx, body)
}

// TestCancellationRacesTheAnswer at each commit of a question's life, with a hub that goes
// on, or dies right then and is followed by another.
func TestCancellationRacesTheAnswer(t *testing.T) {
	t.Parallel()
	for first, name := range map[int]string{1: "hub goes on", 2: "hub dies"} {
		inBubbleNamed(t, name, func(t *testing.T) {
			dies := first == 2
			w := newWorld(t, alike(3)...)
			cancelled, answered := 0, 0
			for n := first; answered < 2; n++ {
				require.Less(t, n, 60, "no answer outruns the cancellation")
				r := w.trial.MeanBySex()
				r.Cohort = bytes.Replace(r.Cohort, []byte(`"items":[`), fmt.Appendf(nil, `"items":[{"concept":{"CONCEPT_ID":%d}},`, 9_000_000+n), 1) // another question each
				id := w.put(t, r, time.Hour)
				ctx, die := context.WithCancel(t.Context())
				log := &cancellingLog{fakeLog: w.log, cancel: w.cancellation(t, id), left: n}
				done := make(chan error, 1)
				one := w.dispatcher(t, log)
				go func() { done <- one.Run(ctx) }()
				if dies {
					for {
						log.mu.Lock()
						due := log.left <= 0
						log.mu.Unlock()
						if q, err := w.reader.Question(t.Context(), id); err == nil && (due || q.Result != nil) {
							break
						}
						time.Sleep(time.Millisecond)
					}
					die()
					require.NoError(t, <-done)
					ctx, die = context.WithCancel(t.Context())
					next := w.dispatcher(t, w.log)
					go func() { done <- next.Run(ctx) }()
				}
				result := w.result(t, id)
				die()
				require.NoError(t, <-done)
				if log.left > 0 { // the answer took fewer commits
					log.err = errors.New("never proposed")
				}
				if result.State == query.Cancelled {
					require.NoError(t, log.err)
					require.NotNil(t, result.Cancelled)
					require.Empty(t, result.Cells)
					cancelled++
				} else {
					require.Error(t, log.err)
					require.Nil(t, result.Cancelled)
					require.Equal(t, query.Complete, result.State)
					answered++
				}
			}
			require.GreaterOrEqual(t, cancelled, 2, "commits before the answer")
			w.replay(t)
		})
	}
}
