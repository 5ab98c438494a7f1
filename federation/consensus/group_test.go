package consensus

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// group is three replicas on an in-process network.
type group struct {
	t        *testing.T
	network  *inprocess.Network
	ids      []identity.DID
	dirs     map[identity.DID]string
	ends     map[identity.DID]*inprocess.Endpoint
	replicas map[identity.DID]*Replica
	journals map[identity.DID]*journal
}

func newGroup(t *testing.T) *group {
	g := &group{
		t: t, network: inprocess.New(), ids: []identity.DID{"a", "b", "c"},
		dirs: map[identity.DID]string{}, ends: map[identity.DID]*inprocess.Endpoint{},
		replicas: map[identity.DID]*Replica{}, journals: map[identity.DID]*journal{},
	}
	for _, id := range g.ids {
		g.dirs[id] = t.TempDir()
		g.start(id)
	}
	return g
}

func (g *group) start(id identity.DID) {
	g.ends[id] = g.network.Join(id)
	g.journals[id] = &journal{}
	g.replicas[id] = open(g.t, Config{
		Dir: g.dirs[id], ID: id, Bootstrap: true, Replicas: g.ids,
		Network: g.ends[id], FSM: g.journals[id], SnapshotThreshold: 100, segmentBytes: 4096,
	})
	end := g.ends[id]
	g.t.Cleanup(func() { require.NoError(g.t, end.Close()) })
}

// crash takes a replica off the network before it stops, so that it cannot
// say goodbye.
func (g *group) crash(id identity.DID) {
	require.NoError(g.t, g.ends[id].Close())
	require.NoError(g.t, g.replicas[id].Close())
	delete(g.replicas, id)
}

// leader waits until one of the running replicas leads.
func (g *group) leader(among ...identity.DID) identity.DID {
	g.t.Helper()
	var found identity.DID
	require.Eventually(g.t, func() bool {
		for id, r := range g.replicas {
			if r.IsLeader() && (len(among) == 0 || slices.Contains(among, id)) {
				ctx, cancel := context.WithTimeout(g.t.Context(), time.Second)
				defer cancel()
				found = id
				return r.Barrier(ctx) == nil
			}
		}
		return false
	}, patience, 20*time.Millisecond)
	return found
}

// converge waits until every running replica has the same journal as want.
func (g *group) converge(want []string) {
	g.t.Helper()
	for id := range g.replicas {
		require.Eventually(g.t, func() bool { return slices.Equal(want, g.journals[id].all()) }, patience, 20*time.Millisecond,
			"replica %s", id)
	}
}

func TestLeaderLostNothingAcknowledgedIs(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	var mu sync.Mutex
	var acknowledged []string
	stop, stopped := make(chan struct{}), make(chan struct{})
	running := map[identity.DID]*Replica{"a": g.replicas["a"], "b": g.replicas["b"], "c": g.replicas["c"]}
	first := g.leader()
	go func() { // proposes wherever it is taken, as a client would
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, r := range running {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				line := fmt.Sprintf("command %d", i)
				_, err := r.Propose(ctx, []byte(line))
				cancel()
				if err == nil {
					mu.Lock()
					acknowledged = append(acknowledged, line)
					mu.Unlock()
					break
				}
			}
		}
	}()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	require.Eventually(t, func() bool { return count() > 50 }, patience, 10*time.Millisecond)
	g.crash(first)
	began, before := time.Now(), count()
	second := g.leader()
	t.Logf("new leader after %v", time.Since(began).Round(10*time.Millisecond))
	require.NotEqual(t, first, second)
	require.Eventually(t, func() bool { return count() > before+50 }, patience, 10*time.Millisecond)
	close(stop)
	<-stopped

	g.start(first) // the old leader returns with what it had
	end := g.journals[g.leader()].all()
	g.converge(end)
	seen := map[string]bool{}
	for _, line := range end {
		seen[line] = true
	}
	for _, line := range acknowledged {
		require.True(t, seen[line], "acknowledged and lost: %s", line)
	}
}

func TestPartitionedLeaderAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	old := g.leader()
	propose(t, g.replicas[old], "before")
	g.network.Partition([]identity.DID{old})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := g.replicas[old].Propose(ctx, []byte("in the minority"))
	require.Error(t, err, "a majority of one is none")

	var others []identity.DID
	for _, id := range g.ids {
		if id != old {
			others = append(others, id)
		}
	}
	next := g.leader(others...)
	propose(t, g.replicas[next], "in the majority")
	var notLeader ErrNotLeader
	_, err = g.replicas[old].Propose(t.Context(), []byte("x"))
	require.ErrorAs(t, err, &notLeader)

	g.network.Heal()
	g.converge([]string{"before", "in the majority"})
	require.Eventually(t, func() bool {
		return g.replicas[old].Leader() == g.replicas[next].Leader() && g.replicas[old].Leader() != ""
	}, patience, 20*time.Millisecond)
	// The second entry that the deposed leader appended is nowhere.
	for _, id := range g.ids {
		require.NotContains(t, g.journals[id].all(), "in the minority")
	}
}

func TestFollowerThatMissedTheLogGetsASnapshot(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	leader := g.leader()
	var behind identity.DID
	for _, id := range g.ids {
		if id != leader {
			behind = id
		}
	}
	g.crash(behind)
	lines := numbered(0, 250) // the log keeps 100, and little in a file
	propose(t, g.replicas[leader], lines...)
	require.NoError(t, g.replicas[leader].Snapshot(t.Context()))
	g.start(behind)
	g.converge(lines)
	require.Equal(t, 1, g.journals[behind].restored)
}

func TestOnlyReplicasMaySpeakRaft(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.leader()
	node := g.network.Join("node")
	defer func() { require.NoError(t, node.Close()) }()
	s, err := node.Open(t.Context(), "a", Protocol)
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	if err = s.SetDeadline(time.Now().Add(patience)); err == nil { // not closed already
		_, err = s.Read(make([]byte, 1))
	}
	require.Error(t, err, "closed without an answer")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "closed, not left hanging")
}
