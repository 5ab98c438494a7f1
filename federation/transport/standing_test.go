package transport

import (
	"bufio"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Not parallel: it counts the listening sockets of the whole process.
func TestNodeListensOnNoPort(t *testing.T) {
	e := &enrolled{}
	hub := newHub(t, e, nil)
	run(t, hub)
	before := listeningSockets(t)
	require.NotEmpty(t, before, "the hub's TCP port at least")
	node := newNode(t, e, hub.Addrs(), nil)
	e.add(node.DID())
	serveEcho(node)
	run(t, node)
	awaitReserved(t, hub, node)
	require.Contains(t, eventuallyCall(t, hub, node, "hello"), "hello")
	require.Equal(t, before, listeningSockets(t))
	require.Empty(t, node.Addrs())
	for _, addr := range node.host.Network().ListenAddresses() {
		require.Equal(t, "/p2p-circuit", addr.String())
	}
}

// listeningSockets returns the inodes of this process's TCP sockets in state LISTEN.
func listeningSockets(t *testing.T) []string {
	t.Helper()
	ours := map[string]bool{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, "socket:[") {
			ours[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	var inodes []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			// sl local remote st … inode is the tenth field; 0A is LISTEN
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[3] == "0A" && ours[fields[9]] {
				inodes = append(inodes, fields[9])
			}
		}
		require.NoError(t, lines.Err())
		require.NoError(t, f.Close())
	}
	slices.Sort(inodes)
	return inodes
}

func TestNodeReturnsAfterHubRestart(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "quic"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := &enrolled{}
			key := newKey(t)
			var mu sync.Mutex
			var heard []bool
			listen := "/ip4/127.0.0.1/tcp/" + freePort(t)
			if kind == "quic" {
				listen = "/ip4/127.0.0.1/udp/" + freePort(t) + "/quic-v1"
			}
			same := func(c *Config) { c.Key, c.Listen = key, []string{listen} }
			hub := newHub(t, e, same)
			stopHub := run(t, hub)
			var nodes []*Host
			for range 2 {
				node := newNode(t, e, hub.Addrs(), func(c *Config) {
					c.OnPeer = func(did identity.DID, up bool) {
						mu.Lock()
						defer mu.Unlock()
						if did == key.DID() {
							heard = append(heard, up)
						}
					}
				})
				e.add(node.DID())
				serveEcho(node)
				nodes = append(nodes, node)
				run(t, node)
				awaitReserved(t, hub, node)
			}
			awaitHeard := func(n int) {
				require.Eventually(t, func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(heard) == n
				}, patience, 10*time.Millisecond)
			}
			awaitHeard(2)
			stopHub()
			require.Eventually(t, func() bool { return !nodes[0].Connected(key.DID()) && !nodes[1].Connected(key.DID()) }, patience, 10*time.Millisecond)
			awaitHeard(4)
			_, err := nodes[0].Call(t.Context(), key.DID(), echo, nil)
			require.ErrorIs(t, err, ErrUnreachable, "no dialing behind the standing connection's back")
			_, err = nodes[0].Call(t.Context(), nodes[1].DID(), echo, nil)
			require.ErrorIs(t, err, ErrUnreachable)

			began := time.Now()
			hub = newHub(t, e, same)
			serveEcho(hub)
			run(t, hub)
			for _, node := range nodes {
				awaitReserved(t, hub, node)
				eventuallyCall(t, hub, node, "down")
				eventuallyCall(t, node, hub, "up")
			}
			eventuallyCall(t, nodes[0], nodes[1], "across")
			t.Logf("all paths back after %v", time.Since(began).Round(10*time.Millisecond))
			awaitHeard(6)
			mu.Lock() // the nodes hear the hub go once more when the test ends
			defer mu.Unlock()
			require.Equal(t, []bool{true, true, false, false, true, true}, heard)
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// valve passes TCP through. Connections that exist when it is shut swallow
// everything from then on without being closed, as when a firewall forgets
// them; later ones pass.
type valve struct {
	listener net.Listener
	target   string
	tasks    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // whether dead
}

func newValve(t *testing.T, target string) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	v := &valve{listener: l, target: target, conns: map[net.Conn]bool{}}
	v.tasks.Go(v.accept)
	t.Cleanup(func() {
		_ = l.Close()
		v.mu.Lock()
		for c := range v.conns {
			_ = c.Close()
		}
		v.mu.Unlock()
		v.tasks.Wait()
	})
	return v
}

func (v *valve) accept() {
	for {
		in, err := v.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", v.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		v.mu.Lock()
		v.conns[in], v.conns[out] = false, false
		v.mu.Unlock()
		v.tasks.Go(func() { v.pass(in, out) })
		v.tasks.Go(func() { v.pass(out, in) })
	}
}

func (v *valve) pass(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		v.mu.Lock()
		dead := v.conns[from]
		v.mu.Unlock()
		if err != nil && !dead {
			_ = to.Close()
		}
		if err != nil {
			return // a dead line does not tell the other side
		}
		if !dead {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.conns {
		v.conns[c] = true
	}
}

func TestSilentConnectionIsNoticedAndReplaced(t *testing.T) {
	t.Parallel()
	e := &enrolled{}
	port := freePort(t)
	hub := newHub(t, e, func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/tcp/" + port} })
	serveEcho(hub)
	run(t, hub)
	v := newValve(t, "127.0.0.1:"+port)
	_, through, err := net.SplitHostPort(v.listener.Addr().String())
	require.NoError(t, err)
	addr := "/ip4/127.0.0.1/tcp/" + through + "/p2p/" + hub.host.ID().String()
	node := newNode(t, e, []string{addr}, func(c *Config) { c.KeepAlive = settleTime })
	e.add(node.DID())
	serveEcho(node)
	run(t, node)
	awaitReserved(t, hub, node)
	eventuallyCall(t, hub, node, "before")

	v.shut()
	began := time.Now()
	require.Eventually(t, func() bool { return !node.Connected(hub.DID()) }, patience, 10*time.Millisecond)
	require.LessOrEqual(t, time.Since(began), 2*settleTime+2*time.Second, "noticed after two keep-alives")
	require.True(t, hub.Connected(node.DID()), "the hub has no way to know")
	// The hub's next call must go over the new connection, not the dead one.
	eventuallyCall(t, node, hub, "up")
	eventuallyCall(t, hub, node, "down")
	t.Logf("hub to node works again %v after the silence began", time.Since(began).Round(10*time.Millisecond))
	require.Eventually(t, func() bool { return len(hub.host.Network().ConnsToPeer(node.host.ID())) == 1 }, patience, 10*time.Millisecond)
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, maxBackoff, 3*time.Second, "a node is back soon after its hub, however long that was gone")
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.IntRange(0, 1<<40).Draw(t, "failures")
		d := backoff(failures)
		require.LessOrEqual(t, d, maxBackoff)
		require.GreaterOrEqual(t, d, min(firstBackoff<<min(failures, 6), maxBackoff)/2)
	})
}
