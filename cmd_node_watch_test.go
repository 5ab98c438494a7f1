//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// droppedFiles writes files into a new folder.
func droppedFiles(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(`{"of":"`+name+`"}`), 0o600))
	}
	return dir
}

// tree returns the names of the files below a folder.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(dir, path)
			list = append(list, name)
		}
		return err
	}))
	return list
}

func TestWatchPutsFilesAway(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, map[string]any{"stored": 3})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("name"), "bad") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"type":"urn:trialmesh:problem:invalid","title":"the file is empty","status":422}`))
			return
		}
		n.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	n.place(t, server.URL)
	dir := droppedFiles(t, "b.json", "lab.v2.csv", ".hidden.json", "still.json.part", "other.TMP", "bad.json")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.Symlink(n.file, filepath.Join(dir, "link.json")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "loaded"), 0o700))
	for _, taken := range []string{"b.json", "lab.v2.csv", "lab.1.v2.csv"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "loaded", taken), []byte("of an earlier day"), 0o600))
	}
	out, err := execute(t, "node", "watch", dir, "--dir", n.dir, "--once", "--settle", "50ms", "--json")
	require.ErrorContains(t, err, "1 of 3 files were not loaded")
	require.Equal(t, exitError, statusOf(err))
	require.Equal(t, []string{
		".hidden.json", "failed/bad.json", "failed/bad.json.json", "link.json", "loaded/b.1.json", "loaded/b.json",
		"loaded/lab.1.v2.csv", "loaded/lab.2.v2.csv", "loaded/lab.v2.csv", "other.TMP", "still.json.part",
	}, tree(t, dir))
	require.ElementsMatch(t, []string{"b.json", "lab.v2.csv"}, n.names())

	why, err := os.ReadFile(filepath.Join(dir, "failed", "bad.json.json"))
	require.NoError(t, err)
	var e ending
	require.NoError(t, json.Unmarshal(why, &e))
	require.Equal(t, ending{File: "bad.json", Outcome: "failed", MovedTo: "failed/bad.json", State: "refused", Error: "the file is empty"}, e)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.Contains(t, []string{"b.json", "lab.v2.csv", "bad.json"}, e.File)
	}
	out, err = execute(t, "node", "watch", dir, "--dir", n.dir, "--once", "--settle", "1ms")
	require.NoError(t, err)
	require.Empty(t, out, "nothing is left")
}

func TestWatchTakesALoadOfNothingForFailed(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, map[string]any{"state": "completed with problems", "rejected": 1, "problems": []map[string]any{{"file": "a.json", "line": 3, "rule": "no-record"}}})
	dir := droppedFiles(t, "a.json")
	_, err := execute(t, "node", "watch", dir, "--dir", n.dir, "--once", "--settle", "1ms")
	require.Error(t, err)
	why, err := os.ReadFile(filepath.Join(dir, "failed", "a.json.json"))
	require.NoError(t, err)
	require.Contains(t, string(why), `"rule": "no-record"`)
}

func TestWatchLeavesWhatGrows(t *testing.T) {
	t.Parallel()
	dir := droppedFiles(t, "a.json")
	d, err := openDrop(t.TempDir(), dir, false, 5*time.Second)
	require.NoError(t, err)
	now := time.Now()
	look := func(after time.Duration) int {
		t.Helper()
		list, err := d.ready(now.Add(after))
		require.NoError(t, err)
		return len(list)
	}
	require.Zero(t, look(0))
	require.Zero(t, look(4*time.Second))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte("longer than it was before"), 0o600))
	require.Zero(t, look(6*time.Second), "its time begins anew")
	require.Zero(t, look(10*time.Second))
	require.Equal(t, 1, look(11*time.Second))
	require.Equal(t, 1, look(12*time.Second), "until it is put away")
}

func TestWatchRemembersWhatItKeeps(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	dir := droppedFiles(t, "a.json", "b.json")
	once := func() {
		t.Helper()
		_, err := execute(t, "node", "watch", dir, "--dir", n.dir, "--keep", "--once", "--settle", "1ms")
		require.NoError(t, err)
	}
	once()
	require.ElementsMatch(t, []string{"a.json", "b.json"}, n.names())
	once()
	require.Len(t, n.names(), 2, "both are known")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.json"), []byte("new"), 0o600))
	memory, err := filepath.Glob(filepath.Join(n.dir, "watch", "*", "kept.ndjson"))
	require.NoError(t, err)
	require.Len(t, memory, 1)
	f, err := os.OpenFile(memory[0], os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"name":"c.js`) // its writer was killed
	require.NoError(t, err)
	require.NoError(t, f.Close())
	once()
	require.Equal(t, "b.json", n.names()[2])
	once()
	require.Len(t, n.names(), 3)
	require.Equal(t, []string{"a.json", "b.json"}, tree(t, dir))
}

