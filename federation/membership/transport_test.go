package membership_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// member is a transport host with a group on it, as a hub or node has.
type member struct {
	key   identity.Key
	host  *transport.Host
	group *membership.Group
	stop  func()
}

func start(t *testing.T, key identity.Key, hub *member) *member {
	t.Helper()
	everybody := func(identity.DID) bool { return true }
	cfg := transport.Config{Key: key, Admit: everybody}
	group := membership.Config{ID: key.DID(), Admit: everybody}
	if hub == nil {
		cfg.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}
	} else {
		cfg.Hub = hub.host.Addrs()
		group.Seeds = []identity.DID{hub.host.DID()}
	}
	host, err := transport.New(cfg)
	require.NoError(t, err)
	group.Network = host
	g, err := membership.New(group)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = host.Run(ctx) })
	running.Go(func() { _ = g.Run(ctx) })
	m := &member{key: key, host: host, group: g}
	m.stop = sync.OnceFunc(func() {
		require.NoError(t, host.Close()) // no good-bye gets out
		cancel()
		running.Wait()
	})
	t.Cleanup(m.stop)
	return m
}

func (m *member) sees(did identity.DID, state membership.State) func() bool {
	return func() bool {
		for _, other := range m.group.Members() {
			if other.DID == did {
				return other.State == state
			}
		}
		return false
	}
}

func TestKilledNodeIsSeenOverTheRealTransport(t *testing.T) {
	t.Parallel()
	const patience = time.Minute
	newKey := func() identity.Key {
		k, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		return k
	}
	began := time.Now()
	hub := start(t, newKey(), nil)
	var nodes []*member
	for range 3 {
		nodes = append(nodes, start(t, newKey(), hub))
	}
	all := append([]*member{hub}, nodes...)
	for _, m := range all {
		for _, other := range all {
			require.Eventually(t, m.sees(other.key.DID(), membership.Alive), patience, 10*time.Millisecond)
		}
	}
	t.Logf("4 members know each other after %v", time.Since(began).Round(10*time.Millisecond))

	victim := nodes[0]
	victim.stop()
	began = time.Now()
	require.Eventually(t, hub.sees(victim.key.DID(), membership.Gone), patience, 10*time.Millisecond)
	t.Logf("killed node gone at the hub after %v", time.Since(began).Round(10*time.Millisecond))
	require.Eventually(t, nodes[1].sees(victim.key.DID(), membership.Gone), patience, 10*time.Millisecond)
	require.True(t, hub.sees(nodes[1].key.DID(), membership.Alive)(), "the others stay")
	require.True(t, hub.sees(nodes[2].key.DID(), membership.Alive)())

	began = time.Now()
	start(t, victim.key, hub)
	require.Eventually(t, hub.sees(victim.key.DID(), membership.Alive), patience, 10*time.Millisecond)
	t.Logf("and back after %v", time.Since(began).Round(10*time.Millisecond))
}
