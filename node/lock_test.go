package node

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// TestADirectoryIsOneNode: a second one would take the hub's connection from the
// first and run its queue.
func TestADirectoryIsOneNode(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	peer, err := transport.PeerID(key.DID())
	require.NoError(t, err)
	hub, dir := newCertifier(t), filepath.Join(t.TempDir(), "node")
	_, err = Init(t.Context(), dir, hub.invite(t, "north", peer.String()))
	require.NoError(t, err)
	cfg := Config{Dir: dir, Circuits: t.TempDir()}
	first, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(dir, dataFile))
	require.NoError(t, err)

	other := cfg
	other.DSN = "sqlite:" + filepath.Join(t.TempDir(), "untouched.db")
	_, err = Open(t.Context(), other)
	require.ErrorContains(t, err, "another process holds the directory "+dir)
	require.NoFileExists(t, other.DSN[len("sqlite:"):])

	time.AfterFunc(100*time.Millisecond, func() { _ = first.Close() })
	successor, err := Open(t.Context(), cfg)
	require.NoError(t, err, "a successor waits for the one that ends")
	require.NoError(t, successor.Close())
}