func TestWatchKnowsContentUnderAnotherName(t *testing.T) {
	t.Parallel()
	dir := droppedFiles(t, "a.json")
	k, err := openKept(filepath.Join(t.TempDir(), "kept"))
	require.NoError(t, err)
	defer k.close()
	path := filepath.Join(dir, "a.json")
	digest, err := digestOf(path)
	require.NoError(t, err)
	require.NoError(t, k.add(dropped{name: "first.json"}, &ending{digest: digest, Outcome: outcomeFailed}))
	known, err := k.has(path, dropped{name: "a.json"})
	require.NoError(t, err)
	require.False(t, known, "what failed is tried again")
	require.NoError(t, k.add(dropped{name: "first.json"}, &ending{digest: digest, Outcome: outcomeLoaded}))
	known, err = k.has(path, dropped{name: "a.json"})
	require.NoError(t, err)
	require.True(t, known)
}

// TestWatchOutlivesNodeAndItself: the node is away, comes, and the command is killed
// while a load goes on; no file is lost or put away early.
func TestWatchOutlivesNodeAndItself(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 1e6, nil) // its job does not end
	var away atomic.Bool
	away.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		n.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	n.place(t, server.URL)
	dir := droppedFiles(t, "a.json")
	start := func() *program {
		p := &program{dir: t.TempDir(), log: filepath.Join(t.TempDir(), "log"), args: []string{"node", "watch", dir, "--dir", n.dir, "--settle", "10ms", "--interval", "10ms"}}
		require.NoError(t, p.launch())
		t.Cleanup(func() { p.end(t) })
		return p
	}
	p := start()
	eventually(t, "it waits", func() bool { return strings.Contains(p.said(), "waiting for the node") })
	away.Store(false)
	eventually(t, "the file is sent", func() bool { return len(n.names()) == 1 && n.polls.Load() > 1 })
	p.kill()
	require.Equal(t, []string{"a.json"}, tree(t, dir), "not before its load is over")

	back := newStandIn(t, 0, nil) // the same node at another address, with room
	elsewhere := httptest.NewServer(back.handler)
	t.Cleanup(elsewhere.Close)
	n.place(t, elsewhere.URL)
	p = start()
	eventually(t, "the file is put away", func() bool { _, err := os.Stat(filepath.Join(dir, "loaded", "a.json")); return err == nil })
	c := call(t, "node", "watch", dir, "--dir", n.dir, "--once", "--settle", "1ms")
	require.Equal(t, exitError, c.status)
	require.Contains(t, c.stderr, "another process watches")
	p.stop(t)
	require.Equal(t, []string{"loaded/a.json"}, tree(t, dir))
}

func TestWatchIsCalledWrongly(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	for _, c := range []struct {
		args   []string
		status int
	}{
		{[]string{n.dir, "--interval", "0s"}, exitUsage},
		{[]string{n.dir, "--settle", "-1s"}, exitUsage},
		{nil, exitUsage},
		{[]string{n.file}, exitError},
		{[]string{filepath.Join(n.dir, "none")}, exitError},
	} {
		_, err := execute(t, append([]string{"node", "watch", "--dir", n.dir}, c.args...)...)
		require.Equal(t, c.status, statusOf(err), c.args)
	}
}
