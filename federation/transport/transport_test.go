package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const (
	patience = time.Minute // for conditions that normally hold within a second
	echo     = "/test/echo/1"
)

// enrolled is a set of peers that may change while hosts ask it.
type enrolled struct{ dids sync.Map }

func (e *enrolled) add(dids ...identity.DID) {
	for _, d := range dids {
		e.dids.Store(d, true)
	}
}

func (e *enrolled) remove(d identity.DID) { e.dids.Delete(d) }

func (e *enrolled) admit(d identity.DID) bool {
	_, ok := e.dids.Load(d)
	return ok
}

func newKey(t *testing.T) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

// logger prints to standard error when TRIALMESH_TEST_LOG is set.
func logger() *slog.Logger {
	if os.Getenv("TRIALMESH_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// run starts h and stops it when the test ends; stop does so earlier.
func run(t *testing.T, h *Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(patience):
				require.Fail(t, "Run did not return")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

var loopback = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}

func newHub(t *testing.T, e *enrolled, change func(*Config)) *Host {
	t.Helper()
	cfg := Config{Key: newKey(t), Listen: loopback, Admit: e.admit, Log: logger()}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newNode(t *testing.T, e *enrolled, hub []string, change func(*Config)) *Host {
	t.Helper()
	cfg := Config{Key: newKey(t), Hub: hub, Admit: e.admit, KeepAlive: time.Second, Log: logger()}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func serveEcho(h *Host) {
	h.HandleCall(echo, func(_ context.Context, from identity.DID, request []byte) ([]byte, error) {
		return []byte(string(from) + " " + string(request)), nil
	})
}

// testNet is a running hub with nodes that are connected to it.
type testNet struct {
	enrolled *enrolled
	hub      *Host
	nodes    []*Host
}

func newNetwork(t *testing.T, nodes int) *testNet {
	t.Helper()
	n := &testNet{enrolled: &enrolled{}}
	n.hub = newHub(t, n.enrolled, nil)
	serveEcho(n.hub)
	run(t, n.hub)
	for range nodes {
		node := newNode(t, n.enrolled, n.hub.Addrs(), nil)
		n.enrolled.add(node.DID())
		serveEcho(node)
		n.nodes = append(n.nodes, node)
		run(t, node)
	}
	for _, node := range n.nodes {
		awaitReserved(t, n.hub, node)
	}
	return n
}

// awaitReserved waits until node is connected to hub and holds a relay slot,
// which is when the hub can be called and others can reach the node.
func awaitReserved(t *testing.T, hub, node *Host) {
	t.Helper()
	require.Eventually(t, func() bool { return hub.Connected(node.DID()) && node.Connected(hub.DID()) }, patience, 10*time.Millisecond)
}

func eventuallyCall(t *testing.T, from, to *Host, request string) string {
	t.Helper()
	var answer []byte
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		answer, err = from.Call(ctx, to.DID(), echo, []byte(request))
		return err == nil
	}, patience, 20*time.Millisecond)
	return string(answer)
}

func TestPeerIDIsTheDID(t *testing.T) {
	t.Parallel()
	did := newKey(t).DID()
	id, err := PeerID(did)
	require.NoError(t, err)
	back, err := DIDOf(id)
	require.NoError(t, err)
	require.Equal(t, did, back)
	require.True(t, strings.HasPrefix(id.String(), "12D3KooW"), "an Ed25519 peer ID spells the key out")

	_, err = PeerID("did:key:zNotAKey")
	require.ErrorIs(t, err, identity.ErrDID)
	_, err = DIDOf("QmNotAnEd25519Key")
	require.Error(t, err)
}

func TestCallReachesEveryPair(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2)
	all := append([]*Host{n.hub}, n.nodes...)
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			require.Equal(t, string(from.DID())+" hello", eventuallyCall(t, from, to, "hello"))
		}
	}
	require.Len(t, n.hub.Connections(), 2)
	require.Equal(t, []identity.DID{n.hub.DID()}, n.nodes[0].Connections(), "nodes meet at the relay only")
	require.False(t, n.nodes[0].Connected(n.nodes[1].DID()))
}

func TestCallCarriesProblems(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	refusal := problem.Refusal("release.cell-threshold", "the cell is too small")
	n.nodes[0].HandleCall("/test/refuse/1", func(_ context.Context, _ identity.DID, request []byte) ([]byte, error) {
		if string(request) == "plainly" {
			return nil, errors.New("driver: row of patient 4711")
		}
		return nil, refusal
	})
	_, err := n.hub.Call(t.Context(), n.nodes[0].DID(), "/test/refuse/1", nil)
	require.ErrorIs(t, err, refusal)

	_, err = n.hub.Call(t.Context(), n.nodes[0].DID(), "/test/refuse/1", []byte("plainly"))
	var public *problem.Error
	require.ErrorAs(t, err, &public)
	require.Equal(t, problem.Internal, public.Kind)
	require.NotContains(t, err.Error(), "4711")
}

func TestCallEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	started, ended := make(chan struct{}, 2), make(chan error, 2)
	n.nodes[0].HandleCall("/test/wait/1", func(ctx context.Context, _ identity.DID, _ []byte) ([]byte, error) {
		started <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-started
			cancel()
		}()
		_, err := n.hub.Call(ctx, n.nodes[0].DID(), "/test/wait/1", nil)
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorIs(t, err, context.Canceled)
		require.Error(t, <-ended, "the handler's context ends too")
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := n.hub.Call(ctx, n.nodes[0].DID(), "/test/wait/1", nil)
		require.ErrorIs(t, err, ErrUnreachable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Error(t, <-ended)
	})
}

func TestCallUnreachable(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	absent := newKey(t).DID()
	stranger := newKey(t).DID()
	n.enrolled.add(absent)
	for _, from := range []*Host{n.hub, n.nodes[0]} {
		_, err := from.Call(t.Context(), absent, echo, nil)
		require.ErrorIs(t, err, ErrUnreachable, "enrolled but not there")
		_, err = from.Call(t.Context(), stranger, echo, nil)
		require.ErrorIs(t, err, ErrNotAdmitted)
		require.NotErrorIs(t, err, ErrUnreachable)
	}
	_, err := n.hub.Call(t.Context(), n.nodes[0].DID(), "/test/nobody-serves-this/1", nil)
	require.ErrorIs(t, err, ErrUnreachable)
}

func TestOpenStreams(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 2)
	for _, h := range append(n.nodes, n.hub) {
		h.Handle("/test/copy/1", func(_ context.Context, from identity.DID, s net.Conn) {
			_, _ = io.WriteString(s, string(from)+"\n")
			_, _ = io.Copy(s, s)
		})
	}
	eventuallyCall(t, n.nodes[0], n.nodes[1], "warm up")
	for _, to := range []*Host{n.hub, n.nodes[1]} {
		s, err := n.nodes[0].Open(t.Context(), to.DID(), "/test/copy/1")
		require.NoError(t, err)
		require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
		want := string(n.nodes[0].DID()) + "\nabc"
		_, err = io.WriteString(s, "abc")
		require.NoError(t, err)
		got := make([]byte, len(want))
		_, err = io.ReadFull(s, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, Addr{to.DID()}, s.RemoteAddr())
		require.NoError(t, s.Close())
	}
}
