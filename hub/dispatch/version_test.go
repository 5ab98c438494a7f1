package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// file is the name of the conversation recorded of a version.
func file(of version.Version) string { return fmt.Sprintf("version%d.json", of) }

// said reads the conversation recorded of a version.
func said(t *testing.T, of version.Version) conversation {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file(of)))
	require.NoError(t, err)
	var c conversation
	require.NoError(t, json.Unmarshal(raw, &c))
	return c
}

// script answers each task as the nodes of a conversation did.
type script struct {
	said map[identity.DID]map[string][]byte // by node, then by question and step

	mu    sync.Mutex
	tasks []json.RawMessage
}

func newScript(t *testing.T, c conversation) *script {
	t.Helper()
	s := &script{said: make(map[identity.DID]map[string][]byte)}
	for _, e := range c.Exchanges {
		if s.said[e.Node] == nil {
			s.said[e.Node] = make(map[string][]byte)
		}
		s.said[e.Node][topic(t, e.Task)] = e.Reply
	}
	return s
}

func topic(t *testing.T, raw []byte) string {
	t.Helper()
	var task query.Task
	require.NoError(t, json.Unmarshal(raw, &task))
	return task.Query.String() + " " + string(task.Step)
}

func (s *script) Call(_ context.Context, to identity.DID, _ string, request []byte) ([]byte, error) {
	var task query.Task
	if err := json.Unmarshal(request, &task); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append(s.tasks, request)
	if reply, known := s.said[to][task.Query.String()+" "+string(task.Step)]; known {
		return reply, nil
	}
	return nil, transport.ErrUnreachable
}

// TestTheHubUnderstandsWhatIsOnRecord of nodes of this version and the one before: it
// replays what they said, from the papers of trial and consents on, and the hub gets from it
// what the hub of then got.
func TestTheHubUnderstandsWhatIsOnRecord(t *testing.T) {
	t.Parallel()
	for of := range topics {
		inBubbleNamed(t, file(of), func(t *testing.T) { replayed(t, said(t, of)) })
	}
}

func replayed(t *testing.T, c conversation) {
	t.Helper()
	w := &world{db: sqltest.SQLite(t), policy: disclosure.Default()}
	require.NoError(t, registry.Migrate(t.Context(), w.db))
	w.reader = registry.NewReader(w.db)
	w.log = &fakeLog{machine: registry.NewMachine(w.db, peertest.NewKey(t).DID(), peertest.Proofs{})}
	for i, entry := range c.Entries {
		w.log.entries = append(w.log.entries, entry)
		_, err := w.log.machine.Apply(t.Context(), uint64(i+1), entry)
		require.NoError(t, err, "%s", entry)
	}
	network := newScript(t, c)
	w.drive(t, w.through(t, network))
	for i, id := range c.Questions {
		var want query.Result
		require.NoError(t, json.Unmarshal(c.Results[i], &want))
		require.Equal(t, want, w.result(t, id))
		if want.State == query.Complete {
			w.proofs(t, id, 3)
		}
	}
	known := make(map[string]bool)
	for _, e := range c.Exchanges {
		paths(t, "", e.Task, known)
	}
	for _, task := range network.tasks {
		require.Empty(t, beyond(t, task, known), "a node of then gets nothing new from a hub that need not send it")
	}
}

// TestNodesServeAHubOnRecord, of this version and the one before: nodes of today get tasks
// with the fields of then only, and answer to the end with nothing that a hub of then would
// not have read.
func TestNodesServeAHubOnRecord(t *testing.T) {
	t.Parallel()
	for of := range topics {
		inBubbleNamed(t, file(of), func(t *testing.T) { served(t, of) })
	}
}

func served(t *testing.T, of version.Version) {
	t.Helper()
	then := said(t, of)
	tasks, replies, entries := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, e := range then.Exchanges {
		paths(t, "", e.Task, tasks)
		paths(t, "", e.Reply, replies)
	}
	for _, e := range then.Entries {
		paths(t, "", e, entries)
	}
	now := converse(t, of, func(task []byte) []byte { return only(t, task, tasks) })
	require.Len(t, now.Exchanges, len(then.Exchanges), "the same steps")
	for _, e := range now.Exchanges {
		require.Empty(t, beyond(t, e.Reply, replies), "what a node signs is read strictly")
	}
	entries[".body.envelope.body.changes"] = true // the hub is updated before the nodes that publish leaves
	for _, e := range now.Entries {
		var c registry.Command
		require.NoError(t, json.Unmarshal(e, &c))
		if c.Kind == registry.KindChangeConsents {
			continue
		}
		require.Empty(t, beyond(t, e, entries), "consent epochs, trial and questions are as they were")
	}
}

