package hub

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/publication"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
)

// TestLedgerIsCheckedAtStart: a hub whose disk lost a bit of the ledger, or the end of
// it, signs nothing more.
func TestLedgerIsCheckedAtStart(t *testing.T) {
	t.Parallel()
	cfg := Config{
		Dir: filepath.Join(t.TempDir(), "hub"), Origin: "hub.example.org/log", Hosts: []string{"127.0.0.1"},
		Circuits: t.TempDir(), Shape: peertest.Shape, Proofs: peertest.Proofs{},
	}
	require.NoError(t, Init(cfg.Dir, "Test"))
	start := func() error {
		h, err := Open(t.Context(), cfg)
		if err != nil {
			return err
		}
		return h.Close()
	}
	require.NoError(t, start())
	require.NoError(t, start())

	flip := func() {
		db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(cfg.Dir, stateFile)})
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			var hashes []byte
			if err := tx.QueryRow(t.Context(), `SELECT hashes FROM ledger_tile WHERE level = 0 AND n = 0`).Scan(&hashes); err != nil {
				return err
			}
			hashes[7] ^= 1
			_, err := tx.Exec(t.Context(), `UPDATE ledger_tile SET hashes = ? WHERE level = 0 AND n = 0`, hashes)
			return err
		}))
		require.NoError(t, db.Close())
	}
	flip()
	err := start()
	require.ErrorIs(t, err, ledger.ErrDamaged)
	require.ErrorContains(t, err, "tile/0/000.p/")
	require.ErrorContains(t, err, "entry 0, bytes 0 to 31")
	flip()
	require.NoError(t, start())

	// What the hub signed last is more than it has.
	key, err := readKey(filepath.Join(cfg.Dir, logKeyFile))
	require.NoError(t, err)
	signer, err := cosign.NewSigner(cfg.Origin, key.Private())
	require.NoError(t, err)
	signed, err := cosign.Checkpoint{Origin: cfg.Origin, Size: 1000}.Sign(signer)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, ledgerDir, "cosigned"), signed, 0o600))
	require.ErrorIs(t, start(), publication.ErrRolledBack)
}
