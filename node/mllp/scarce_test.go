package mllp_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
