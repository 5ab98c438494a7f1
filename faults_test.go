//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// TestFaults breaks a network of real processes in every way that the project
// promises to survive. The tests share the network and run one after the other,
// so each also shows that the one before left nothing behind. They are not run
// beside other tests: six processes with provers want a machine of their own.
func TestFaults(t *testing.T) { //nolint:paralleltest // see above
	begun := time.Now()
	m := newMesh(t)
	m.join(t)
	t.Logf("network of a hub and four nodes up in %s", time.Since(begun).Round(time.Millisecond))
	for _, test := range []struct {
		name string
		run  func(*testing.T, *mesh)
	}{
		{"nothing is wrong", undisturbed},
		{"forged and altered messages", refuseForgeries},
		{"hub killed during questions", killHub},
		{"node killed between the steps of a sum", killNodeInSum},
		{"three nodes cannot spare one", killOneOfThree},
		{"hub down while nodes start", startWithoutHub},
		{"node killed many times", killNodeOften},
		{"node away while a question has days", awayForDays},
		{"node's directory of an earlier day", bringBackNode},
		{"chain out of reach", cutChain},
		{"full disk at the hub", fillHub},
	} {
		t.Run(test.name, func(t *testing.T) {
			m.heal(t)
			test.run(t, m)
		})
	}
	if t.Failed() {
		t.Logf("the hub said at last:\n%s", m.hub.said())
		for _, s := range m.sites {
			t.Logf("%s said at last:\n%s", s.dir, s.said())
		}
	}
}

func undisturbed(t *testing.T, m *mesh) {
	begun := time.Now()
	id := m.ask(t, trialOfFour, time.Minute)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	answered := time.Since(begun)
	m.verified(t, id)
	t.Logf("answered in %s, proved and on the chain in %s; peak memory of the hub %s, of a node %s",
		answered.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond), m.hub.peak(), m.sites[0].peak())
}

// refuseForgeries sends what no researcher signed, in ways a thief of the token could.
func refuseForgeries(t *testing.T, m *mesh) {
	good := m.question(t, trialOfFour)
	altered := good
	altered.Body = bytes.Replace(good.Body, []byte("a test of faults"), []byte("a test of thefts"), 1)
	foreign := good
	foreign.Issuer = m.sponsor.key.DID()
	stolen, err := message.Seal(m.sponsor.key, query.KindRequest, good.Body, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	renamed := stolen
	renamed.Issuer = good.Issuer
	expired, err := message.Seal(m.researcher.key, query.KindRequest, good.Body, time.Now().Add(-2*time.Hour), time.Hour, rand.Reader)
	require.NoError(t, err)
	early, err := message.Seal(m.researcher.key, query.KindRequest, good.Body, time.Now().Add(time.Hour), time.Hour, rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		envelope message.Envelope
		want     error
	}{
		"altered body":           {altered, message.ErrSignature},
		"signed by someone else": {renamed, message.ErrSignature},
		"expired":                {expired, message.ErrExpired},
		"from the future":        {early, message.ErrEarly},
	} {
		_, err := m.api.Ask(t.Context(), c.envelope, time.Minute)
		require.ErrorIs(t, err, c.want, name)
	}
	for name, envelope := range map[string]message.Envelope{"issuer changed": foreign, "another's question": stolen} {
		_, err := m.api.Ask(t.Context(), envelope, time.Minute)
		var refused *problem.Error
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, problem.Forbidden, refused.Kind, name)
	}

	// On the command line: status 1, and the rule's name on standard error.
	design := filepath.Join(m.dir, string(trialOfFour))
	raw, err := os.ReadFile(design + ".signed")
	require.NoError(t, err)
	forged := filepath.Join(t.TempDir(), "forged")
	require.NoError(t, os.WriteFile(forged, bytes.Replace(raw, []byte("A trial of faults"), []byte("A trial of thefts"), 1), 0o600))
	c := call(t, "trial", "register", forged, design+".approval", "--hub", m.url, "--root", m.root(), "--token-file", design+".token")
	require.Equal(t, 1, c.status)
	require.Contains(t, c.stderr, message.ErrSignature.Rule)

	asking := filepath.Join(t.TempDir(), "question.json")
	require.NoError(t, os.WriteFile(asking, good.Body, 0o600))
	c = call(t, "query", "submit", asking, "--key", m.sponsor.file, "--hub", m.url, "--root", m.root(), "--token-file", design+".token")
	require.Equal(t, 1, c.status)
	require.Contains(t, c.stderr, "role")

	// The good one, brought twice, is one question.
	id, err := m.api.Ask(t.Context(), good, time.Minute)
	require.NoError(t, err)
	again, err := m.api.Ask(t.Context(), good, time.Minute)
	require.NoError(t, err)
	require.Equal(t, id, again)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
}

