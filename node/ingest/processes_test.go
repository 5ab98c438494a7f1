package ingest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// TestTwoProcessesShareAQueue: both are sent the same files at the same time, over one
// PostgreSQL and one raw store. One is killed while it has a job, and comes back under its
// name. Everything is loaded once.
func TestTwoProcessesShareAQueue(t *testing.T) {
	t.Parallel()
	files := bundles(t, 6)
	undisturbed := newSite(t, sqltest.SQLite(t))
	undisturbed.run(t)
	for _, f := range files {
		undisturbed.load(t, f.Name, f.Data)
	}
	want := undisturbed.content(t)

	dsn, dir := sqltest.PostgresDSN(t), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "in"), 0o700))
	for _, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "in", f.Name), f.Data, 0o600))
	}
	s, err := openSite(t.Context(), sqltest.Open(t, dsn), dir, smallBatches)
	require.NoError(t, err)

	first, second := start(t, "first", dir, dsn), start(t, "second", dir, dsn)
	waitUntil(t, func() bool { return s.has(t, "second") || s.idle(t, len(files)) })
	require.NoError(t, second.cmd.Process.Kill())
	_ = second.cmd.Wait()
	left := s.has(t, "second")
	t.Logf("killed with a job: %t", left)
	second = start(t, "second", dir, dsn)
	for _, p := range []*process{first, second} {
		for range files {
			require.True(t, p.accepts.Scan(), "%s: %s", p.name, &p.stderr)
			answer := strings.Fields(p.accepts.Text())
			require.Len(t, answer, 3)
			p.jobs[answer[1]] = answer[2]
		}
	}
	require.Equal(t, first.jobs, second.jobs, "a file has one job, whoever is asked")
	waitUntil(t, func() bool { return s.idle(t, len(files)) })
	for _, p := range []*process{first, second} {
		require.NoError(t, p.stdin.Close())
		require.NoError(t, p.cmd.Wait(), &p.stderr)
	}

	list, err := s.Jobs(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, list, len(files))
	for _, j := range list {
		require.Equal(t, ingest.Completed, j.State, j.Error)
	}
	require.Equal(t, want, s.content(t))
}

// process is a child that accepts files and does jobs.
type process struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	accepts *bufio.Scanner
	stderr  strings.Builder
	jobs    map[string]string // by digest
}

func start(t *testing.T, name, dir, dsn string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.CommandContext(t.Context(), os.Args[0]), jobs: map[string]string{}} //nolint:gosec // this test
	p.cmd.Env = append(os.Environ(), childDir+"="+dir, childDSN+"="+dsn, childName+"="+name)
	p.cmd.Stderr = &p.stderr
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.accepts = bufio.NewScanner(out)
	require.True(t, p.accepts.Scan(), "it did not come up: %s", &p.stderr)
	return p
}

// has reports whether a job is marked as begun by a process of the name.
func (s *site) has(t *testing.T, name string) bool {
	return s.number(t, fmt.Sprintf("SELECT count(*) FROM river_job WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = '%s'", name)) > 0
}

// idle reports whether so many jobs have ended, and no other is there.
func (s *site) idle(t *testing.T, jobs int) bool {
	return s.number(t, "SELECT count(*) FROM ingest_job WHERE state = 'completed'") == jobs && s.number(t, "SELECT count(*) FROM river_job WHERE state <> 'completed'") == 0
}

func (s *site) number(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(t.Context(), query).Scan(&n) }))
	return n
}

// waitUntil waits as long as the test may take: what it asks disturbs nobody.
func waitUntil(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		}
	}
}
