//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
)

// TestReplicas runs a hub as three processes. Whichever of them is killed, nodes and
// researchers go on, and what was acknowledged is there.
func TestReplicas(t *testing.T) { //nolint:paralleltest // see TestFaults
	m := newGroup(t)
	for _, name := range []string{"east", "north", "south"} {
		m.sites = append(m.sites, m.newSite(t, name, filepath.Join(m.dir, name)))
	}
	m.fill(t)
	m.register(t, trialOfThree, m.sites)
	m.complete(t, m.answer(t, m.ask(t, trialOfThree, time.Minute), hubclient.WaitResult), 3)

	leader := m.leader(t)
	leader.kill()
	begun := time.Now()
	m.hub = m.replicas[(leaderOf(m, leader)+1)%3]
	q := m.answer(t, m.ask(t, trialOfThree, time.Minute), hubclient.WaitResult)
	t.Logf("answered %s after the leader was killed", time.Since(begun).Round(time.Millisecond))
	m.complete(t, q, 3)
}

func leaderOf(m *mesh, p *program) int {
	for i, r := range m.replicas {
		if r == p {
			return i
		}
	}
	return -1
}

// newGroup starts a hub of three replicas and no chain, as an operator does.
func newGroup(t testing.TB) *mesh {
	t.Helper()
	m := &mesh{dir: t.TempDir()}
	m.board, m.sponsor, m.researcher = newPerson(t, m.dir, "board"), newPerson(t, m.dir, "sponsor"), newPerson(t, m.dir, "researcher")
	var urls []string
	var listens [][]string
	places := func() []string {
		api, nodes, between := "127.0.0.1:"+freePort(t), "/ip4/127.0.0.1/tcp/"+freePort(t), "/ip4/127.0.0.1/tcp/"+freePort(t)
		urls = append(urls, "https://"+api)
		listens = append(listens, []string{"--listen", api, "--peer", nodes, "--between", between})
		return []string{"--host", "127.0.0.1", "--url", "https://" + api, "--node-address", nodes, "--replica-address", between}
	}
	kit := filepath.Join(m.dir, "hub.kit")
	first := append([]string{"hub", "init", "--dir", filepath.Join(m.dir, "hub-1"), "--name", "Group", "--origin", "group.test/log", "--kit", kit}, places()...)
	for _, name := range []string{"hub-2", "hub-3"} {
		line := must(t, append([]string{"hub", "replica", "--dir", filepath.Join(m.dir, name)}, places()...)...)
		file := filepath.Join(m.dir, name+".json")
		require.NoError(t, os.WriteFile(file, []byte(line), 0o600))
		first = append(first, "--replica", file)
	}
	must(t, first...)
	for _, name := range []string{"hub-2", "hub-3"} {
		must(t, "hub", "join", kit, "--dir", filepath.Join(m.dir, name))
	}
	for i, name := range []string{"hub-1", "hub-2", "hub-3"} {
		dir := filepath.Join(m.dir, name)
		p := &program{dir: dir, log: filepath.Join(m.dir, name+".log"), args: append([]string{"hub", "run", "--dir", dir, "--log-level", "debug"}, listens[i]...)}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s said at last:\n%s", name, p.said())
			}
			p.end(t)
		})
		m.replicas = append(m.replicas, p)
		require.NoError(t, p.launch())
	}
	for _, p := range m.replicas {
		p.await(t)
	}
	m.hub = m.replicas[0]
	m.url = strings.Join(urls, ",")
	m.connect(t)
	return m
}

// leader returns the replica that leads.
func (m *mesh) leader(t testing.TB) (leads *program) {
	t.Helper()
	for _, p := range m.replicas {
		raw, err := os.ReadFile(p.log)
		require.NoError(t, err)
		if text := string(raw); strings.LastIndex(text, "this replica leads\"") > strings.LastIndex(text, "leads no more") {
			leads = p
		}
	}
	require.NotNil(t, leads)
	return leads
}
