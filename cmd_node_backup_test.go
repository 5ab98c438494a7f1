package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/fsck"
	"github.com/trialmesh/trialmesh/node/fsck/fscktest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// newKeptNode makes the directory of a node, as far as checks and backups go, that has loaded
// a file, and returns the path of its raw copy.
func newKeptNode(t *testing.T) (dir, copied string) {
	t.Helper()
	dir = t.TempDir()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	for file, content := range map[string]string{
		nodeConfigFile: "listen: 127.0.0.1:0\n", "node.key": string(key.PEM()), "hub.json": `{"addresses":["/ip4/127.0.0.1/tcp/1"]}`,
		"consent.secret": strings.Repeat("s", 32),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "data.db")})
	require.NoError(t, err)
	s, err := fscktest.Open(t.Context(), db, dir)
	require.NoError(t, err)
	trail, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = consent.Open(t.Context(), consent.Config{DB: db, Key: key, Trail: trail, Secret: [32]byte{1}, Shape: circuits.Development, Window: time.Hour})
	require.NoError(t, err)
	_, err = columns.Open(t.Context(), columns.Config{DB: db, Key: key, Trail: trail, Secret: [32]byte{1}, Shape: circuits.Development})
	require.NoError(t, err)
	job := s.Accept(t, fscktest.Person("a", 3))[0]
	s.Done(t)
	j, err := s.Job(t.Context(), job)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return dir, filepath.Join(dir, "raw", raw.Path(j.File))
}

func TestFsckEndsWithStatus1OnFindings(t *testing.T) {
	t.Parallel()
	dir, copied := newKeptNode(t)
	text, err := execute(t, "node", "fsck", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^findings +0$`, text)
	require.Contains(t, text, "bytes a second")

	require.NoError(t, os.Remove(copied))
	text, err = execute(t, "node", "fsck", "--dir", dir)
	require.ErrorContains(t, err, "1 findings")
	require.Equal(t, exitError, statusOf(err))
	require.Regexp(t, `(?m)^ +raw-missing +raw [0-9a-f]{64} +2 +jobs 1$`, text)
	text, err = execute(t, "node", "fsck", "--dir", dir, "--json")
	require.Error(t, err)
	var r fsck.Report
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	require.Len(t, r.Findings, 1)
	require.Equal(t, 1, strings.Count(text, "\n"), "one line")
}

func TestARotatedKeyLosesNothing(t *testing.T) {
	t.Parallel()
	dir, copied := newKeptNode(t)
	_, err := execute(t, "node", "key", "rotate", "--dir", dir)
	require.NoError(t, err)
	for _, want := range []string{"1 raw copies encrypted anew, 0 had", "0 raw copies encrypted anew, 1 had"} {
		text, err := execute(t, "node", "key", "reencrypt", "--dir", dir)
		require.NoError(t, err)
		require.Contains(t, text, want)
		_, err = execute(t, "node", "fsck", "--dir", dir)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(copied, []byte("something else"), 0o600))
	_, err = execute(t, "node", "key", "reencrypt", "--dir", dir)
	require.ErrorContains(t, err, "1 raw copies cannot be read")

	lock, err := dirlock.Acquire(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Release() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, node.RotateRawKey(ctx, node.Config{Dir: dir}), "another process holds the directory")
}

func TestABackupIsForSomebody(t *testing.T) {
	t.Parallel()
	dir, copied := newKeptNode(t)
	file := filepath.Join(t.TempDir(), "node.age")
	for name, more := range map[string][]string{
		"no recipient": nil, "no key": {"--recipient", "me"}, "an empty file": {"--recipients-file", os.DevNull},
	} {
		_, err := execute(t, append([]string{"node", "backup", "--dir", dir, "--to", file}, more...)...)
		require.Equal(t, exitUsage, statusOf(err), name)
		require.NoFileExists(t, file, name)
	}
	require.NoError(t, os.Remove(copied))
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("# who\nage1w7vjv89j69nx2wd2swukrf9w9spdp0hdf09swh3utwnqqw7yjghqg8w8c7\n"), 0o600))
	text, err := execute(t, "node", "backup", "--dir", dir, "--to", file, "--recipients-file", keys, "--json")
	require.ErrorContains(t, err, "the backup is written, but 1 raw copies", "it is not whole")
	var out struct {
		File     string
		Manifest backup.Manifest
	}
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	require.Equal(t, file, out.File)
	require.EqualValues(t, 1, out.Manifest.Missing)
	require.FileExists(t, file)
}

func TestARestoredNodeKeepsToItsDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, database, bucket, want string }{
		"none before":            {"listen: a:1\n", "", "", "listen: a:1\n"},
		"another file":           {"listen: a:1\ndatabase: sqlite:/old.db\nmllp: b:2\n", "", "", "listen: a:1\nmllp: b:2\n"},
		"another server":         {"database: postgres:///old\nlisten: a:1", "postgres:///new", "", "listen: a:1\ndatabase: \"postgres:///new\"\n"},
		"no settings":            {"", "postgres:///new", "", "database: \"postgres:///new\"\n"},
		"another bucket":         {"raw: s3://old\nlisten: a:1\n", "", "s3://new", "listen: a:1\nraw: \"s3://new\"\n"},
		"another folder":         {"raw: /mnt/raw\n", "", "", ""},
		"written in another way": {"{listen: \"a:1\", database: \"postgres:///old\"}\n", "", "", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, nodeConfigFile)
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			err := setPlaces(newNodeRestore(), dir, c.database, c.bucket)
			if c.want == "refused" {
				require.ErrorContains(t, err, "names another database")
				return
			}
			require.NoError(t, err)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, c.want, string(text))
		})
	}
}

// TestOfflineCommandsKnowTheShape: a data set is committed to by shards of the network's size.
func TestOfflineCommandsKnowTheShape(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, nodeConfigFile), []byte("circuits-shape: 16x2x8\n"), 0o600))
	cmd := newNodeFsck()
	require.NoError(t, cmd.ParseFlags([]string{"--dir", dir}))
	cfg, err := nodeConfig(cmd)
	require.NoError(t, err)
	require.Equal(t, circuits.Shape{ShardSize: 16, Shards: 2, Slots: 8}, cfg.Shape)
}
