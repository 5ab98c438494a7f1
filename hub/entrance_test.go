package hub

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSoManyConnectionsArePassedOn: one more is closed before a stream to the leader is opened
// for it, which would be one less for what the replicas agree on.
func TestSoManyConnectionsArePassedOn(t *testing.T) {
	t.Parallel()
	e := newEntrance(&Hub{}, nil)
	for range maxPassed {
		e.room <- struct{}{}
	}
	client, conn := net.Pipe()
	require.True(t, e.pass(conn, newDID(t)))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, e.room, maxPassed, "those that are passed on keep their places")
}
