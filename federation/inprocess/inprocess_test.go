package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const add = "/test/add/1"

// pair joins "a" and "b"; b counts how often its handler ran.
func pair(t interface {
	require.TestingT
	Cleanup(func())
},
) (n *Network, a, b *Endpoint, ran *atomic.Int64) {
	n, ran = New(), &atomic.Int64{}
	a, b = n.Join("a"), n.Join("b")
	b.HandleCall(add, func(_ context.Context, from identity.DID, request []byte) ([]byte, error) {
		ran.Add(1)
		return fmt.Appendf(nil, "%s %s", from, request), nil
	})
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	return n, a, b, ran
}

func TestCall(t *testing.T) {
	t.Parallel()
	_, a, b, _ := pair(t)
	answer, err := a.Call(t.Context(), "b", add, []byte("1"))
	require.NoError(t, err)
	require.Equal(t, "a 1", string(answer))

	_, err = a.Call(t.Context(), "c", add, nil)
	require.ErrorIs(t, err, transport.ErrUnreachable)
	_, err = a.Call(t.Context(), "b", "/test/unknown/1", nil)
	require.ErrorIs(t, err, transport.ErrUnreachable)
	_, err = a.Call(t.Context(), "b", add, make([]byte, MessageBytes+1))
	require.ErrorIs(t, err, transport.ErrTooLarge)

	withheld := problem.New(problem.Withheld, "below the minimum cell size")
	b.HandleCall("/test/fail/1", func(_ context.Context, _ identity.DID, request []byte) ([]byte, error) {
		if len(request) > 0 {
			return nil, errors.New("row of patient 4711")
		}
		return nil, fmt.Errorf("cohort c-17: %w", withheld)
	})
	_, err = a.Call(t.Context(), "b", "/test/fail/1", nil)
	require.ErrorIs(t, err, withheld)
	require.NotContains(t, err.Error(), "c-17", "only what is public crosses")
	_, err = a.Call(t.Context(), "b", "/test/fail/1", []byte{1})
	require.NotContains(t, err.Error(), "4711")
}

func TestCallFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault Fault
		fails bool
		ran   int64
	}{
		{"none", Fault{}, false, 1},
		{"request lost", Fault{LoseRequest: true}, true, 0},
		{"response lost", Fault{LoseResponse: true}, true, 1},
		{"repeated", Fault{Repeat: true}, false, 2},
		{"repeated and response lost", Fault{Repeat: true, LoseResponse: true}, true, 2},
		{"delayed past the deadline", Fault{Delay: time.Hour}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, a, _, ran := pair(t)
			n.Inject(func(m Message) Fault {
				require.Equal(t, Message{From: "a", To: "b", Protocol: add, Number: 1}, m)
				return c.fault
			})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if c.fault.Delay == 0 {
				ctx = t.Context()
			}
			defer cancel()
			_, err := a.Call(ctx, "b", add, nil)
			if c.fails {
				require.ErrorIs(t, err, transport.ErrUnreachable)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.ran, ran.Load())
		})
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	n, a, b, ran := pair(t)
	b.Handle("/test/hold/1", func(_ context.Context, _ identity.DID, s net.Conn) {
		_, _ = io.Copy(io.Discard, s)
	})
	s, err := a.Open(t.Context(), "b", "/test/hold/1")
	require.NoError(t, err)
	_, err = s.Write([]byte("whole"))
	require.NoError(t, err)

	n.Partition([]identity.DID{"a"})
	_, err = s.Write([]byte("split"))
	require.Error(t, err, "open streams break")
	_, err = a.Open(t.Context(), "b", "/test/hold/1")
	require.ErrorIs(t, err, transport.ErrUnreachable)
	_, err = a.Call(t.Context(), "b", add, nil)
	require.ErrorIs(t, err, transport.ErrUnreachable)
	require.Zero(t, ran.Load())

	n.Heal()
	_, err = a.Call(t.Context(), "b", add, nil)
	require.NoError(t, err)
}

func TestPartitionDuringCallLosesTheResponse(t *testing.T) {
	t.Parallel()
	n, a, b, _ := pair(t)
	b.HandleCall("/test/split/1", func(context.Context, identity.DID, []byte) ([]byte, error) {
		n.Partition([]identity.DID{"a"})
		return []byte("done"), nil
	})
	_, err := a.Call(t.Context(), "b", "/test/split/1", nil)
	require.ErrorIs(t, err, transport.ErrUnreachable)
}

func TestCloseEndsHandlersAndAllowsRejoin(t *testing.T) {
	t.Parallel()
	n, a, b, _ := pair(t)
	started := make(chan struct{})
	b.HandleCall("/test/wait/1", func(ctx context.Context, _ identity.DID, _ []byte) ([]byte, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-started
		_ = b.Close()
	}()
	_, err := a.Call(t.Context(), "b", "/test/wait/1", nil)
	require.ErrorIs(t, err, transport.ErrUnreachable)
	<-closed

	again := n.Join("b")
	defer func() { require.NoError(t, again.Close()) }()
	again.HandleCall(add, func(context.Context, identity.DID, []byte) ([]byte, error) { return []byte("again"), nil })
	answer, err := a.Call(t.Context(), "b", add, nil)
	require.NoError(t, err)
	require.Equal(t, "again", string(answer))
	_, err = b.Call(t.Context(), "a", add, nil)
	require.ErrorIs(t, err, transport.ErrUnreachable, "the closed endpoint stays closed")
}

// Whatever befalls a call, a caller that saw an answer can rely on the handler
// having run at least once, and a request that was not repeated runs at most once.
func TestRandomFaultsKeepTheContract(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n, a, _, ran := pair(rt)
		judge := Random(rapid.Uint64().Draw(rt, "seed"), rapid.Float64Range(0, 1).Draw(rt, "p"), 0)
		for range 20 {
			var f Fault
			n.Inject(func(m Message) Fault {
				f = judge(m)
				return f
			})
			before := ran.Load()
			_, err := a.Call(context.Background(), "b", add, nil)
			times := ran.Load() - before
			if err == nil && times == 0 {
				rt.Fatal("an answer from a handler that did not run")
			}
			if !f.Repeat && times > 1 {
				rt.Fatal("ran twice without a repeat")
			}
			if f.LoseRequest && times != 0 {
				rt.Fatal("a lost request arrived")
			}
		}
	})
}

func TestRandomIsRepeatable(t *testing.T) {
	t.Parallel()
	one, two := Random(7, 0.3, time.Second), Random(7, 0.3, time.Second)
	for range 100 {
		require.Equal(t, one(Message{}), two(Message{}))
	}
}
