package backup_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/fsck"
	"github.com/trialmesh/trialmesh/node/fsck/fscktest"
)

// What makes this binary the child that is killed while it writes or restores.
const (
	childDir  = "TRIALMESH_TEST_BACKUP_DIR"  // of the site, whose database is data.db
	childFile = "TRIALMESH_TEST_BACKUP_FILE" // the archive
	childKey  = "TRIALMESH_TEST_BACKUP_KEY"  // of age
	childNew  = "TRIALMESH_TEST_BACKUP_NEW"  // where to restore to, if set
)

func TestMain(m *testing.M) {
	if os.Getenv(childFile) != "" {
		fmt.Fprintln(os.Stderr, child(context.Background()))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child writes or restores until it comes to the raw copies, says so, and waits.
func child(ctx context.Context) error {
	key, err := age.ParseX25519Identity(os.Getenv(childKey))
	if err != nil {
		return err
	}
	hang := func(p fsck.Progress) {
		if p.Doing == "raw copies" {
			fmt.Println("half-way")
			select {}
		}
	}
	if dir := os.Getenv(childNew); dir != "" {
		cfg := restoring(os.Getenv(childFile), []backup.Identity{key}, dir, "")
		cfg.Progress = hang
		_, _, err = backup.Restore(ctx, cfg)
		return err
	}
	dir := os.Getenv(childDir)
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "data.db")})
	if err != nil {
		return err
	}
	s, err := fscktest.Open(ctx, db, dir)
	if err != nil {
		return err
	}
	cfg := config(s, os.Getenv(childFile), []backup.Recipient{key.Recipient()})
	cfg.Progress = hang
	_, err = backup.Write(ctx, cfg)
	return err
}

