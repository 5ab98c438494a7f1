package membership

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

const (
	patience = time.Minute
	testPace = 100 * time.Millisecond
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// memberlist does not wait for a probe under way, which ends by itself
		// at its deadline, at most three paces after Shutdown.
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).sendPingAndWaitForAck"),
	)
}

func newKey(t testing.TB) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

func logger() *slog.Logger {
	if os.Getenv("TRIALMESH_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func everybody(identity.DID) bool { return true }

// party is a running member on an in-process network.
type party struct {
	*Group
	did  identity.DID
	end  *inprocess.Endpoint
	stop func()
}

// join starts a member; stop says good-bye, crash does not.
func join(t *testing.T, n *inprocess.Network, did identity.DID, change func(*Config)) *party {
	t.Helper()
	end := n.Join(did)
	cfg := Config{ID: did, Network: end, Admit: everybody, Pace: testPace, Log: logger()}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	p := &party{Group: g, did: did, end: end}
	p.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "Run did not return")
		}
		require.NoError(t, end.Close())
	})
	t.Cleanup(p.stop)
	return p
}

func (p *party) crash(t *testing.T) {
	require.NoError(t, p.end.Close()) // off the network first: no good-bye gets out
	p.stop()
}

func (p *party) state(of identity.DID) State {
	for _, m := range p.Members() {
		if m.DID == of {
			return m.State
		}
	}
	return ""
}

func awaitState(t *testing.T, p *party, of identity.DID, want State) {
	t.Helper()
	require.Eventually(t, func() bool { return p.state(of) == want }, patience, 10*time.Millisecond,
		"%s never saw %s as %s", p.did, of, want)
}

func seeded(seed identity.DID) func(*Config) {
	return func(c *Config) { c.Seeds = []identity.DID{seed} }
}

func newParties(t *testing.T, nodes int) (*inprocess.Network, *party, []*party) {
	t.Helper()
	n := inprocess.New()
	hub := join(t, n, newKey(t).DID(), nil)
	var all []*party
	for range nodes {
		all = append(all, join(t, n, newKey(t).DID(), seeded(hub.did)))
	}
	for _, p := range append(all, hub) {
		for _, q := range append(all, hub) {
			awaitState(t, p, q.did, Alive)
		}
	}
	return n, hub, all
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	end := inprocess.New().Join("x")
	good := Config{ID: newKey(t).DID(), Network: end, Admit: everybody}
	for name, change := range map[string]func(*Config){
		"not a DID":  func(c *Config) { c.ID = "did:key:zNope" },
		"no network": func(c *Config) { c.Network = nil },
		"no Admit":   func(c *Config) { c.Admit = nil },
		"pace":       func(c *Config) { c.Pace = time.Millisecond },
		"bad seed":   func(c *Config) { c.Seeds = []identity.DID{"hub"} },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		require.Error(t, err, name)
	}
}

func TestMembersSeeEachOtherComeAndGo(t *testing.T) {
	t.Parallel()
	n, hub, nodes := newParties(t, 3)

	began := time.Now()
	nodes[0].crash(t)
	awaitState(t, hub, nodes[0].did, Gone)
	awaitState(t, nodes[1], nodes[0].did, Gone)
	t.Logf("a killed member is gone after %.1f paces", time.Since(began).Seconds()/testPace.Seconds())

	began = time.Now()
	join(t, n, nodes[0].did, seeded(hub.did))
	awaitState(t, hub, nodes[0].did, Alive)
	t.Logf("and back after %v", time.Since(began).Round(time.Millisecond))
	awaitState(t, nodes[1], nodes[0].did, Alive)

	began = time.Now()
	nodes[2].stop()
	awaitState(t, hub, nodes[2].did, Gone)
	t.Logf("one that says good-bye is gone after %v", time.Since(began).Round(time.Millisecond))
	for _, m := range hub.Members() {
		require.WithinDuration(t, time.Now(), m.Since, patience)
	}
}

func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	n, hub, nodes := newParties(t, 2)
	n.Partition([]identity.DID{nodes[0].did})
	awaitState(t, hub, nodes[0].did, Gone)
	awaitState(t, nodes[0], hub.did, Gone)
	require.Equal(t, Alive, hub.state(nodes[1].did))
	n.Heal()
	awaitState(t, hub, nodes[0].did, Alive)
	awaitState(t, nodes[0], hub.did, Alive)
	awaitState(t, nodes[0], nodes[1].did, Alive)
}

func TestOnChangeTellsEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	n := inprocess.New()
	var mu sync.Mutex
	var seen []State
	hub := join(t, n, newKey(t).DID(), func(c *Config) {
		c.OnChange = func(m Member) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, m.State)
		}
	})
	did := newKey(t).DID()
	for range 2 {
		node := join(t, n, did, seeded(hub.did))
		awaitState(t, hub, did, Alive)
		node.stop()
		awaitState(t, hub, did, Gone)
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(seen) == fmt.Sprint([]State{Alive, Gone, Alive, Gone})
	}, patience, 10*time.Millisecond)
}

func TestMissingSeedIsTriedAgain(t *testing.T) {
	t.Parallel()
	n := inprocess.New()
	hubDID := newKey(t).DID()
	node := join(t, n, newKey(t).DID(), seeded(hubDID))
	awaitState(t, node, node.did, Alive)
	hub := join(t, n, hubDID, nil)
	awaitState(t, node, hubDID, Alive)
	awaitState(t, hub, node.did, Alive)
}

