package sqldb_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestBackup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := migrated(t, sqltest.SQLite(t))
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Insert(ctx, "note", []string{"id", "body", "day"}, notes(0, 1000))
		return err
	}))
	path := filepath.Join(t.TempDir(), "it's a copy?.db")
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		require.NoError(t, insertNote(ctx, tx, 5000))
		return db.Backup(ctx, path) // while a write is going on
	}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.EqualValues(t, 1000, countNotes(t, sqltest.Open(t, "sqlite:"+path)), "without the uncommitted row")

	require.ErrorIs(t, db.Backup(ctx, path), os.ErrExist)
	missing := filepath.Join(t.TempDir(), "no", "such", "folder.db")
	require.Error(t, db.Backup(ctx, missing))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	other := filepath.Join(t.TempDir(), "c.db")
	require.Error(t, db.Backup(canceled, other))
	entries, err := os.ReadDir(filepath.Dir(other))
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left of a backup that failed")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	t.Run("creates a private file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(dir, "odd name #%?.db")
		migrated(t, sqltest.Open(t, "sqlite:"+path))
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
		}
	})
	t.Run("not a database", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(dir, "text.db")
		require.NoError(t, os.WriteFile(path, []byte(fmt.Sprintf("%4096s", "this is not a database")), 0o600))
		_, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + path})
		require.ErrorIs(t, err, sqldb.ErrDamaged)
	})
	t.Run("no folder", func(t *testing.T) {
		t.Parallel()
		_, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "missing", "x.db")})
		require.ErrorIs(t, err, sqldb.ErrUnavailable)
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		_, err := sqldb.Open(ctx, sqldb.Config{DSN: "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable"})
		require.ErrorIs(t, err, sqldb.ErrUnavailable)
		require.NotContains(t, err.Error(), "hunter2")
	})
	for name, cfg := range map[string]sqldb.Config{
		"no address":        {},
		"another engine":    {DSN: "mysql://u:hunter2@h/x"},
		"malformed address": {DSN: "postgres://u:hunter2@h:port/x"},
		"no path":           {DSN: "sqlite:"},
		"too many readers":  {DSN: "sqlite:" + filepath.Join(dir, "r.db"), Readers: 65},
		"too long a wait":   {DSN: "sqlite:" + filepath.Join(dir, "r.db"), LockWait: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sqldb.Open(ctx, cfg)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