// killHub kills the hub at random points of a question's life, from the moment
// it is acknowledged until its proofs are on the chain.
func killHub(t *testing.T, m *mesh) {
	for round, longest := range []int64{20, 200, 1500} { // milliseconds
		id := m.ask(t, trialOfFour, 5*time.Minute) // nodes come back within 4 s of the hub
		pause := time.Duration(mathrand.N(longest)) * time.Millisecond
		time.Sleep(pause) // the point of the crash
		m.hub.kill()
		begun := time.Now()
		m.hub.start(t)
		up := time.Since(begun)
		q := m.answer(t, id, hubclient.WaitResult)
		t.Logf("round %d: killed %s after the question, up again in %s, %s after %s", round, pause.Round(time.Millisecond),
			up.Round(time.Millisecond), q.Result.State, time.Since(begun).Round(time.Millisecond))
		require.Contains(t, []query.State{query.Complete, query.Partial}, q.Result.State)
		require.EqualValues(t, len(q.Result.Answered)*patientsPerSite, q.Result.Cells[0].N)
		m.verified(t, id)
	}
}

// steps are the first steps of a sum, as a node counts those it took.
var steps = []query.Step{query.StepAsk, query.StepMask}

// taken returns the last of the steps that a node has taken of a question, -1 before the first.
func taken(t testing.TB, db *sqldb.DB, id query.ID) (step int) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT coalesce(max(step), -1) FROM peer_question WHERE query = ?`, id.String()).Scan(&step)
	}))
	return step
}

// askUntil asks until a node has taken a step of the question, and noted so. It
// asks again when the others have gone on without the node, which may have come
// back only just before.
func (m *mesh) askUntil(t testing.TB, id trial.ID, deadline time.Duration, s *site, step int) query.ID {
	t.Helper()
	db := s.database(t)
	for range 10 {
		asked := m.ask(t, id, deadline)
		at := -1
		eventually(t, fmt.Sprintf("%s: step %s or an answer", s.dir, steps[step]), func() bool {
			q, err := m.api.Question(t.Context(), asked.String(), "", 0)
			require.NoError(t, err)
			at = taken(t, db, asked)
			return at >= step || q.Result != nil
		})
		if at >= step {
			return asked
		}
	}
	require.Fail(t, "the node takes part in no question", s.said())
	return query.ID{}
}

// killNodeInSum kills one of four nodes as soon as it has taken a step. Three
// are enough, so there is an answer that says who is missing, or holds the
// node's numbers if they were in before.
func killNodeInSum(t *testing.T, m *mesh) {
	victim := m.sites[3]
	for step := range steps {
		of := trialOfLosses
		if steps[step] == query.StepMask {
			of = trialOfFour // its numbers are in, or nearly
		}
		id := m.askUntil(t, of, 8*time.Second, victim, step)
		victim.kill()
		q := m.answer(t, id, hubclient.WaitResult)
		t.Logf("killed after step %s: %s, missing %v", steps[step], q.Result.State, q.Result.Missing)
		switch q.Result.State {
		case query.Partial:
			require.Len(t, q.Result.Missing, 1)
			require.Equal(t, victim.did, q.Result.Missing[0].Node)
			require.Len(t, q.Result.Answered, 3)
			require.EqualValues(t, 3*patientsPerSite, q.Result.Cells[0].N)
		case query.Withheld: // the sum over these persons was over other sites before
			require.Contains(t, q.Result.Reason, "release.sites")
			require.Positive(t, step, "there was none before")
		default:
			m.complete(t, q, 4)
		}
		begun := time.Now()
		victim.start(t)
		victim.joined(t)
		t.Logf("the node was back after %s", time.Since(begun).Round(time.Millisecond))
		if q.Result.State == query.Partial {
			m.verified(t, id)
		}
	}
}

// killOneOfThree kills one of three nodes, without which nothing may be released.
func killOneOfThree(t *testing.T, m *mesh) {
	victim := m.sites[2]
	for _, back := range []bool{false, true} {
		deadline := 2 * time.Second
		if back {
			deadline = time.Minute
		}
		id := m.askUntil(t, trialOfThree, deadline, victim, 0)
		victim.kill()
		if back {
			victim.start(t)
		}
		q := m.answer(t, id, hubclient.WaitResult)
		t.Logf("back %t: %s %s", back, q.Result.State, q.Result.Reason)
		if q.Result.State == query.Withheld {
			require.False(t, back, "the node was back in time")
			require.Contains(t, q.Result.Reason, "too few nodes")
			require.Empty(t, q.Result.Cells)
			require.Equal(t, victim.did, q.Result.Missing[0].Node)
			c := call(t, "query", "show", id.String(), "--hub", m.url, "--root", m.root())
			require.Equal(t, 1, c.status)
			require.Contains(t, c.stderr, "nothing was released")
		} else {
			m.complete(t, q, 3)
		}
		if !back {
			victim.start(t)
		}
		victim.joined(t)
	}
}

// startWithoutHub starts nodes that have nobody to connect to.
func startWithoutHub(t *testing.T, m *mesh) {
	m.hub.stop(t)
	first := m.sites[0]
	first.kill()
	first.start(t)
	status, err := first.client(t).Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.Connected)
	require.EqualValues(t, patientsPerSite*len(trials), status.Tables["person"], "the site's own work goes on")
	begun := time.Now()
	m.hub.start(t)
	up := time.Since(begun)
	for _, s := range m.sites {
		s.joined(t)
	}
	joined := time.Since(begun)
	id := m.ask(t, trialOfFour, time.Minute)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	t.Logf("hub up in %s, all nodes joined in %s, answered in %s", up.Round(time.Millisecond), joined.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
}

// killNodeOften restarts a node faster than the others can tell.
func killNodeOften(t *testing.T, m *mesh) {
	victim := m.sites[1]
	for range 5 {
		victim.kill()
		victim.start(t)
	}
	begun := time.Now()
	id := m.ask(t, trialOfFour, time.Minute)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	t.Logf("answered %s after the last start", time.Since(begun).Round(time.Millisecond))
	eventually(t, "the group does not see the node", func() bool {
		nodes, err := m.api.Nodes(t.Context())
		require.NoError(t, err)
		for _, n := range nodes {
			if n.DID == victim.did {
				return n.Present
			}
		}
		return false
	})
}

// awayForDays asks with days of time while a node is down, and kills the hub in between. The
// question waits, and is answered once and by all when the node is back. One that is not back
// at the deadline is named in an answer by the others; days of which pass in the tests of
// package dispatch.
func awayForDays(t *testing.T, m *mesh) {
	absent := m.sites[2]
	absent.kill()
	id := m.ask(t, trialOfFour, 5*24*time.Hour)
	for _, s := range m.sites {
		if s != absent {
			db := s.database(t)
			eventually(t, s.log+": not asked", func() bool { return taken(t, db, id) >= 0 })
		}
	}
	m.hub.kill()
	m.hub.start(t)
	q, err := m.api.Question(t.Context(), id.String(), "", 0)
	require.NoError(t, err)
	require.Nil(t, q.Result, "there are days left")
	begun := time.Now()
	absent.start(t)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	t.Logf("complete %s after the node was started", time.Since(begun).Round(time.Millisecond))
	m.verified(t, id)

	absent.kill()
	q = m.answer(t, m.ask(t, trialOfAbsences, 5*time.Second), hubclient.WaitResult)
	require.Equal(t, query.Partial, q.Result.State, "%+v", q.Result)
	require.Equal(t, []query.Missing{{Node: absent.did, Step: query.StepAsk}}, q.Result.Missing)
	require.EqualValues(t, 3*patientsPerSite, q.Result.Cells[0].N)
}

// bringBackNode copies a node's directory back that knows nothing of the last answer. The node
// must not go on as if that had never been let out, until its operator says so.
func bringBackNode(t *testing.T, m *mesh) {
	s := m.sites[2]
	earlier := filepath.Join(t.TempDir(), "earlier")
	s.kill()
	require.NoError(t, exec.CommandContext(t.Context(), "cp", "-a", s.dir, earlier).Run())
	s.start(t)
	m.complete(t, m.answer(t, m.ask(t, trialOfFour, time.Minute), hubclient.WaitResult), 4)
	s.kill()
	require.NoError(t, os.RemoveAll(s.dir))
	require.NoError(t, os.Rename(earlier, s.dir))
	s.start(t)
	eventually(t, s.log+": the node does not know that it forgot", func() bool {
		at, err := node.Held(s.dir)
		require.NoError(t, err)
		return !at.IsZero()
	})
	q := m.answer(t, m.ask(t, trialOfFour, 10*time.Second), hubclient.WaitResult)
	require.NotEqual(t, query.Complete, q.Result.State)
	require.Contains(t, q.Result.Missing, query.Missing{Node: s.did, Step: query.StepAsk})

	s.kill()
	must(t, "node", "resume", "--dir", s.dir)
	s.start(t)
	s.joined(t)
	m.complete(t, m.answer(t, m.ask(t, trialOfFour, time.Minute), hubclient.WaitResult), 4)
}

// cutChain takes the chain away. Nothing waits for it but what is written there.
func cutChain(t *testing.T, m *mesh) {
	m.trust(t)
	m.link.cut()
	id := m.ask(t, trialOfFour, time.Minute)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	eventually(t, "proofs are not on the ledger", func() bool {
		q, err := m.api.Question(t.Context(), id.String(), "", 0)
		require.NoError(t, err)
		for _, a := range q.Accesses {
			require.Empty(t, a.Tx)
		}
		return len(q.Accesses) == 4
	})
	c := m.verify(t, id)
	require.Equal(t, 1, c.status)
	require.Contains(t, c.stdout, "FAILED  chain.contracts")
	require.Contains(t, c.stdout, ", 1 failed", "what does not need the chain is checked all the same")
	c = call(t, "verify", "query", id.String(), "--from", m.url, "--root", m.root(), "--trust", m.trust(t))
	require.Zero(t, c.status, c.stdout+c.stderr)
	require.Contains(t, c.stdout, "skipped chain.contracts")

	m.hub.kill() // and a hub that starts without its chain
	m.hub.start(t)
	m.complete(t, m.answer(t, m.ask(t, trialOfFour, time.Minute), hubclient.WaitResult), 4)

	m.link.connect(t)
	begun := time.Now()
	m.verified(t, id)
	t.Logf("on the chain and verified %s after it was back", time.Since(begun).Round(time.Millisecond))
}

// askInTurn asks once the researcher has few enough questions open.
func (m *mesh) askInTurn(t testing.TB, question message.Envelope) (id query.ID, err error) {
	t.Helper()
	eventually(t, "the researcher has a question less open", func() bool {
		var limit *problem.Error
		id, err = m.api.Ask(t.Context(), question, 5*time.Minute) // a busy machine takes long over long ones
		return !errors.As(err, &limit) || limit.Kind != problem.TooMany
	})
	return id, err
}

// fillHub leaves the hub no room. It has to stop in order, say why, and go on
// where it was once there is room.
func fillHub(t *testing.T, m *mesh) {
	if m.small != nil {
		t.Skip(m.small)
	}
	before := m.ask(t, trialOfFour, time.Minute)
	m.verified(t, before)
	remove := ballast(t, m.hub.dir, 0)
	var open []query.ID
	const long = 200_000 // bytes, under the limit of a question
	last, refused := m.longQuestion(t, trialOfFour, long), error(nil)
	for range 200 {
		var id query.ID
		if id, refused = m.askInTurn(t, last); refused != nil {
			break
		}
		open, last = append(open, id), m.longQuestion(t, trialOfFour, long)
	}
	require.Error(t, refused, "the disk is full")
	stopped := m.hub.current.Load()
	select {
	case <-stopped.ended:
	case <-time.After(faultWait):
		require.Fail(t, "the hub goes on without room", m.hub.said())
	}
	require.Equal(t, 1, stopped.ProcessState.ExitCode())
	require.Contains(t, m.hub.said(), "trialmesh: hub: the disk under "+m.hub.dir+" is full, so the hub stops rather than fork: free space and start it again")
	require.NotContains(t, m.hub.said(), "goroutine ", "a stack is no help to an operator")
	t.Logf("after %d questions: %v", len(open), refused)
	remove()
	begun := time.Now()
	m.hub.start(t)
	for _, s := range m.sites {
		s.joined(t)
	}
	again, err := m.askInTurn(t, last) // whoever got no answer asks again
	require.NoError(t, err)
	for _, id := range append(open, again) { // and what was acknowledged is there
		m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	}
	t.Logf("all answered %s after there was room", time.Since(begun).Round(time.Millisecond))
	id := m.ask(t, trialOfFour, time.Minute)
	m.complete(t, m.answer(t, id, hubclient.WaitResult), 4)
	m.verified(t, before)
	c := call(t, "verify", "ledger", "--from", m.url, "--root", m.root(), "--trust", m.trust(t))
	require.Zero(t, c.status, c.stdout+c.stderr)
}