// kill starts the child and kills it half-way.
func kill(t *testing.T, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "half-way\n", line)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestAKilledProcessLeavesNothingThatLooksWhole(t *testing.T) {
	t.Parallel()
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir := t.TempDir()
	s := newSite(t, sqltest.Open(t, "sqlite:"+filepath.Join(dir, "data.db")))
	// The database is where a node has it, in the folder of its files.
	entries, err := os.ReadDir(s.Dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "data.db-wal" {
			require.NoError(t, os.Rename(filepath.Join(s.Dir, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	s, err = fscktest.Open(t.Context(), s.DB, dir)
	require.NoError(t, err)
	s.Accept(t, fscktest.Person("a", 3), fscktest.Person("b", 3))
	s.Done(t)
	file := filepath.Join(t.TempDir(), "node.age")
	kill(t, childDir+"="+dir, childFile+"="+file, childKey+"="+key.String())
	require.NoFileExists(t, file)

	_, err = backup.Write(t.Context(), config(s, file, []backup.Recipient{key.Recipient()}))
	require.NoError(t, err, "the next one does not mind what is left")
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1)

	to := filepath.Join(t.TempDir(), "new")
	kill(t, childNew+"="+to, childFile+"="+file, childKey+"="+key.String())
	require.NoFileExists(t, filepath.Join(to, last))
	require.NoFileExists(t, filepath.Join(to, "data.db"))
	cfg := restoring(file, []backup.Identity{key}, to, "")
	_, _, err = backup.Restore(t.Context(), cfg)
	require.ErrorContains(t, err, "holds a restore that did not end: remove the directory")
	require.NoError(t, os.RemoveAll(to))
	_, report, err := backup.Restore(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, report.Findings)
}

func TestAnArchiveThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	s := newSite(t, sqltest.SQLite(t))
	s.Accept(t, fscktest.Person("a", 3))
	s.Done(t)
	file, _ := write(t, s, to)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	flip := func(at int) []byte {
		b := append([]byte(nil), whole...)
		b[at] ^= 4
		return b
	}
	cases := map[string][]byte{
		"nothing": {}, "no archive": []byte("PK\x03\x04 something else"), "cut at the start": whole[:50],
		"cut by a byte": whole[:len(whole)-1], "cut by a chunk": whole[:len(whole)-len(whole)%(64<<10)],
		"continued":           append(append([]byte(nil), whole...), whole...),
		"a bit in the header": flip(60), "a bit at the end": flip(len(whole) - 1),
		"a bit in the first chunk": flip(1000), "a bit in the middle": flip(len(whole) / 2),
	}
	for name, data := range cases {
		path, dir := filepath.Join(t.TempDir(), "x.age"), filepath.Join(t.TempDir(), "new")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, _, err := backup.Restore(t.Context(), restoring(path, of, dir, ""))
		if name == "a bit in the header" && !errors.Is(err, backup.ErrDamaged) { // of a recipient it may not be told from another one
			require.ErrorIs(t, err, backup.ErrKey)
		} else {
			require.ErrorIs(t, err, backup.ErrDamaged, name)
		}
		require.NoFileExists(t, filepath.Join(dir, last), name)
		require.NoDirExists(t, filepath.Join(dir, "restoring"), name)
	}

	_, other := keys(t)
	_, _, err = backup.Restore(t.Context(), restoring(file, other, t.TempDir(), ""))
	require.ErrorIs(t, err, backup.ErrKey)
	_, err = backup.ParseIdentities(strings.NewReader("age1not-a-secret-key\n"))
	require.ErrorContains(t, err, "age-keygen")
	require.NotContains(t, err.Error(), "not-a-secret")
	_, err = backup.ParseRecipients("AGE-SECRET-KEY-1QQQ")
	require.ErrorContains(t, err, "age1")
	require.NotContains(t, err.Error(), "1QQQ")
}

func TestNothingIsWrittenOver(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	s := newSite(t, sqltest.SQLite(t))
	file, _ := write(t, s, to)
	_, err := backup.Write(t.Context(), config(s, file, to))
	require.ErrorContains(t, err, "replaces nothing")
	_, err = backup.Write(t.Context(), config(s, filepath.Join(s.Dir, "node.age"), to))
	require.ErrorContains(t, err, "lies in the node's directory")
	_, err = backup.Write(t.Context(), config(s, filepath.Join(t.TempDir(), "x.age"), nil))
	require.ErrorContains(t, err, "needs a recipient")

	_, _, err = backup.Restore(t.Context(), restoring(file, of, s.Dir, ""))
	require.ErrorContains(t, err, "is not empty")
	_, _, err = backup.Restore(t.Context(), restoring(file, of, t.TempDir(), "postgres://db.example/x"))
	require.ErrorContains(t, err, "leave the database out")
}

func TestABackupOfPostgreSQLNeedsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	s := newSite(t, sqltest.Postgres(t))
	file, _ := write(t, s, to)
	_, _, err := backup.Restore(t.Context(), restoring(file, of, t.TempDir(), ""))
	require.ErrorContains(t, err, "name an empty one")
	used := sqltest.PostgresDSN(t)
	require.NoError(t, sqltest.Open(t, used).Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "CREATE TABLE theirs (x INTEGER)")
		return err
	}))
	_, _, err = backup.Restore(t.Context(), restoring(file, of, t.TempDir(), used))
	require.ErrorContains(t, err, "the database has tables")

	newer := restoring(file, of, t.TempDir(), sqltest.PostgresDSN(t))
	schema := newer.Schema
	newer.Schema = func(ctx context.Context, dir, dsn string) error {
		if err := schema(ctx, dir, dsn); err != nil {
			return err
		}
		return sqltest.Open(t, dsn).Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, "ALTER TABLE person ADD COLUMN later INTEGER")
			return err
		})
	}
	_, _, err = backup.Restore(t.Context(), newer)
	require.ErrorIs(t, err, backup.ErrVersion)
}

// TestWhatWasWrongStaysKnown: a damaged node can be backed up and restored, and both
// say what is wrong.
func TestWhatWasWrongStaysKnown(t *testing.T) {
	t.Parallel()
	to, of := keys(t)
	s := newSite(t, sqltest.SQLite(t))
	job := s.Accept(t, fscktest.Person("a", 3))[0]
	s.Accept(t, fscktest.Person("b", 3))
	s.Done(t)
	j, err := s.Job(t.Context(), job)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(s.Dir, "raw", raw.Path(j.File))))
	file, m := write(t, s, to)
	require.EqualValues(t, 1, m.Missing)
	require.EqualValues(t, 1, m.RawFiles)
	_, report, err := backup.Restore(t.Context(), restoring(file, of, filepath.Join(t.TempDir(), "new"), ""))
	require.NoError(t, err)
	require.Equal(t, []fsck.Finding{{Rule: fsck.RawMissing, Place: "raw " + j.File.String(), Count: 2, Jobs: []int64{int64(job)}}}, report.Findings)
}
