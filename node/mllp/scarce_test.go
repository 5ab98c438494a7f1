package mllp_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/node/mllp"
)

// scarce is a port of a process that once has no file descriptor left.
type scarce struct {
	net.Listener
	failed atomic.Bool
}

func (s *scarce) Accept() (net.Conn, error) {
	if !s.failed.Swap(true) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

// TestAMomentWithoutDescriptorsEndsNothing: the listener goes on when there are some.
func TestAMomentWithoutDescriptorsEndsNothing(t *testing.T) {
	t.Parallel()
	l, err := mllp.New(mllp.Config{Loads: &disk{}})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	require.NoError(t, l.Serve(ctx, &scarce{Listener: ln}))
}

// pipes is a port whose senders know what was read: a write ends when it was.
type pipes struct {
	senders chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.senders:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestSendersShareMemory: while four large messages are on their way there is no room for
// a fifth, which has to come again; small ones always have some.
func TestSendersShareMemory(t *testing.T) {
	t.Parallel()
	l, err := mllp.New(mllp.Config{Loads: &disk{}, MaxMessage: 1 << 20})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	port, done := &pipes{make(chan net.Conn), make(chan struct{})}, make(chan error, 1)
	go func() { done <- l.Serve(ctx, port) }()
	begin := func(size int) net.Conn {
		ours, theirs := net.Pipe()
		port.senders <- theirs
		message := append([]byte("\x0bMSH|^~\\&|A|B|C|D|20260101||ORU^R01|7|P|2.5\rOBX|1|TX|a||"), bytes.Repeat([]byte("x"), size)...)
		_, err := ours.Write(message)
		require.NoError(t, err)
		return ours
	}
	end := func(conn net.Conn) string {
		defer conn.Close()
		_, err := conn.Write([]byte("\r\x1c"))
		require.NoError(t, err)
		answer, err := hl7v2.NewFrameReader(conn, 0).Next()
		require.NoError(t, err)
		return strings.Split(strings.Split(string(answer), "\rMSA|")[1], "|")[0]
	}
	var large []net.Conn
	for range 4 {
		large = append(large, begin(1<<20-100))
	}
	require.Equal(t, "AR", end(begin(256<<10)))
	require.Equal(t, "AA", end(begin(8<<10)))
	for _, conn := range large {
		require.Equal(t, "AA", end(conn))
	}
	require.Equal(t, "AA", end(begin(256<<10)))
	cancel()
	require.NoError(t, <-done)
}
