package dispatch_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// world is a hub and its nodes on one in-process network.
type world struct {
	hub    identity.Key
	net    *inprocess.Network
	end    *inprocess.Endpoint // the hub's
	db     *sqldb.DB
	reader *registry.Reader
	log    *fakeLog
	trial  peertest.Trial
	sites  []*peertest.Site
	ends   []*inprocess.Endpoint // the nodes'
	policy disclosure.Policy
	speaks func(identity.DID) (version.Range, bool) // nil for nodes of today
	proves time.Duration                            // how long a proof may take
}

// newWorld returns a network on which nothing was asked: nodes are enrolled,
// the trial is registered and every site's consent epoch is on the ledger.
func newWorld(t *testing.T, people ...[]peertest.Person) *world {
	t.Helper()
	return newWorldUnder(t, disclosure.Default(), people...)
}

// newWorldUnder is newWorld of which the hub and every site have the same limits.
func newWorldUnder(t *testing.T, policy disclosure.Policy, people ...[]peertest.Person) *world {
	t.Helper()
	return newWorldProving(t, policy, standIns(), people...)
}

// proofs are those of a network: how they are checked, the circuits, and how a site makes them.
type proofs struct {
	checker  registry.ProofChecker
	circuits []entry.Circuit
	site     peertest.Config
}

// standIns cost nothing.
func standIns() proofs {
	p := proofs{checker: peertest.Proofs{}, circuits: []entry.Circuit{peertest.EpochCircuit().Circuit, peertest.AccessCircuit().Circuit}}
	for _, c := range peertest.ResultCircuits() {
		p.circuits = append(p.circuits, c.Circuit)
	}
	return p
}

// newWorldProving is newWorldUnder with other proofs.
func newWorldProving(t *testing.T, policy disclosure.Policy, proofs proofs, people ...[]peertest.Person) *world {
	t.Helper()
	w := &world{hub: peertest.NewKey(t), net: inprocess.New(), policy: policy, proves: 5 * time.Second}
	w.end = w.net.Join(w.hub.DID())
	t.Cleanup(func() { require.NoError(t, w.end.Close()) })
	w.db = sqltest.SQLite(t)
	require.NoError(t, registry.Migrate(t.Context(), w.db))
	w.reader = registry.NewReader(w.db)
	w.log = &fakeLog{machine: registry.NewMachine(w.db, w.hub.DID(), proofs.checker)}
	var keys []identity.Key
	var nodes []identity.DID
	for range people {
		keys = append(keys, peertest.NewKey(t))
		nodes = append(nodes, keys[len(keys)-1].DID())
	}
	w.trial = peertest.NewTrial(t, nodes, disclosure.Policy{}, time.Now())
	w.propose(t, registry.SetVenue{Venue: peertest.Venue})
	for _, c := range proofs.circuits {
		w.propose(t, registry.RegisterCircuit{Circuit: c})
	}
	for i, node := range nodes {
		name := string(rune('a' + i))
		w.propose(t, registry.InviteNode{Name: name, Organization: "Hospital " + name})
		w.propose(t, registry.EnrollNode{Node: node, Name: name})
	}
	w.propose(t, registry.RegisterTrial{Registration: w.trial.Registration})
	for i, list := range people {
		cfg := proofs.site
		cfg.Key, cfg.Hub, cfg.Trial, cfg.Policy, cfg.People = keys[i], w.hub.DID(), w.trial, policy, list
		site := peertest.NewSite(t, cfg)
		end := w.net.Join(keys[i].DID())
		t.Cleanup(func() { require.NoError(t, end.Close()) })
		end.HandleCall(query.TaskProtocol, site.Peer.Take)
		w.sites, w.ends = append(w.sites, site), append(w.ends, end)
		w.publish(t, i)
	}
	return w
}

func (w *world) publish(t *testing.T, i int) message.Digest {
	t.Helper()
	return w.sites[i].Publish(t, func(d consent.Draft) int64 {
		if !d.IsEpoch() {
			return w.propose(t, registry.ChangeConsents{Batch: agreed.Batch{Envelope: d.Envelope, Leaves: d.Leaves}}).LedgerIndex
		}
		return w.propose(t, registry.PublishEpoch{Envelope: d.Envelope}).LedgerIndex
	})
}

func (w *world) propose(t *testing.T, body registry.Body) registry.Outcome {
	t.Helper()
	out, err := w.log.Propose(t.Context(), body)
	require.NoError(t, err)
	return out
}

