package consensus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// lines is an FSM that remembers commands.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Apply(_ uint64, command []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(command))
	return nil, nil
}

func (l *lines) Snapshot() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.NopCloser(strings.NewReader(strings.Join(l.all, "\n"))), nil
}

func (l *lines) Restore(io.Reader) error { panic("no snapshot is taken here") }

func (l *lines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Three hubs over real loopback connections: one leads, stops without a word,
// and the others go on with everything it acknowledged.
func TestReplicasOverTheRealTransport(t *testing.T) {
	t.Parallel()
	const patience = time.Minute
	keys := make([]identity.Key, 3)
	var ids []identity.DID
	for i := range keys {
		k, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		keys[i] = k
		ids = append(ids, k.DID())
	}
	admit := func(d identity.DID) bool { return slices.Contains(ids, d) }

	var addrs []string
	hosts := map[identity.DID]*transport.Host{}
	replicas := map[identity.DID]*consensus.Replica{}
	states := map[identity.DID]*lines{}
	stop := map[identity.DID]func(){}
	for _, key := range keys {
		h, err := transport.New(transport.Config{Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Admit: admit})
		require.NoError(t, err)
		addrs = append(addrs, h.Addrs()...)
		hosts[h.DID()] = h
	}
	for id, h := range hosts {
		require.NoError(t, h.AddPeers(addrs...))
		states[id] = &lines{}
		r, err := consensus.Open(t.Context(), consensus.Config{Dir: t.TempDir(), ID: id, Bootstrap: true, Replicas: ids, Network: h, FSM: states[id]})
		require.NoError(t, err)
		replicas[id] = r
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		stop[id] = sync.OnceFunc(func() {
			cancel()
			require.NoError(t, <-done)
			require.NoError(t, r.Close())
		})
		t.Cleanup(stop[id])
	}

	leader := func() (found *consensus.Replica, id identity.DID) {
		require.Eventually(t, func() bool {
			for id, found = range replicas {
				if found.IsLeader() && found.Barrier(t.Context()) == nil {
					return true
				}
			}
			return false
		}, patience, 20*time.Millisecond)
		return found, found.Leader()
	}
	first, firstID := leader()
	var want []string
	began := time.Now()
	for i := range 200 {
		line := fmt.Sprint(i)
		_, err := first.Propose(t.Context(), []byte(line))
		require.NoError(t, err)
		want = append(want, line)
	}
	t.Logf("200 commands one at a time: %.0f/s", 200/time.Since(began).Seconds())

	stop[firstID]()
	delete(replicas, firstID)
	began = time.Now()
	second, _ := leader()
	t.Logf("new leader after %v", time.Since(began).Round(10*time.Millisecond))
	_, err := second.Propose(t.Context(), []byte("after"))
	require.NoError(t, err)
	want = append(want, "after")
	for id := range replicas {
		require.Eventually(t, func() bool { return slices.Equal(want, states[id].get()) }, patience, 20*time.Millisecond)
	}
}
