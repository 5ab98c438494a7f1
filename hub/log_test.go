package hub

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// TestStateWithoutItsLog loses the replicated log and keeps the state. Going on
// would acknowledge commands and never apply them.
func TestStateWithoutItsLog(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	db, dir := sqltest.SQLite(t), filepath.Join(t.TempDir(), "raft")
	require.NoError(t, registry.Migrate(t.Context(), db))
	reader := registry.NewReader(db)
	open := func() *consensus.Replica {
		machine := registry.NewMachine(db, key.DID(), new(evidence.Proofs))
		replica, err := consensus.Open(t.Context(), consensus.Config{Dir: dir, ID: key.DID(), FSM: registry.NewFSM(machine, t.TempDir()), Bootstrap: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, replica.Close()) })
		_, err = replica.WaitLeader(t.Context())
		require.NoError(t, err)
		return replica
	}
	replica := open()
	require.NoError(t, sameLog(t.Context(), reader, replica))
	l := &log{replica: replica, now: time.Now, changed: func(registry.Body) {}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		_, err := l.Propose(t.Context(), registry.InviteNode{Name: name, Organization: "Hospital"})
		require.NoError(t, err)
	}
	require.NoError(t, replica.Close())

	again := open()
	require.NoError(t, sameLog(t.Context(), reader, again), "a restart finds both")
	require.NoError(t, again.Close())

	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, sameLog(t.Context(), reader, open()), errLogLost)
}
