package hub

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// failing is a state machine that can store nothing.
type failing struct{ err error }

func (f failing) Apply(uint64, []byte) (any, error) { return nil, f.err }
func (failing) Snapshot() (io.ReadCloser, error)    { return nil, errors.New("nothing to show") }
func (failing) Restore(io.Reader) error             { return nil }

// TestHubStopsWithASentence: what the operator reads names the directory and
// what to do, and is one line.
func TestHubStopsWithASentence(t *testing.T) {
	t.Parallel()
	for cause, says := range map[error]string{
		sqldb.ErrFull:    "is full, so the hub stops rather than fork: free space and start it again",
		sqldb.ErrLocked:  "another program holds the database",
		sqldb.ErrDamaged: sqldb.ErrDamaged.Error(),
	} {
		key, err := identity.Generate(rand.Reader)
		require.NoError(t, err)
		h := &Hub{cfg: Config{Dir: t.TempDir()}.withDefaults(), key: key}
		require.NoError(t, h.stopped(), "before anything is open")
		h.replica, err = consensus.Open(t.Context(), consensus.Config{
			Dir: filepath.Join(h.cfg.Dir, raftDir), ID: key.DID(), FSM: failing{fmt.Errorf("write: %w", cause)}, Bootstrap: true,
		})
		require.NoError(t, err)
		_, err = h.replica.WaitLeader(t.Context())
		require.NoError(t, err)
		require.NoError(t, h.stopped(), "while all is well")

		ended := make(chan error, 1)
		go func() { ended <- h.watch(t.Context()) }()
		l := &log{replica: h.replica, now: time.Now, changed: func(registry.Body) {}}
		_, err = l.Propose(t.Context(), registry.InviteNode{Name: "a", Organization: "Hospital"})
		require.ErrorIs(t, err, consensus.ErrUncertain)
		err = <-ended
		require.ErrorContains(t, err, h.cfg.Dir)
		require.ErrorContains(t, err, "nothing acknowledged is lost")
		require.NotContains(t, err.Error(), "\n")
		require.ErrorContains(t, err, says)
		require.NoError(t, h.Close())
	}
}
