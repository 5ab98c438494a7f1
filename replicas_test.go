//go:build linux

package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub"
	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// TestReplicas runs a hub of three processes, made as an operator makes them, and kills one
// after the other. Nodes and researchers go on; what was acknowledged is there, once.
func TestReplicas(t *testing.T) { //nolint:paralleltest // see TestFaults
	m := newGroup(t)
	for _, name := range []string{"east", "north", "south"} {
		m.sites = append(m.sites, m.newSite(t, name, filepath.Join(m.dir, name)))
	}
	m.fill(t)
	m.register(t, trialOfThree, m.sites)
	before := m.ask(t, trialOfThree, time.Minute)
	m.complete(t, m.answer(t, before, hubclient.WaitResult), 3)
	m.cosigned(t, 3)

	// The leader dies within a question: the next one takes it from where it stands. Two
	// replicas are a quorum, of readers' checkpoints and of the contracts.
	within := m.ask(t, trialOfThree, 5*time.Minute)
	first := m.leader(t)
	old := filepath.Join(m.dir, "earlier")
	first.kill()
	require.NoError(t, exec.CommandContext(t.Context(), "cp", "-a", first.dir, old).Run())
	m.hub = m.replicas[(slices.Index(m.replicas, first)+1)%3]
	m.complete(t, m.answer(t, within, hubclient.WaitResult), 3)
	m.verified(t, within)
	require.NotSame(t, first, m.leader(t))

	// A replica whose disk is from an earlier day gets the rest from the others, and counts.
	after := m.ask(t, trialOfThree, time.Minute)
	m.complete(t, m.answer(t, after, hubclient.WaitResult), 3)
	require.NoError(t, os.RemoveAll(first.dir))
	require.NoError(t, os.Rename(old, first.dir))
	first.start(t)
	m.cosigned(t, 3)
	second := m.leader(t)
	second.kill()
	m.hub = first
	for _, id := range []query.ID{before, within, after} {
		m.complete(t, m.answer(t, id, hubclient.WaitResult), 3)
	}
	last := m.ask(t, trialOfThree, time.Minute)
	m.complete(t, m.answer(t, last, hubclient.WaitResult), 3)

	// One of three is no majority: it says so, and shows what it has.
	for _, p := range m.replicas {
		if p != first {
			p.kill()
		}
	}
	alone := m.question(t, trialOfThree)
	eventually(t, "no majority, and it does not say so", func() bool {
		_, err := m.api.Ask(t.Context(), alone, time.Minute) // the first may break with the leader that served it
		require.Error(t, err)
		return strings.Contains(err.Error(), "the hub elects a leader")
	})
	shown, err := m.api.Question(t.Context(), before.String(), "", 0)
	require.NoError(t, err)
	m.complete(t, shown, 3)
}

// newGroup starts a chain and a hub of three replicas, and no node.
func newGroup(t testing.TB) *mesh {
	t.Helper()
	m := &mesh{dir: t.TempDir()}
	m.board, m.sponsor, m.researcher = newPerson(t, m.dir, "board"), newPerson(t, m.dir, "sponsor"), newPerson(t, m.dir, "researcher")
	var err error
	m.chain, err = inprocess.Start(t.Context(), inprocess.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.chain.Close()) })
	m.link = newSwitchable(t, strings.TrimPrefix(m.chain.URL(), "http://"))

	var urls []string
	kit := filepath.Join(m.dir, "hub.kit")
	founding := []string{"hub", "init", "--name", "Group", "--origin", "group.test/log", "--kit", kit}
	for _, name := range []string{"hub-2", "hub-3", "hub-1"} {
		dir, log := filepath.Join(m.dir, name), filepath.Join(m.dir, name+".log")
		api, nodes, others := "127.0.0.1:"+freePort(t), "/ip4/127.0.0.1/tcp/"+freePort(t), "/ip4/127.0.0.1/tcp/"+freePort(t)
		urls = append(urls, "https://"+api)
		m.replicas = append(m.replicas, &program{dir: dir, log: log, args: []string{
			"hub", "run", "--dir", dir, "--listen", api, "--peer", nodes, "--between", others, "--chain", "http://" + m.link.address, "--anchor-every", "200ms",
		}})
		place := []string{"--dir", dir, "--host", "127.0.0.1", "--url", "https://" + api, "--node-address", nodes, "--replica-address", others}
		if name == "hub-1" {
			must(t, append(founding, place...)...)
			break
		}
		line := filepath.Join(m.dir, name+".json")
		require.NoError(t, os.WriteFile(line, []byte(must(t, append([]string{"hub", "replica"}, place...)...)), 0o600))
		founding = append(founding, "--replica", line)
	}
	for _, p := range m.replicas[:2] {
		must(t, "hub", "join", kit, "--dir", p.dir)
	}
	for _, p := range m.replicas {
		text, err := hub.ChainAccount(p.dir)
		require.NoError(t, err)
		var account evm.Address
		require.NoError(t, account.UnmarshalText([]byte(text)))
		require.NoError(t, m.chain.Fund(t.Context(), account))
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s said at last:\n%s", p.dir, p.said())
			}
			p.end(t)
		})
		require.NoError(t, p.launch())
	}
	for _, p := range m.replicas {
		p.await(t)
	}
	m.hub, m.url = m.replicas[0], strings.Join(urls, ",")
	m.connect(t)
	return m
}

// leader returns the replica that leads, by what they say since they started.
func (m *mesh) leader(t testing.TB) (leads *program) {
	t.Helper()
	eventually(t, "no replica leads", func() bool {
		for _, p := range m.replicas {
			raw, err := os.ReadFile(p.log)
			require.NoError(t, err)
			said := string(raw)
			since := max(strings.LastIndex(said, "waiting for a majority"), strings.LastIndex(said, "leads no more"))
			if p.running() && strings.LastIndex(said, `"this replica leads"`) > since {
				leads = p
			}
		}
		return leads != nil
	})
	return leads
}

// cosigned waits for a checkpoint that as many replicas have countersigned.
func (m *mesh) cosigned(t testing.TB, replicas int) {
	t.Helper()
	told, err := m.api.Trust(t.Context())
	require.NoError(t, err)
	policy, err := cosign.ParsePolicy([]byte(must(t, "hub", "policy", "--dir", m.hub.dir)))
	require.NoError(t, err)
	nodes, err := m.api.Nodes(t.Context())
	require.NoError(t, err)
	var keys []string
	for _, party := range policy.Parties {
		if !slices.ContainsFunc(nodes, func(n hubclient.Node) bool { return string(n.DID) == party.KeyName() }) {
			keys = append(keys, party.Key)
		}
	}
	require.Len(t, keys, len(m.replicas))
	trust := cosign.Trust{Origin: told.Origin, Keys: []string{told.LogKey}, Policy: cosign.Threshold(replicas, keys...)}
	eventually(t, "too few replicas countersign", func() bool {
		resp, err := m.api.HTTP().Get(m.api.Origin() + "/checkpoint")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		note, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		_, err = trust.Open(note)
		return resp.StatusCode == http.StatusOK && err == nil
	})
}
