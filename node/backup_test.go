package node

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// enrolled makes the directory of a node, whose hub nobody can reach later.
func enrolled(t *testing.T, hub *certifier) (dir string, did identity.DID) {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	peer, err := transport.PeerID(key.DID())
	require.NoError(t, err)
	dir = filepath.Join(t.TempDir(), "node")
	did, err = Init(t.Context(), dir, hub.invite(t, "north", peer.String()))
	require.NoError(t, err)
	return dir, did
}

// TestARestoredNodeIsHeld: what a node has forgotten must not be released or published
// as if it had never been.
func TestARestoredNodeIsHeld(t *testing.T) {
	t.Parallel()
	hub := newCertifier(t)
	t.Run("sqlite", func(t *testing.T) { restoreAndResume(t, hub, "", "") })
	t.Run("postgres", func(t *testing.T) { restoreAndResume(t, hub, sqltest.PostgresDSN(t), sqltest.PostgresDSN(t)) })
}

func restoreAndResume(t *testing.T, hub *certifier, from, to string) {
	t.Helper()
	dir, did := enrolled(t, hub)
	cfg := Config{Dir: dir, DSN: from, Circuits: t.TempDir()}
	n, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, n.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO peer_question (query, digest, ask, answer, step, secret) VALUES ('q', 'd', ?, ?, 1, ?)", []byte{1}, []byte{1}, []byte{1})
		return err
	}))
	require.False(t, n.held.Load())

	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "node.age")
	_, err = Backup(t.Context(), cfg, file, []backup.Recipient{key.Recipient()}, "test", nil)
	require.NoError(t, err, "while the node has its directory")
	report, err := Fsck(t.Context(), cfg, nil)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.NoError(t, n.Close())

	restored := Config{Dir: filepath.Join(t.TempDir(), "new"), DSN: to, Circuits: t.TempDir()}
	refused := errors.New("refused")
	_, _, err = Restore(t.Context(), restored, file, []backup.Identity{key}, func(_, _ string) error { return refused }, nil)
	require.ErrorIs(t, err, refused)
	require.NoFileExists(t, filepath.Join(restored.Dir, keyFile))
	if to != "" { // its tables are made by now
		restored.DSN = sqltest.PostgresDSN(t)
	}
	m, report, err := Restore(t.Context(), restored, file, []backup.Identity{key}, func(_, _ string) error { return nil }, nil)
	require.NoError(t, err)
	require.Empty(t, report.Findings)

	n, err = Open(t.Context(), restored)
	require.NoError(t, err)
	require.Equal(t, did, n.DID())
	require.True(t, n.held.Load())
	_, err = n.proving()
	require.ErrorIs(t, err, errHeld, "no question is answered")
	require.NoError(t, n.publish(t.Context()), "and no consent published")
	var questions int
	require.NoError(t, n.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM peer_question").Scan(&questions)
	}))
	require.Zero(t, questions, "no masked sum is done twice")
	require.NoError(t, n.Close())

	at, err := Held(restored.Dir)
	require.NoError(t, err)
	require.WithinDuration(t, m.At, at, 0)
	require.NoError(t, Resume(restored.Dir, time.Now()))
	require.ErrorIs(t, Resume(restored.Dir, time.Now()), ErrNotHeld)
	n, err = Open(t.Context(), restored)
	require.NoError(t, err)
	_, err = n.proving()
	require.ErrorIs(t, err, errJoining)
	require.NoError(t, n.Close())

	require.NoError(t, Hold(t.Context(), restored, m.At), "its database went back by other means")
	at, err = Held(restored.Dir)
	require.NoError(t, err)
	require.WithinDuration(t, m.At, at, 0)

	require.NoError(t, os.WriteFile(filepath.Join(restored.Dir, heldFile), []byte("{"), 0o600))
	_, err = Open(t.Context(), restored)
	require.ErrorContains(t, err, heldFile)
}

// TestFsckOfAnEarlierDatabase says what to do: a check changes nothing, so it does not migrate.
func TestFsckOfAnEarlierDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, rawKeyFile)))
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, dataFile)})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = Fsck(t.Context(), Config{Dir: dir}, nil)
	require.ErrorIs(t, err, sqldb.ErrSchema)
	require.ErrorContains(t, err, "run the node once")
}

func TestFsckMakesNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, rawKeyFile)))
	_, err := Fsck(t.Context(), Config{Dir: dir}, nil)
	require.ErrorContains(t, err, "the node has no database yet")
	require.NoFileExists(t, filepath.Join(dir, dataFile))
}
