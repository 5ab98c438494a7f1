package eventindex

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// copyFolder returns a copy of a folder of an index.
func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func TestWhatIsDamagedIsMadeAnew(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	put(t, db, s, adam())
	want := fresh(t, db, s)
	dir := t.TempDir()
	x := openIndex(t, dir, db, s)
	snapshotOf(t, x).Close()
	require.NoError(t, x.Close())
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		for at := 0; at < len(raw); at += 1 + len(raw)/24 {
			harmed := copyFolder(t, dir)
			raw[at] ^= 0x10
			require.NoError(t, os.WriteFile(filepath.Join(harmed, e.Name()), raw, 0o600))
			raw[at] ^= 0x10
			y := openIndex(t, harmed, db, s)
			snap := snapshotOf(t, y)
			if got, ok := tryContent(snap); ok { // what was harmed may be seen only when it is read
				require.Equal(t, want, got, "byte %d of %s", at, e.Name())
			} else {
				again := snapshotOf(t, y)
				require.NotSame(t, snap, again)
				require.Equal(t, want, contentOf(t, again))
				again.Close()
			}
			snap.Close()
			require.NoError(t, y.Close())
		}
	}
}

// tryContent reports whether all of a snapshot can be read.
func tryContent(s *Snapshot) (c content, ok bool) {
	var r recorder
	defer func() {
		if stopped := recover(); stopped != nil {
			if _, ours := stopped.(recorder); !ours {
				panic(stopped)
			}
			ok = false
		}
	}()
	return contentOf(r, s), true
}

// recorder stops at the first failure.
type recorder struct{}

func (recorder) Errorf(string, ...any) {}
func (r recorder) FailNow()            { panic(r) }

func TestTheIndexOfAnotherStoreIsNotUsed(t *testing.T) {
	t.Parallel()
	one, two := sqltest.SQLite(t), sqltest.SQLite(t)
	first, second := newStore(t, one), newStore(t, two)
	put(t, one, first, adam())
	dir := t.TempDir()
	x := openIndex(t, dir, one, first)
	snapshotOf(t, x).Close()
	require.NoError(t, x.Close())

	x = openIndex(t, dir, two, second)
	snap := snapshotOf(t, x)
	require.Empty(t, snap.People().ID)
	snap.Close()
	require.NoError(t, x.Close())
}

// TestAStoreThatWasPutBackIsSeen: another history has the same numbers of changes.
func TestAStoreThatWasPutBackIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db")
	open := func(path string) *sqldb.DB {
		db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
		require.NoError(t, err)
		return db
	}
	db := open(path)
	s := newStore(t, db)
	require.NoError(t, db.Backup(t.Context(), backup))
	put(t, db, s, adam())
	folder := t.TempDir()
	x := openIndex(t, folder, db, s)
	snapshotOf(t, x).Close()
	require.NoError(t, x.Close())
	require.NoError(t, db.Close())

	db = open(backup)
	defer db.Close()
	s = newStore(t, db)
	other := adam()
	other.Measurements = nil
	put(t, db, s, other)
	x = openIndex(t, folder, db, s)
	defer x.Close()
	snap := snapshotOf(t, x)
	defer snap.Close()
	require.Equal(t, fresh(t, db, s), contentOf(t, snap))
}

func TestAFullDiskRefusesQuestionsAndKeepsTheIndex(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	put(t, db, s, adam())
	x := openIndex(t, t.TempDir(), db, s)
	defer x.Close()
	held := snapshotOf(t, x)
	was := contentOf(t, held)
	more := adam()
	more.Raw, more.Position = [32]byte{2}, 2
	more.Measurements[0].Number = ptr(5.0)
	put(t, db, s, more)
	x.fault = func(string) error { return syscall.ENOSPC }
	_, err := x.Snapshot(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, sqldb.ErrFull)
	require.Equal(t, was, contentOf(t, held), "the state that is held stays usable")
	held.Close()
	x.fault = nil
	after := snapshotOf(t, x)
	defer after.Close()
	require.Equal(t, fresh(t, db, s), contentOf(t, after))
}