func TestOnlyEnrolledMembersCount(t *testing.T) {
	t.Parallel()
	n := inprocess.New()
	enrolled, stranger := newKey(t).DID(), newKey(t).DID()
	hub := join(t, n, newKey(t).DID(), func(c *Config) {
		c.Admit = func(d identity.DID) bool { return d == enrolled }
	})
	// The node lets the stranger in and passes the word on.
	node := join(t, n, enrolled, seeded(hub.did))
	join(t, n, stranger, seeded(enrolled))
	awaitState(t, node, stranger, Alive)
	awaitState(t, hub, enrolled, Alive)
	// Whatever the node has to say about the stranger has been said after a
	// list exchange and a few rounds of gossip.
	require.NoError(t, exchangeLists(node, hub.did))
	require.Never(t, func() bool { return hub.state(stranger) != "" }, 10*testPace, testPace)
}

func exchangeLists(p *party, with identity.DID) error {
	p.mu.Lock()
	list := p.list
	p.mu.Unlock()
	_, err := list.Join([]string{string(with) + "/" + hostPort(with)})
	return err
}

func TestAdmissionChecksNameAndAddress(t *testing.T) {
	t.Parallel()
	self, peer, stranger := newKey(t).DID(), newKey(t).DID(), newKey(t).DID()
	a := admission{Config{ID: self, Admit: func(d identity.DID) bool { return d == peer }}}
	for _, c := range []struct {
		name string
		node memberlist.Node
		ok   bool
	}{
		{"enrolled", memberlist.Node{Name: string(peer), Addr: addressOf(peer), Port: port}, true},
		{"itself", memberlist.Node{Name: string(self), Addr: addressOf(self), Port: port}, true},
		{"stranger", memberlist.Node{Name: string(stranger), Addr: addressOf(stranger), Port: port}, false},
		{"another's address", memberlist.Node{Name: string(peer), Addr: addressOf(self), Port: port}, false},
		{"another port", memberlist.Node{Name: string(peer), Addr: addressOf(peer), Port: 22}, false},
		{"not a DID", memberlist.Node{Name: "hub", Addr: addressOf(peer), Port: port}, false},
	} {
		require.Equal(t, c.ok, a.NotifyAlive(&c.node) == nil, c.name)
	}
}

func TestAddressesAreUniqueLocalAndDistinct(t *testing.T) {
	t.Parallel()
	_, ula, err := net.ParseCIDR("fd00::/8")
	require.NoError(t, err)
	seen := map[string]bool{}
	for range 100 {
		ip := addressOf(newKey(t).DID())
		require.Len(t, ip, net.IPv6len)
		require.True(t, ula.Contains(ip))
		seen[ip.String()] = true
	}
	require.Len(t, seen, 100)
}

// stuck is a network whose streams open but are never read.
type stuck struct{ Network }

func (stuck) Open(context.Context, identity.DID, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	_ = theirs // a write waits for a reader that never comes
	return ours, nil
}

func TestWriteNeverBlocks(t *testing.T) {
	t.Parallel()
	n := inprocess.New()
	end := n.Join("x")
	w := newWires(Config{ID: newKey(t).DID(), Network: stuck{end}, Admit: everybody, Pace: testPace}.withDefaults())
	w.start()
	to := newKey(t).DID()
	began := time.Now()
	for range 10 * queueLength {
		_, err := w.WriteToAddress([]byte("ping"), memberlist.Address{Name: string(to)})
		require.NoError(t, err)
	}
	require.Less(t, time.Since(began), time.Second)
	_, err := w.WriteToAddress(make([]byte, maxPacket+1), memberlist.Address{Name: string(to)})
	require.Error(t, err)
	_, err = w.WriteToAddress([]byte("ping"), memberlist.Address{Addr: "[fd00::1]:7946"})
	require.Error(t, err, "an address alone names nobody")
	w.stop()
	_, err = w.WriteToAddress([]byte("ping"), memberlist.Address{Name: string(to)})
	require.ErrorIs(t, err, net.ErrClosed)
}

// Garbage from an enrolled peer must neither stop the group nor hide others.
func TestGarbageIsSurvived(t *testing.T) {
	t.Parallel()
	n, hub, nodes := newParties(t, 1)
	rogue := n.Join(newKey(t).DID())
	defer func() { require.NoError(t, rogue.Close()) }()
	for _, protocol := range []string{PacketProtocol, StreamProtocol} {
		for _, garbage := range [][]byte{{}, {0}, {0, 0}, {0xff, 0xff, 1}, {0, 3, 1, 2, 3}, bytes.Repeat([]byte{0, 2, 0xff, 0xff}, 100)} {
			s, err := rogue.Open(t.Context(), hub.did, protocol)
			require.NoError(t, err)
			_ = s.SetDeadline(time.Now().Add(testPace))
			_, _ = s.Write(garbage)
			require.NoError(t, s.Close())
		}
	}
	require.Equal(t, Alive, hub.state(nodes[0].did))
	late := join(t, n, newKey(t).DID(), seeded(hub.did))
	awaitState(t, hub, late.did, Alive)
}

func FuzzReadPacket(f *testing.F) {
	f.Add([]byte{0, 1, 7})
	f.Add([]byte{0, 0})
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		b, err := readPacket(r)
		if err != nil {
			return
		}
		read := len(data) - r.Len()
		require.Equal(t, data[:read], append([]byte{byte(len(b) >> 8), byte(len(b))}, b...))
		_, _ = io.Copy(io.Discard, r)
	})
}