// put submits a question with a deadline.
func (w *world) put(t *testing.T, r query.Request, wait time.Duration) query.ID {
	t.Helper()
	e := w.trial.Sign(t, r, time.Now())
	w.propose(t, registry.AskQuestion{Envelope: e, Deadline: time.Now().Add(wait)})
	return e.Digest()
}

// dispatcher returns a dispatcher over the hub's database.
func (w *world) dispatcher(t *testing.T, log dispatch.Log) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(dispatch.Config{
		Registry: w.reader, Log: log, Network: w.end, Speaks: w.speaks, Policy: w.policy, Grace: 100 * time.Millisecond, Poll: 250 * time.Millisecond,
		ProofWait: w.proves,
	})
	require.NoError(t, err)
	return d
}

// inBubbleNamed runs a part of a test in a bubble of its own.
func inBubbleNamed(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { inBubble(t, test) })
}

// inBubble runs a test with a clock that moves on only when everybody waits, so
// that deadlines pass at once and never too early on a busy machine.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// alike returns the people of n sites: 13 women each, released as 15.
func alike(n int) [][]peertest.Person {
	var all [][]peertest.Person
	for range n {
		all = append(all, peertest.People(13, 0))
	}
	return all
}

// run drives questions until the test ends.
func (w *world) run(t *testing.T) {
	t.Helper()
	w.drive(t, w.dispatcher(t, w.log))
}

// drive runs a dispatcher until the test ends.
func (w *world) drive(t *testing.T, d *dispatch.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

// result waits for the answer to a question.
func (w *world) result(t *testing.T, id query.ID) query.Result {
	t.Helper()
	var result query.Result
	require.Eventually(t, func() bool {
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		if q.Result != nil {
			result = *q.Result
		}
		return q.Result != nil
	}, time.Minute, 200*time.Millisecond, "the question has no result")
	return result
}

// proofs waits until n access proofs of a question are recorded.
func (w *world) proofs(t *testing.T, id query.ID, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := w.reader.Accesses(t.Context(), id)
		require.NoError(t, err)
		return len(list) == n
	}, time.Minute, 200*time.Millisecond, "the question has not %d proofs", n)
}

// replay applies the log to a new database and requires the same state.
func (w *world) replay(t *testing.T) {
	t.Helper()
	db := sqltest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "replay.db"))
	require.NoError(t, registry.Migrate(t.Context(), db))
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	other := registry.NewMachine(db, w.hub.DID(), peertest.Proofs{})
	for i, entry := range w.log.entries {
		_, err := other.Apply(t.Context(), uint64(i+1), entry)
		if err != nil {
			require.Equal(t, w.log.refusals[i], err.Error())
		}
	}
	want, err := registry.StateHash(t.Context(), w.db)
	require.NoError(t, err)
	got, err := registry.StateHash(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, want, got, "a replay gives another state")
}

// fakeLog is a replicated log of one replica that keeps what it applied.
type fakeLog struct {
	machine  *registry.Machine
	mu       sync.Mutex
	entries  [][]byte
	refusals map[int]string // by place in entries
}

func (l *fakeLog) Leading() bool { return true }

func (l *fakeLog) Propose(_ context.Context, body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, time.Now())
	if err != nil {
		return registry.Outcome{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, data)
	out, err := l.machine.Apply(context.Background(), uint64(len(l.entries)), data)
	if err != nil {
		if l.refusals == nil {
			l.refusals = make(map[int]string)
		}
		l.refusals[len(l.entries)-1] = err.Error()
	}
	return out, err
}

var errDied = errors.New("the hub died")

// dyingLog stops its hub at the n-th proposal, before or after it took hold.
type dyingLog struct {
	*fakeLog
	die   context.CancelFunc
	after bool

	mu   sync.Mutex
	left int
	dead bool
}

func (l *dyingLog) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	l.mu.Lock()
	l.left--
	if l.left <= 0 {
		last := !l.dead
		l.dead = true
		l.mu.Unlock()
		l.die()
		if last && l.after {
			_, _ = l.fakeLog.Propose(ctx, body)
		}
		return registry.Outcome{}, errDied
	}
	l.mu.Unlock()
	return l.fakeLog.Propose(ctx, body)
}

// refused reports whether a command was refused by the rule.
func (l *fakeLog) refused(rule string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.refusals {
		if strings.Contains(text, "(rule "+rule+")") {
			return true
		}
	}
	return false
}
