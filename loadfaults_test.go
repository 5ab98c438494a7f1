//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	nodeclient "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// TestLoadFaults breaks nodes while they take and store files. Each test has a
// node of its own.
func TestLoadFaults(t *testing.T) { //nolint:paralleltest // as TestFaults
	m := newMesh(t)
	for name, test := range map[string]func(*testing.T, *mesh){
		"node killed while it loads":         killLoads,
		"full disk at a node":                fillNode,
		"database locked by another process": lockNode,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// bundles returns Synthea patients of a hospital, as files.
func bundles(t testing.TB, n int) []testdata.File {
	t.Helper()
	var list []testdata.File
	for f, err := range testdata.Hospitals()[0].Files(t.Context()) {
		require.NoError(t, err)
		if f.Infrastructure() {
			continue
		}
		if list = append(list, f); len(list) == n {
			break
		}
	}
	require.Len(t, list, n)
	return list
}

// load sends files until one is not taken and returns the jobs of the others.
func load(ctx context.Context, c *nodeclient.Client, files []testdata.File) (jobs []string, err error) {
	for _, f := range files {
		u, err := c.Upload(ctx, f.Name, bytes.NewReader(f.Data))
		if err != nil {
			return jobs, fmt.Errorf("%s: %w", f.Name, err)
		}
		jobs = append(jobs, u.Job)
	}
	return jobs, nil
}

// loaded sends files and waits until all of them are stored.
func loaded(t testing.TB, c *nodeclient.Client, files []testdata.File) (jobs []string) {
	t.Helper()
	jobs, err := load(t.Context(), c, files)
	require.NoError(t, err)
	for _, id := range jobs {
		job, err := c.Wait(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, "completed", job.State, "job %s", id)
	}
	return jobs
}

// killLoads kills a node again and again while it takes files and stores them.
func killLoads(t *testing.T, m *mesh) {
	files := bundles(t, 12)
	quiet, victim := m.newSite(t, "quiet", filepath.Join(m.dir, "quiet")), m.newSite(t, "victim", filepath.Join(m.dir, "victim"))
	quiet.start(t)
	loaded(t, quiet.client(t), files)
	wantRows, wantLineage := quiet.content(t)
	require.NotEmpty(t, wantLineage)
	quiet.stop(t)

	acknowledged := make([]string, 0, len(files)) // jobs
	for round := range 6 {
		victim.start(t)
		c := victim.client(t)
		for i, id := range acknowledged {
			_, err := c.Job(t.Context(), id)
			require.NoError(t, err, "job of %s was acknowledged and is lost", files[i].Name)
		}
		pause := mathrand.N(300 * time.Millisecond) //nolint:gosec // not a secret
		killed := make(chan struct{})
		time.AfterFunc(pause, func() {
			victim.kill()
			close(killed)
		})
		next := files[len(acknowledged):min(len(acknowledged)+4, len(files))]
		jobs, err := load(t.Context(), c, next)
		acknowledged = append(acknowledged, jobs...)
		<-killed
		t.Logf("round %d: killed after %s, %d files acknowledged, last error %v", round, pause.Round(time.Millisecond), len(acknowledged), err)
	}
	victim.start(t)
	jobs := loaded(t, victim.client(t), files)
	require.Equal(t, acknowledged, jobs[:len(acknowledged)], "what was acknowledged keeps its job")
	rows, lineage := victim.content(t)
	require.Equal(t, wantRows, rows)
	require.Equal(t, wantLineage, lineage)
	victim.stop(t)
}

// fillNode leaves a node no room while jobs wait.
func fillNode(t *testing.T, m *mesh) {
	dir := filepath.Join(m.dir, "cramped")
	if err := smallDisk(t, dir, "96m"); err != nil {
		t.Skip(err)
	}
	s := m.newSite(t, "cramped", dir)
	s.start(t)
	c := s.client(t)
	files := bundles(t, 44)
	var jobs []string
	var remove func()
	for left := int64(0); left < 10; { // of 14 files, unless the node has stored them before the disk is full
		n := len(jobs)
		more, err := load(t.Context(), c, files[n:n+14])
		require.NoError(t, err)
		jobs = append(jobs, more...)
		remove = ballast(t, dir, 1<<20) // less than their rows need
		status, err := c.Status(t.Context())
		require.NoError(t, err)
		if left = int64(len(jobs)) - status.Jobs["completed"]; left < 10 {
			remove()
		}
	}
	files = files[:len(jobs)+2]
	eventually(t, "the node does not say why nothing is stored", func() bool {
		raw, err := os.ReadFile(s.log)
		require.NoError(t, err)
		return bytes.Contains(raw, []byte("disk is full"))
	})
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	t.Logf("no room with jobs %v", status.Jobs)
	require.Less(t, status.Jobs["completed"], int64(len(jobs)))
	require.Zero(t, status.Jobs["failed"], "a job waits for room")

	removeMore := ballast(t, dir, 0)
	path := filepath.Join(t.TempDir(), "one.json")
	require.NoError(t, os.WriteFile(path, files[len(jobs)].Data, 0o600))
	cli := call(t, "node", "ingest", path, "--dir", dir)
	require.Equal(t, 1, cli.status)
	require.Contains(t, cli.stderr, "no room left")

	removeMore()
	remove()
	again := loaded(t, c, files)
	require.Equal(t, jobs, again[:len(jobs)], "what was acknowledged keeps its job")
	status, err = c.Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(files), status.Tables["person"])
	require.Zero(t, status.Jobs["failed"])
	s.stop(t)
}

// lockNode holds the write lock of a node's database longer than the node waits for it.
func lockNode(t *testing.T, m *mesh) {
	s := m.newSite(t, "shared", filepath.Join(m.dir, "shared"))
	s.start(t)
	c := s.client(t)
	files := bundles(t, 9)
	path := filepath.Join(t.TempDir(), "one.json")
	require.NoError(t, os.WriteFile(path, files[0].Data, 0o600))
	db := s.database(t)
	_, err := load(t.Context(), c, files[1:]) // there is work to do
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, db.Write(t.Context(), func(*sqldb.Tx) error {
		status, err := c.Status(t.Context()) // reading goes on
		require.NoError(t, err)
		require.Less(t, status.Jobs["completed"], int64(len(files)-1))
		cli := call(t, "node", "ingest", path, "--dir", s.dir)
		require.Equal(t, 1, cli.status)
		require.Contains(t, cli.stderr, "busy")
		return nil
	}))
	t.Logf("refused after %s", time.Since(begun).Round(time.Millisecond))
	loaded(t, c, files)
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(files), status.Tables["person"])
	s.stop(t)
}
