package node

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/redteam"
)

// TestANodeWithstandsTheRedTeam with its own database, and remembers nothing of it.
func TestANodeWithstandsTheRedTeam(t *testing.T) {
	t.Parallel()
	dir, _ := enrolled(t, newCertifier(t))
	n, err := Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	batch := omop.Batch{Raw: [32]byte{1}, Mapper: "redteam/1", At: n.cfg.Now()}
	for i := range 420 {
		batch.Persons = append(batch.Persons, omop.Person{Key: omop.NewKey(fmt.Sprint("p", i)), Pointer: "entry", YearOfBirth: 1960})
	}
	require.NoError(t, n.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := n.people.Put(t.Context(), tx, batch)
		return err
	}))
	report, err := n.redTeam(t.Context())
	require.NoError(t, err)
	require.True(t, report.Withstood, "%+v", report.Findings)
	require.Len(t, report.Findings, len(redteam.Letters()))
	decided, err := n.gate.Summary(t.Context())
	require.NoError(t, err)
	require.Empty(t, decided, "no question was decided in the node's own memory")
}
