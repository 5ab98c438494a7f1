package timetable_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/hub/timetable"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

// world is a hub's state with a schedule that is due every hour.
type world struct {
	reader *registry.Reader
	log    *fakeLog
	digest message.Digest
	trial  peertest.Trial
	first  time.Time // when the first occurrence is due
}

const occurrences = 4

func newWorld(t *testing.T) *world {
	t.Helper()
	db := sqltest.SQLite(t)
	require.NoError(t, registry.Migrate(t.Context(), db))
	w := &world{reader: registry.NewReader(db)}
	w.log = &fakeLog{machine: registry.NewMachine(db, peertest.NewKey(t).DID(), peertest.Proofs{}), leads: true}
	var nodes []identity.DID
	for i := range 3 {
		nodes = append(nodes, peertest.NewKey(t).DID())
		name := fmt.Sprintf("node-%d", i)
		w.propose(t, registry.InviteNode{Name: name, Organization: "Org"})
		w.propose(t, registry.EnrollNode{Node: nodes[i], Name: name})
	}
	w.trial = peertest.NewTrial(t, nodes, disclosure.Policy{}, time.Now())
	w.propose(t, registry.RegisterTrial{Registration: w.trial.Registration})
	plan := schedule.Plan{
		Name: "hourly", Question: w.trial.CountBySex(), Cron: "0 * * * *", First: time.Now().UTC().Truncate(time.Second).Add(time.Second), Occurrences: occurrences, DeadlineSeconds: 600,
	}
	s, err := schedule.Sign(w.trial.Researcher, plan, rand.Reader)
	require.NoError(t, err)
	e, err := message.Seal(w.trial.Researcher, schedule.KindSchedule, s, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	w.propose(t, registry.RegisterSchedule{Envelope: e})
	w.digest, err = plan.Digest()
	require.NoError(t, err)
	w.first = w.occurrences(t)[0].Due
	return w
}

func (w *world) propose(t *testing.T, body registry.Body) {
	t.Helper()
	_, err := w.log.Propose(t.Context(), body)
	require.NoError(t, err)
}

func (w *world) occurrences(t *testing.T) []registry.Occurrence {
	t.Helper()
	list, err := w.reader.Occurrences(t.Context(), w.digest)
	require.NoError(t, err)
	return list
}

// states returns where the occurrences stand.
func (w *world) states(t *testing.T) (states []schedule.State) {
	t.Helper()
	for _, o := range w.occurrences(t) {
		states = append(states, o.State)
	}
	return states
}

// run runs a keeper until stop is called or the context ends.
func (w *world) run(t *testing.T, ctx context.Context, log timetable.Log, limits registry.QueueLimits) (stop func()) {
	t.Helper()
	k, err := timetable.New(timetable.Config{Registry: w.reader, Log: log, Limits: limits})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
}

// to lets the time pass until t.
func to(t time.Time) {
	time.Sleep(time.Until(t))
	synctest.Wait()
}

func TestEachOccurrenceIsAskedWhenItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run(t, t.Context(), w.log, registry.QueueLimits{})()
		to(w.first.Add(-time.Second))
		require.Equal(t, []schedule.State{"pending", "pending", "pending", "pending"}, w.states(t))
		to(w.first.Add(2 * time.Second))
		require.Equal(t, []schedule.State{"asked", "pending", "pending", "pending"}, w.states(t))
		to(w.first.Add(2*time.Hour + 2*time.Second))
		require.Equal(t, []schedule.State{"asked", "asked", "asked", "pending"}, w.states(t))
		require.Len(t, w.log.asked(t), 3, "nothing was proposed before its time, and nothing twice")
	})
}

// TestAHubThatWasDownMissesWhatIsOver, and asks the rest late.
func TestAHubThatWasDownMissesWhatIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log.lead(false)
		defer w.run(t, t.Context(), w.log, registry.QueueLimits{})()
		to(w.first.Add(schedule.Window + time.Hour + time.Minute))
		require.Empty(t, w.log.asked(t), "another leads")
		w.log.lead(true)
		to(time.Now().Add(2 * time.Second))
		require.Equal(t, []schedule.State{"missed", "missed", "asked", "asked"}, w.states(t))
	})
}

// TestAFullQueueHoldsAnOccurrence: it is not proposed again and again, and asked when there is room.
func TestAFullQueueHoldsAnOccurrence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run(t, t.Context(), w.log, registry.QueueLimits{Each: 1, All: 10})()
		to(w.first.Add(time.Hour + 5*time.Minute))
		require.Equal(t, []schedule.State{"asked", "pending", "pending", "pending"}, w.states(t))
		require.LessOrEqual(t, len(w.log.asked(t)), 8, "once a minute")
		w.propose(t, registry.FinishQuestion{Result: query.Result{Query: w.occurrences(t)[0].Query, State: query.Withheld}})
		to(time.Now().Add(2 * time.Minute))
		require.Equal(t, []schedule.State{"asked", "asked", "pending", "pending"}, w.states(t))
	})
}

// TestAHubMayDieAtEveryCommit, before or after it took hold: the next one goes on, and each
// occurrence is asked once.
func TestAHubMayDieAtEveryCommit(t *testing.T) {
	t.Parallel()
	for at := 1; at <= occurrences; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d, after %v", at, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					ctx, die := context.WithCancel(t.Context())
					stop := w.run(t, ctx, &dyingLog{fakeLog: w.log, die: die, left: at, after: after}, registry.QueueLimits{})
					to(w.first.Add(occurrences*time.Hour - time.Minute))
					require.Error(t, ctx.Err(), "the hub lives")
					stop()
					settled := at - 1
					if after {
						settled++
					}
					require.Len(t, w.log.asked(t), settled)
					defer w.run(t, t.Context(), w.log, registry.QueueLimits{})()
					to(time.Now().Add(2 * time.Second))
					require.Equal(t, []schedule.State{"asked", "asked", "asked", "asked"}, w.states(t))
					require.Len(t, w.log.asked(t), occurrences, "one was proposed twice")
				})
			})
		}
	}
}

// fakeLog is a replicated log of one replica.
type fakeLog struct {
	machine *registry.Machine

	mu       sync.Mutex
	leads    bool                     // guarded by mu
	index    uint64                   // guarded by mu
	proposed []registry.AskOccurrence // guarded by mu
}

func (l *fakeLog) lead(leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leads = leads
}

func (l *fakeLog) Leading() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leads
}

func (l *fakeLog) Propose(_ context.Context, body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, time.Now())
	if err != nil {
		return registry.Outcome{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if o, is := body.(registry.AskOccurrence); is {
		l.proposed = append(l.proposed, o)
	}
	l.index++
	return l.machine.Apply(context.Background(), l.index, data)
}

// asked returns what was proposed.
func (l *fakeLog) asked(t *testing.T) []registry.AskOccurrence {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proposed
}

var errDied = errors.New("the hub died")

// dyingLog stops its hub at the n-th proposal, before or after it took hold.
type dyingLog struct {
	*fakeLog
	die   context.CancelFunc
	left  int
	after bool
}

func (l *dyingLog) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	if l.left--; l.left > 0 {
		return l.fakeLog.Propose(ctx, body)
	}
	if l.left == 0 && l.after {
		_, _ = l.fakeLog.Propose(ctx, body)
	}
	l.die()
	return registry.Outcome{}, errDied
}
