package sqldb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// writerDSN is the variable that turns this test binary into a process that
// writes until it is killed.
const writerDSN = "SQLDB_TEST_DSN"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(writerDSN); dsn != "" {
		fmt.Fprintln(os.Stderr, writeForever(dsn))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever commits pairs of rows and prints the number of each pair after its
// commit.
func writeForever(dsn string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	for {
		var pair int64
		if err := db.Write(ctx, func(tx *sqldb.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT coalesce(max(id), -1) + 1 FROM note").Scan(&pair); err != nil {
				return err
			}
			if err := insertNote(ctx, tx, pair); err != nil {
				return err
			}
			return insertNote(ctx, tx, pair+1)
		}); err != nil {
			return err
		}
		fmt.Println(pair)
	}
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dsn(t)
			db := migrated(t, sqltest.Open(t, dsn))
			for round := range 4 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), writerDSN+"="+dsn)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				lines, acknowledged := bufio.NewScanner(out), int64(-1)
				for range 5 + 7*round {
					require.True(t, lines.Scan(), "the writer writes")
				}
				require.NoError(t, cmd.Process.Kill())
				for ok := true; ok; ok = lines.Scan() { // also what was in the pipe
					_, err := fmt.Sscan(lines.Text(), &acknowledged)
					require.NoError(t, err)
				}
				_ = cmd.Wait()

				var rows, last int64
				require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
					return tx.QueryRow(t.Context(), "SELECT count(*), max(id) FROM note").Scan(&rows, &last)
				}))
				require.Zero(t, rows%2, "no half of a pair")
				require.GreaterOrEqual(t, last, acknowledged+1, "what was acknowledged is there")
				require.Equal(t, rows, last+1)
			}
		})
	}
}

func TestFullDiskIsAnErrorAndPasses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	ctx := t.Context()
	db := migrated(t, sqltest.Open(t, "sqlite:"+filepath.Join(dir, "test.db")))
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error { return insertNote(ctx, tx, 1) }))
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	big := func(tx *sqldb.Tx) error {
		for id := int64(2); id < 22; id++ {
			if _, err := tx.Exec(ctx, "INSERT INTO note (id, body) VALUES (?, ?)", id, strings.Repeat("x", 50_000)); err != nil {
				return err
			}
		}
		return nil
	}
	require.ErrorIs(t, db.Write(ctx, big), sqldb.ErrFull)
	require.EqualValues(t, 1, countNotes(t, db), "as it was")
	before, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.ErrorIs(t, db.Backup(ctx, filepath.Join(dir, "backup.db")), sqldb.ErrFull)
	after, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, after, len(before), "nothing is left of the backup")
	require.NoError(t, os.Remove(ballast))
	require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error { return insertNote(ctx, tx, 2) }), "goes on when there is room")
}
