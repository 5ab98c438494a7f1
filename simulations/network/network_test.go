package network_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
)

// TestNetworkOnPostgres asks nodes that are on PostgreSQL, each with a schema of its own, of
// which nothing is left after the end.
func TestNetworkOnPostgres(t *testing.T) {
	t.Parallel()
	server := sqltest.PostgresDSN(t)
	db := sqltest.Open(t, server)
	schemas := func() (n int) {
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'simulation_%'").Scan(&n)
		}))
		return n
	}
	n, err := network.Start(t.Context(), network.Config{
		Dir: t.TempDir(), Circuits: t.TempDir(), Database: server, Shape: peertest.Shape, Proofs: peertest.Proofs{},
	})
	require.NoError(t, err)
	require.Equal(t, 3, schemas())
	q, err := n.Ask(t.Context(), 0, query.Request{Cohort: network.Cohort(0), Analysis: network.Count})
	require.NoError(t, err)
	require.Len(t, q.Result.Answered, 3)
	require.NoError(t, n.Proved(t.Context(), 0, q.ID))
	require.NoError(t, n.Close())
	require.Zero(t, schemas())
}