// TestAnOlderNodeHearsOfNothingNew: each thing that a version brought is refused for a node
// that does not know it, by the rule of package version, and nothing is sent that it could
// only call malformed.
func TestAnOlderNodeHearsOfNothingNew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.speaks = func(identity.DID) (version.Range, bool) { return version.Unsaid, true }
		for i := range w.sites {
			w.intercept(i, func(task query.Task) bool { require.Fail(t, "an old node hears "+string(task.Step)); return false })
		}
		w.run(t)
		digest := w.schedule(t, time.Now().UTC())
		w.propose(t, registry.AskOccurrence{Schedule: digest, Number: 1, Limits: registry.DefaultQueue})
		asked := map[string]query.ID{"an occurrence": w.occurrences(t, digest)[0].Query}
		for name, r := range w.novelties(t) {
			asked[name] = w.put(t, r, time.Minute)
		}
		for name, id := range asked {
			r := w.result(t, id)
			require.Equal(t, query.Withheld, r.State, name)
			require.Contains(t, r.Reason, "a node refused by rule protocol.version", name)
		}
		cancelled := w.put(t, w.trial.Model(), time.Minute)
		w.propose(t, w.cancellation(t, cancelled))
		require.Equal(t, query.Cancelled, w.result(t, cancelled).State)
		time.Sleep(time.Minute) // for nodes to be told
	})
}

// TestANodeIsNotAskedWhatItsVersionDoesNotKnow: the others answer, and the result says
// which node is to be updated.
func TestANodeIsNotAskedWhatItsVersionDoesNotKnow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, append(relapses(), relapses()[0])...)
		old := w.sites[3].Key.DID()
		w.intercept(3, func(query.Task) bool { require.Fail(t, "the old node is asked"); return false })
		w.speaks = func(node identity.DID) (version.Range, bool) {
			if node == old {
				return version.Unsaid, true
			}
			return version.Spoken(), true
		}
		w.run(t)
		began := time.Now()
		r := w.result(t, w.put(t, w.trial.Model(), time.Minute))
		require.Equal(t, query.Partial, r.State, r.Reason)
		require.Len(t, r.Answered, 3)
		require.Empty(t, r.Missing)
		require.Len(t, r.Refused, 1)
		require.Equal(t, old, r.Refused[0].Node)
		require.Equal(t, version.Rule, r.Refused[0].Problem.Rule)
		require.Equal(t, "the node speaks protocol 1, and this needs 2: update the node", r.Refused[0].Problem.Title)
		require.Less(t, time.Since(began), time.Second, "nobody waits for it")
		w.replay(t)
	})
}

// TestAPatientQuestionWaitsForTheUpdate of a node that does not know it.
func TestAPatientQuestionWaitsForTheUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		updated := time.Now().Add(10 * time.Minute)
		w.speaks = func(node identity.DID) (version.Range, bool) {
			if node == w.sites[2].Key.DID() && time.Now().Before(updated) {
				return version.Unsaid, true
			}
			return version.Spoken(), true
		}
		w.runPatiently(t)
		id := w.put(t, w.trial.Model(), time.Hour)
		time.Sleep(20 * time.Minute)
		require.Equal(t, query.Complete, w.result(t, id).State)
	})
}

// TestANodeIsAskedWhatItsVersionKnows while it is not asked other things.
func TestANodeIsAskedWhatItsVersionKnows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.speaks = func(identity.DID) (version.Range, bool) { return version.Unsaid, true }
		w.run(t)
		require.Equal(t, query.Complete, w.result(t, w.put(t, w.trial.CountBySex(), time.Minute)).State)
		r := w.result(t, w.put(t, w.trial.Model(), time.Minute))
		require.Equal(t, query.Withheld, r.State)
		require.Contains(t, r.Reason, "a node refused by rule protocol.version")
	})
}

// paths adds to known where in a JSON value there is something: "body.request.issuer", and
// "[]" for what is in a list.
func paths(t *testing.T, at string, raw []byte, known map[string]bool) {
	t.Helper()
	known[at] = true
	each(t, raw, func(name string, value json.RawMessage) { paths(t, at+"."+name, value, known) })
}

// beyond returns what a JSON value has that is not known.
func beyond(t *testing.T, raw []byte, known map[string]bool) []string {
	t.Helper()
	own := make(map[string]bool)
	paths(t, "", raw, own)
	maps.DeleteFunc(own, func(path string, _ bool) bool { return known[path] })
	return slices.Sorted(maps.Keys(own))
}

// each visits the fields of an object and the elements of a list.
func each(t *testing.T, raw []byte, visit func(name string, value json.RawMessage)) {
	t.Helper()
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '{':
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &fields))
		for name, value := range fields {
			visit(name, value)
		}
	case '[':
		var list []json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &list))
		for _, value := range list {
			visit("[]", value)
		}
	}
}

// only returns a task without the fields that are not known. What somebody signed stays as
// it is.
func only(t *testing.T, raw []byte, known map[string]bool) []byte {
	t.Helper()
	var prune func(at string, raw []byte) json.RawMessage
	prune = func(at string, raw []byte) json.RawMessage {
		var fields map[string]json.RawMessage
		if bytes.TrimSpace(raw)[0] != '{' || json.Unmarshal(raw, &fields) != nil || fields["signature"] != nil {
			return raw
		}
		for name, value := range fields {
			if path := at + "." + name; known[path] {
				fields[name] = prune(path, value)
			} else {
				delete(fields, name)
			}
		}
		out, err := json.Marshal(fields)
		require.NoError(t, err)
		return out
	}
	return prune("", raw)
}
