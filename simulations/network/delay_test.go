package network_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/simulations/network"
)

// far listens behind a relay and hands over the connections that arrive there.
func far(t *testing.T, roundTrip time.Duration) (near net.Conn, accepted net.Conn, d *network.Delay) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	d, err = network.NewDelay(listener.Addr().String(), roundTrip)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	near, err = net.Dial("tcp", d.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = near.Close() })
	accepted, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })
	return near, accepted, d
}

// TestDelayHoldsBytesForHalfARoundTrip: an echo takes a round trip at least, and one byte
// after the other does not take one each.
func TestDelayHoldsBytesForHalfARoundTrip(t *testing.T) {
	t.Parallel()
	const roundTrip = 40 * time.Millisecond
	near, accepted, d := far(t, roundTrip)
	go func() { _, _ = io.Copy(accepted, accepted) }()
	echo := func(n int) time.Duration {
		begun := time.Now()
		for range n {
			_, err := near.Write([]byte{1})
			require.NoError(t, err)
		}
		_, err := io.ReadFull(near, make([]byte, n))
		require.NoError(t, err)
		return time.Since(begun)
	}
	require.GreaterOrEqual(t, echo(1), roundTrip)
	d.Set(0)
	_ = echo(1)
	d.Set(time.Hour)
	d.Set(roundTrip)
	require.GreaterOrEqual(t, echo(500), roundTrip)
}

// TestDelayKeepsOrderAndEnds: all bytes arrive as they were sent, in both directions, and
// then the end of the stream, while the other direction goes on.
func TestDelayKeepsOrderAndEnds(t *testing.T) {
	t.Parallel()
	near, accepted, _ := far(t, 2*time.Millisecond)
	sent := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // any bytes
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+int(r.Uint32()%100_000))
			if _, err := near.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = near.(*net.TCPConn).CloseWrite()
	})
	got, err := io.ReadAll(accepted)
	require.NoError(t, err)
	writing.Wait()
	require.True(t, bytes.Equal(sent, got))
	_, err = accepted.Write(sent)
	require.NoError(t, err)
	require.NoError(t, accepted.Close())
	got, err = io.ReadAll(near)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, got))
}

// TestDelayHoldsUpWhoSendsTooMuch: nobody reads, so a sender is stopped by some megabytes,
// and goes on once somebody reads.
func TestDelayHoldsUpWhoSendsTooMuch(t *testing.T) {
	t.Parallel()
	near, accepted, _ := far(t, 0)
	const all = 64 << 20
	require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Second)))
	n, err := near.Write(make([]byte, all))
	require.Error(t, err, "the relay took everything")
	require.Less(t, n, all)
	require.NoError(t, near.SetWriteDeadline(time.Time{}))
	read, err := io.CopyN(io.Discard, accepted, int64(n))
	require.NoError(t, err)
	require.EqualValues(t, n, read)
}

// TestDelayBreaksWithEitherSide: a reset at one side ends the other, and Close ends both.
func TestDelayBreaksWithEitherSide(t *testing.T) {
	t.Parallel()
	near, accepted, _ := far(t, time.Millisecond)
	require.NoError(t, accepted.(*net.TCPConn).SetLinger(0))
	require.NoError(t, accepted.Close())
	_, err := near.Read(make([]byte, 1))
	require.Error(t, err)

	near, _, d := far(t, 0)
	d.Set(time.Hour)
	_, err = near.Write([]byte{1})
	require.NoError(t, err)
	require.NoError(t, d.Close(), "it does not wait for what is on its way")
	_, err = near.Read(make([]byte, 1))
	require.Error(t, err)
}
