package registry_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// hub is a state machine with its log.
type hub struct {
	key     identity.Key
	db      *sqldb.DB
	machine *registry.Machine
	reader  *registry.Reader
	at      time.Time
	entries [][]byte
	errs    []error

	nodes []identity.Key
	trial peertest.Trial
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{key: peertest.NewKey(t), db: sqltest.SQLite(t), at: start}
	require.NoError(t, registry.Migrate(t.Context(), h.db))
	h.machine = registry.NewMachine(h.db, h.key.DID(), peertest.Proofs{})
	h.reader = registry.NewReader(h.db)
	return h
}

// apply runs a command one second after the one before.
func (h *hub) apply(t testing.TB, body registry.Body) (registry.Outcome, error) {
	t.Helper()
	h.at = h.at.Add(time.Second)
	data, err := registry.Encode(body, h.at)
	require.NoError(t, err)
	return h.applyRaw(t, data)
}

func (h *hub) applyRaw(t testing.TB, data []byte) (registry.Outcome, error) {
	t.Helper()
	h.entries = append(h.entries, data)
	out, err := h.machine.Apply(t.Context(), uint64(len(h.entries)), data)
	h.errs = append(h.errs, err)
	return out, err
}

func (h *hub) must(t testing.TB, body registry.Body) registry.Outcome {
	t.Helper()
	out, err := h.apply(t, body)
	require.NoError(t, err)
	return out
}

// withTrial enrolls four nodes and registers circuits, venue and a trial.
func (h *hub) withTrial(t testing.TB) *hub {
	t.Helper()
	h.must(t, registry.SetVenue{Venue: peertest.Venue})
	h.must(t, registry.RegisterCircuit{Circuit: peertest.EpochCircuit().Circuit})
	h.must(t, registry.RegisterCircuit{Circuit: peertest.AccessCircuit().Circuit})
	var dids []identity.DID
	for i := range 4 {
		h.nodes = append(h.nodes, peertest.NewKey(t))
		name := fmt.Sprintf("node-%d", i)
		h.must(t, registry.InviteNode{Name: name, Organization: "Org"})
		h.must(t, registry.EnrollNode{Node: h.nodes[i].DID(), Name: name})
		dids = append(dids, h.nodes[i].DID())
	}
	h.trial = peertest.NewTrial(t, dids[:3], disclosure.Policy{}, start)
	h.must(t, registry.RegisterTrial{Registration: h.trial.Registration})
	return h
}

func (h *hub) seal(t testing.TB, key identity.Key, kind message.Kind, body any) message.Envelope {
	t.Helper()
	e, err := message.Seal(key, kind, body, h.at, time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}

// epoch returns a node's epoch with a proof that fits.
func (h *hub) epoch(t *testing.T, node identity.Key, change func(*consent.Epoch)) message.Envelope {
	t.Helper()
	e := consent.Epoch{
		Trial: h.trial.Design.ID, Node: node.DID(), Number: 1, Circuit: peertest.EpochCircuit().Digest(),
		Shards: []consent.Shard{{From: h.at.Add(-time.Minute), To: h.at.Add(24 * time.Hour), Root: consent.Element{31: 1}, Matrix: consent.Element{31: 2}}},
	}
	change(&e)
	for i := range e.Shards {
		if e.Shards[i].Proof == nil {
			e.Shards[i].Proof = peertest.EpochProof(t, e.Shards[i])
		}
	}
	return h.seal(t, node, consent.KindEpoch, e)
}

func (h *hub) question(t *testing.T) (message.Envelope, registry.AskQuestion) {
	t.Helper()
	e := h.trial.Sign(t, h.trial.CountBySex(), h.at)
	return e, registry.AskQuestion{Envelope: e, Deadline: h.at.Add(time.Minute)}
}

func (h *hub) hash(t *testing.T) message.Digest {
	t.Helper()
	hash, err := registry.StateHash(t.Context(), h.db)
	require.NoError(t, err)
	return hash
}

func (h *hub) replay(t *testing.T) {
	t.Helper()
	other := newHub(t)
	other.machine = registry.NewMachine(other.db, h.key.DID(), peertest.Proofs{})
	for i, data := range h.entries {
		_, err := other.machine.Apply(t.Context(), uint64(i+1), data)
		if h.errs[i] != nil {
			require.EqualError(t, err, h.errs[i].Error())
			continue
		}
		require.NoError(t, err)
	}
	require.Equal(t, h.hash(t), other.hash(t), "a replay gives another state")
	h.replayTogether(t)
}

// replayTogether replays the log as commands that were committed together, some of them twice.
func (h *hub) replayTogether(t *testing.T) {
	t.Helper()
	other := newHub(t)
	fsm := registry.NewFSM(registry.NewMachine(other.db, h.key.DID(), peertest.Proofs{}), t.TempDir())
	const most = 7
	for from := 0; from < len(h.entries); from += most - 1 {
		var batch []consensus.Committed
		for i := from; i < min(from+most, len(h.entries)); i++ {
			batch = append(batch, consensus.Committed{Index: uint64(i + 1), Command: h.entries[i]})
		}
		applied, err := fsm.ApplyBatch(batch)
		require.NoError(t, err)
		for i, a := range applied {
			switch want := h.errs[from+i]; {
			case i == 0 && from > 0: // it was the last of the batch before
				require.Equal(t, consensus.Applied{Value: registry.Outcome{LedgerIndex: -1, Existed: true}}, a)
			case want != nil:
				require.EqualError(t, a.Err, want.Error())
			default:
				require.NoError(t, a.Err)
			}
		}
	}
	require.Equal(t, h.hash(t), other.hash(t), "commands together give another state")
}

// TestRefusals lists what every command refuses; none changes anything.
func TestRefusals(t *testing.T) {
	t.Parallel()
	type refusal struct {
		body func(t *testing.T, h *hub) registry.Body
		want error
	}
	stranger := peertest.NewKey(t)
	asked := func(t *testing.T, h *hub) query.ID {
		e, ask := h.question(t)
		h.must(t, ask)
		return e.Digest()
	}
	answer := func(key func(h *hub) identity.Key, id func(t *testing.T, h *hub) query.ID) func(t *testing.T, h *hub) registry.Body {
		return func(t *testing.T, h *hub) registry.Body {
			return registry.RecordAnswer{Envelope: h.seal(t, key(h), query.KindAnswer, query.Answer{Query: id(t, h), Step: query.StepAsk})}
		}
	}
	node := func(i int) func(h *hub) identity.Key { return func(h *hub) identity.Key { return h.nodes[i] } }
	epoch := func(i int, change func(h *hub, e *consent.Epoch)) func(t *testing.T, h *hub) registry.Body {
		return func(t *testing.T, h *hub) registry.Body {
			return registry.PublishEpoch{Envelope: h.epoch(t, h.nodes[i], func(e *consent.Epoch) { change(h, e) })}
		}
	}
	for name, c := range map[string]refusal{
		"venue without prefix": {func(*testing.T, *hub) registry.Body {
			return registry.SetVenue{Venue: query.Venue{Contract: strings.TrimPrefix(peertest.Venue.Contract, "0x")}}
		}, problem.New(problem.Invalid, "venue: contract must be 0x and 40 hex digits")},
		"second venue": {func(*testing.T, *hub) registry.Body {
			return registry.SetVenue{Venue: query.Venue{ChainID: 2, Contract: peertest.Venue.Contract}}
		}, registry.ErrVenueFixed},
		"invitation without a name":    {func(*testing.T, *hub) registry.Body { return registry.InviteNode{Organization: "x"} }, identity.ErrName},
		"invitation with a line break": {func(*testing.T, *hub) registry.Body { return registry.InviteNode{Name: "a\nb", Organization: "x"} }, identity.ErrName},
		"invitation for a revoked node's name": {func(t *testing.T, h *hub) registry.Body {
			h.must(t, registry.RevokeNode{Revocation: entry.Revocation{Node: h.nodes[3].DID()}})
			return registry.InviteNode{Name: "node-3", Organization: "x"}
		}, registry.ErrNodeRevoked},
		"enrollment without invitation":   {func(*testing.T, *hub) registry.Body { return registry.EnrollNode{Node: stranger.DID(), Name: "node-9"} }, registry.ErrUninvited},
		"enrollment under another's name": {func(*testing.T, *hub) registry.Body { return registry.EnrollNode{Node: stranger.DID(), Name: "node-1"} }, registry.ErrNameTaken},
		"enrollment of no key":            {func(*testing.T, *hub) registry.Body { return registry.EnrollNode{Node: "did:web:x", Name: "node-9"} }, problem.New(problem.Invalid, "node: not a did:key")},
		"enrollment of a revoked node": {func(t *testing.T, h *hub) registry.Body {
			h.must(t, registry.RevokeNode{Revocation: entry.Revocation{Node: h.nodes[3].DID()}})
			return registry.EnrollNode{Node: h.nodes[3].DID(), Name: "node-3"}
		}, registry.ErrNodeRevoked},
		"revocation of a stranger": {func(*testing.T, *hub) registry.Body {
			return registry.RevokeNode{Revocation: entry.Revocation{Node: stranger.DID()}}
		}, registry.ErrNodeUnknown},
		"token without a hash": {func(*testing.T, *hub) registry.Body { return registry.UseToken{Hash: "x"} }, problem.New(problem.Invalid, "hash: 64 hex digits")},
		"token used twice": {func(t *testing.T, h *hub) registry.Body {
			h.must(t, registry.UseToken{Hash: strings.Repeat("ab", 32)})
			return registry.UseToken{Hash: strings.Repeat("ab", 32)}
		}, registry.ErrTokenUsed},
		"bearer token of no role": {func(*testing.T, *hub) registry.Body {
			return registry.AdmitToken{Hash: strings.Repeat("ab", 32), Role: "king"}
		}, problem.New(problem.Invalid, "role: one of researcher, sponsor, operator")},
		"revocation of an unknown token": {func(*testing.T, *hub) registry.Body {
			return registry.RevokeTokens{ID: "00112233aabbccdd"}
		}, registry.ErrTokenUnknown},
		"revocation of the tokens of a stranger": {func(*testing.T, *hub) registry.Body {
			return registry.RevokeTokens{Holder: stranger.DID()}
		}, registry.ErrTokenUnknown},
		"second key of a circuit": {func(*testing.T, *hub) registry.Body {
			c := peertest.EpochCircuit().Circuit
			c.VerifyingKey = []byte("another")
			return registry.RegisterCircuit{Circuit: c}
		}, problem.New(problem.Conflict, "another verifying key is registered for this circuit shape")},
		"trial with a stranger": {func(t *testing.T, h *hub) registry.Body {
			other := peertest.NewTrial(t, []identity.DID{stranger.DID()}, disclosure.Policy{}, start)
			other.Design.ID = "glucose-2"
			return registry.RegisterTrial{Registration: peertest.Approve(t, other.Design, other.Sponsor, other.Board, start)}
		}, registry.ErrNodeUnknown},
		"another trial of this id": {func(t *testing.T, h *hub) registry.Body {
			return registry.RegisterTrial{Registration: peertest.NewTrial(t, h.trial.Design.Nodes, disclosure.Policy{}, start).Registration}
		}, registry.ErrTrialExists},
		"trial without approval": {func(_ *testing.T, h *hub) registry.Body {
			r := h.trial.Registration
			r.Approvals = nil
			return registry.RegisterTrial{Registration: r}
		}, trial.ErrUnapproved},
		"epoch of an unknown trial": {epoch(0, func(_ *hub, e *consent.Epoch) { e.Trial = "other" }), registry.ErrTrialUnknown},
		"epoch of a node outside the trial": {
			epoch(3, func(*hub, *consent.Epoch) {}),
			trial.ErrNode,
		},
		"epoch in another's name":     {epoch(0, func(h *hub, e *consent.Epoch) { e.Node = h.nodes[1].DID() }), registry.ErrEpochOrder},
		"epoch with a gap":            {epoch(0, func(_ *hub, e *consent.Epoch) { e.Number = 2 }), registry.ErrEpochOrder},
		"epoch that revises nothing":  {epoch(0, func(_ *hub, e *consent.Epoch) { e.Revises = message.Digest{1} }), registry.ErrEpochOrder},
		"epoch without a shard":       {epoch(0, func(_ *hub, e *consent.Epoch) { e.Shards = nil }), registry.ErrEpochOrder},
		"epoch of the past":           {epoch(0, func(h *hub, e *consent.Epoch) { e.Shards[0].To = h.at.Add(-time.Second) }), registry.ErrEpochWindow},
		"epoch of more than 400 days": {epoch(0, func(h *hub, e *consent.Epoch) { e.Shards[0].To = e.Shards[0].From.Add(400*24*time.Hour + time.Second) }), registry.ErrEpochWindow},
		"epoch of an unknown circuit": {epoch(0, func(_ *hub, e *consent.Epoch) { e.Circuit = message.Digest{1} }), registry.ErrCircuitUnknown},
		"epoch with a damaged proof":  {epoch(0, func(_ *hub, e *consent.Epoch) { e.Shards[0].Proof = make([]byte, 256) }), registry.ErrEpochProof},
		"epoch with another's proof": {epoch(0, func(h *hub, e *consent.Epoch) {
			e.Shards[0].Proof = peertest.EpochProof(t, e.Shards[0])
			e.Shards[0].Root[0] = 1
		}), registry.ErrEpochProof},
		"question with no time": {func(t *testing.T, h *hub) registry.Body { _, ask := h.question(t); ask.Deadline = h.at; return ask }, registry.ErrDeadline},
		"question with too much time": {func(t *testing.T, h *hub) registry.Body {
			_, ask := h.question(t)
			ask.Deadline = h.at.Add(14*24*time.Hour + 2*time.Second)
			return ask
		}, registry.ErrDeadline},
		"question of an unknown trial": {func(t *testing.T, h *hub) registry.Body {
			r := h.trial.CountBySex()
			r.Trial = "other"
			return registry.AskQuestion{Envelope: h.trial.Sign(t, r, h.at), Deadline: h.at.Add(time.Minute)}
		}, registry.ErrTrialUnknown},
		"question that has expired": {func(t *testing.T, h *hub) registry.Body {
			return registry.AskQuestion{Envelope: h.trial.Sign(t, h.trial.CountBySex(), h.at.Add(-2*time.Hour)), Deadline: h.at.Add(time.Minute)}
		}, message.ErrExpired},
		"question by a stranger": {func(t *testing.T, h *hub) registry.Body {
			return registry.AskQuestion{Envelope: h.seal(t, stranger, query.KindRequest, h.trial.CountBySex()), Deadline: h.at.Add(time.Minute)}
		}, trial.ErrResearcher},
		"answer to no question":      {answer(node(0), func(*testing.T, *hub) query.ID { return query.ID{1} }), registry.ErrQuestionUnknown},
		"answer by a stranger":       {answer(func(*hub) identity.Key { return stranger }, asked), registry.ErrNotAsked},
		"answer by a node not asked": {answer(node(3), asked), registry.ErrNotAsked},
		"answer to a finished question": {answer(node(0), func(t *testing.T, h *hub) query.ID {
			id := asked(t, h)
			h.must(t, registry.FinishQuestion{Result: query.Result{Query: id, State: query.Withheld}})
			return id
		}), registry.ErrQuestionClosed},
		"answer by a revoked node": {func(t *testing.T, h *hub) registry.Body {
			id := asked(t, h)
			h.must(t, registry.RevokeNode{Revocation: entry.Revocation{Node: h.nodes[0].DID()}})
			return answer(node(0), func(*testing.T, *hub) query.ID { return id })(t, h)
		}, registry.ErrNotAsked},
		"step of no question": {func(*testing.T, *hub) registry.Body { return registry.CloseStep{Query: query.ID{1}} }, registry.ErrQuestionUnknown},
		"result that is not final": {func(t *testing.T, h *hub) registry.Body {
			return registry.FinishQuestion{Result: query.Result{Query: asked(t, h), State: query.Open}}
		}, problem.New(problem.Invalid, "result: state is not final")},
		"proof of an open question": {func(t *testing.T, h *hub) registry.Body {
			return registry.RecordAccess{Envelope: h.seal(t, h.nodes[0], query.KindAccess, query.Access{Query: asked(t, h), Node: h.nodes[0].DID()})}
		}, problem.New(problem.Conflict, "the question has no answer yet")},
		"proof of no question": {func(t *testing.T, h *hub) registry.Body {
			return registry.RecordAccess{Envelope: h.seal(t, h.nodes[0], query.KindAccess, query.Access{Query: query.ID{1}, Node: h.nodes[0].DID()})}
		}, registry.ErrQuestionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t).withTrial(t)
			body := c.body(t, h)
			before := h.state(t)
			out, err := h.apply(t, body)
			require.ErrorIs(t, err, c.want)
			require.Zero(t, out)
			require.Equal(t, before, h.state(t), "a refused command left something behind")
			index, err := h.reader.AppliedIndex(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, len(h.entries), index)
			h.replay(t)
		})
	}
}

// state is the state's hash with the applied index taken out.
func (h *hub) state(t *testing.T) message.Digest {
	t.Helper()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("copy-%d.db", len(h.entries)))
	require.NoError(t, h.db.Backup(t.Context(), path))
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + path})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE registry_applied SET log_index = 0`)
		return err
	}))
	hash, err := registry.StateHash(t.Context(), db)
	require.NoError(t, err)
	return hash
}

// TestRepeatsAreHarmless runs every command twice.
func TestRepeatsAreHarmless(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	epoch := h.epoch(t, h.nodes[0], func(*consent.Epoch) {})
	e, ask := h.question(t)
	for name, body := range map[string]registry.Body{
		"venue":   registry.SetVenue{Venue: peertest.Venue},
		"node":    registry.EnrollNode{Node: h.nodes[0].DID(), Name: "node-0"},
		"circuit": registry.RegisterCircuit{Circuit: peertest.EpochCircuit().Circuit},
		"trial":   registry.RegisterTrial{Registration: h.trial.Registration},
		"epoch":   registry.PublishEpoch{Envelope: epoch},
		"ask":     ask,
	} {
		h.must(t, body)
		before := h.state(t)
		h.must(t, body)
		require.Equal(t, before, h.state(t), name)
	}
	first := h.must(t, registry.PublishEpoch{Envelope: epoch})
	require.True(t, first.Existed)
	require.Positive(t, first.LedgerIndex, "the sender learns the leaf again")
	q, err := h.reader.Question(t.Context(), e.Digest())
	require.NoError(t, err)
	require.Equal(t, query.Open, q.State)

	answer := h.seal(t, h.nodes[0], query.KindAnswer, query.Answer{Query: e.Digest(), Step: query.StepAsk, Body: json.RawMessage(`1`)})
	other := h.seal(t, h.nodes[0], query.KindAnswer, query.Answer{Query: e.Digest(), Step: query.StepAsk, Body: json.RawMessage(`2`)})
	require.False(t, h.must(t, registry.RecordAnswer{Envelope: answer}).Existed)
	require.True(t, h.must(t, registry.RecordAnswer{Envelope: other}).Existed)
	answers, err := h.reader.Answers(t.Context(), e.Digest(), query.StepAsk)
	require.NoError(t, err)
	require.JSONEq(t, `1`, string(answers[h.nodes[0].DID()].Body), "the first answer counts")
	h.must(t, registry.CloseStep{Query: e.Digest(), Step: query.StepAsk, Nodes: []identity.DID{h.nodes[0].DID()}})
	require.True(t, h.must(t, registry.CloseStep{Query: e.Digest(), Step: query.StepAsk}).Existed)
	closed, done, err := h.reader.Closed(t.Context(), e.Digest(), query.StepAsk)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, []identity.DID{h.nodes[0].DID()}, closed, "the first decision counts")
	h.replay(t)
}

func TestIndexIsAppliedOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	before := h.hash(t)
	for i, data := range h.entries {
		out, err := h.machine.Apply(t.Context(), uint64(i+1), data)
		require.NoError(t, err)
		require.Equal(t, registry.Outcome{LedgerIndex: -1, Existed: true}, out)
	}
	require.Equal(t, before, h.hash(t))
}

// TestUnknownCommandStops: going on would fork the state.
func TestUnknownCommandStops(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	before := h.hash(t)
	data := []byte(`{"at":"2026-11-21T12:00:00Z","body":{},"kind":999}`)
	_, err := h.applyRaw(t, data)
	require.ErrorIs(t, err, registry.ErrUnknownCommand)
	var refused *problem.Error
	require.NotErrorAs(t, err, &refused)
	require.Equal(t, before, h.hash(t), "the index too is left where it was")
	for _, command := range [][]byte{data, []byte(`{`)} {
		_, err = registry.NewFSM(h.machine, t.TempDir()).Apply(1, command)
		require.Error(t, err)
		require.NotErrorAs(t, err, &refused)
	}
}

func TestMalformedBodyIsRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for kind := 1; kind <= 28; kind++ {
		if kind == 23 || kind == 24 {
			continue // never given to a command
		}
		for _, body := range []string{`7`, `[]`, `{"unknown":1}`} {
			_, err := h.applyRaw(t, fmt.Appendf(nil, `{"at":"2026-11-21T12:00:00Z","body":%s,"kind":%d}`, body, kind))
			var refused *problem.Error
			require.ErrorAs(t, err, &refused, "kind %d", kind)
			require.Equal(t, problem.Invalid, refused.Kind)
		}
	}
	h.replay(t)
}

// TestSnapshotAndRestore brings an empty replica to the state of another.
func TestSnapshotAndRestore(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	_, ask := h.question(t)
	h.must(t, ask)
	dir := t.TempDir()
	snapshot, err := registry.NewFSM(h.machine, dir).Snapshot()
	require.NoError(t, err)
	var raw bytes.Buffer
	_, err = raw.ReadFrom(snapshot)
	require.NoError(t, err)
	require.NoError(t, snapshot.Close())
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "a snapshot that was read leaves a file")

	other := newHub(t)
	fsm := registry.NewFSM(other.machine, t.TempDir())
	require.NoError(t, fsm.Restore(bytes.NewReader(raw.Bytes())))
	require.Equal(t, h.hash(t), other.hash(t))

	h.must(t, registry.InviteNode{Name: "later", Organization: "Org"})
	require.NoError(t, registry.NewFSM(h.machine, t.TempDir()).Restore(bytes.NewReader(raw.Bytes())))
	index, err := h.reader.AppliedIndex(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(h.entries), index, "an older snapshot must not take back what came since")
	require.Error(t, fsm.Restore(strings.NewReader("no database")))
	require.Equal(t, uint64(len(h.entries)-1), must(other.reader.AppliedIndex(t.Context())))
}

// TestRestoreOverABeginning is a follower that applied some commands, was away while the
// leader dropped the next ones, and gets a snapshot.
func TestRestoreOverABeginning(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	_, ask := h.question(t)
	h.must(t, ask)
	snapshot, err := registry.NewFSM(h.machine, t.TempDir()).Snapshot()
	require.NoError(t, err)
	raw, err := io.ReadAll(snapshot)
	require.NoError(t, err)
	require.NoError(t, snapshot.Close())
	behind := func() *hub {
		other := newHub(t)
		other.machine = registry.NewMachine(other.db, h.key.DID(), peertest.Proofs{}) // a replica of the same hub
		for _, command := range h.entries[:len(h.entries)-3] {
			_, err := other.applyRaw(t, command)
			require.NoError(t, err)
		}
		return other
	}
	other := behind()
	require.NoError(t, registry.NewFSM(other.machine, t.TempDir()).Restore(bytes.NewReader(raw)))
	require.Equal(t, h.hash(t), other.hash(t))

	forked := behind()
	require.NoError(t, forked.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := ledger.Append(t.Context(), tx, [][]byte{[]byte("what nobody else has")})
		return err
	}))
	before := forked.hash(t)
	require.ErrorIs(t, registry.NewFSM(forked.machine, t.TempDir()).Restore(bytes.NewReader(raw)), ledger.ErrMismatch)
	require.Equal(t, before, forked.hash(t), "a replica with entries of its own does not pass over them")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	node := h.nodes[0].DID()
	h.must(t, registry.RecordCertificate{Serial: "1", DID: node, NotAfter: h.at.Add(time.Hour)})
	h.must(t, registry.RecordCertificate{Serial: "2", DID: node, NotAfter: h.at.Add(time.Hour)})
	require.False(t, must(h.reader.Revoked(t.Context(), "1", node)))
	h.must(t, registry.RevokeCertificate{Serial: "1"})
	require.True(t, must(h.reader.Revoked(t.Context(), "1", "")))
	require.False(t, must(h.reader.Revoked(t.Context(), "2", node)))
	require.False(t, must(h.reader.Revoked(t.Context(), "", "")))
	h.must(t, registry.RevokeNode{Revocation: entry.Revocation{Node: node, Reason: "left"}})
	require.True(t, must(h.reader.Revoked(t.Context(), "2", "")), "a revoked node has no valid certificate")
	require.True(t, must(h.reader.Revoked(t.Context(), "", node)))
	require.False(t, must(h.reader.Admitted(t.Context(), node)))
	require.True(t, must(h.reader.Admitted(t.Context(), h.nodes[1].DID())))
	h.replay(t)
}

// FuzzApply: no command of a known kind stops a replica, whatever its body says.
func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-21T12:00:00Z","body":{"hash":"00"},"kind":4}`))
	f.Add([]byte(`{"at":"2026-11-21T12:00:00Z","body":{"name":"A","organization":"B"},"kind":18}`))
	f.Add([]byte(`{"at":"2026-11-21T12:00:00Z","body":{"circuit":{"shape":"x","verifyingKey":"AA=="}},"kind":8}`))
	f.Add([]byte(`{"at":"2026-11-21T12:00:00Z","body":{"anchor":{"size":-1,"root":"AA==","gas":9}},"kind":17}`))
	db := sqltest.SQLite(f)
	require.NoError(f, registry.Migrate(f.Context(), db))
	machine := registry.NewMachine(db, peertest.NewKey(f).DID(), peertest.Proofs{})
	var index atomic.Uint64
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := machine.Apply(t.Context(), index.Add(1), data)
		var refused *problem.Error
		if err == nil || errors.As(err, &refused) || errors.Is(err, registry.ErrUnknownCommand) {
			return
		}
		var c registry.Command
		require.Error(t, json.Unmarshal(data, &c), "a replica stops at %q: %v", data, err)
	})
}

// TestNodeEnrollsAgain is about a node whose certificate ran out: an invitation
// under its name serves its own key and no other.
func TestNodeEnrollsAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	h.must(t, registry.InviteNode{Name: "node-1", Organization: "x"})
	out := h.must(t, registry.EnrollNode{Node: h.nodes[1].DID(), Name: "node-1"})
	require.True(t, out.Existed)
	stranger, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	_, err = h.apply(t, registry.EnrollNode{Node: stranger.DID(), Name: "node-1"})
	require.ErrorIs(t, err, registry.ErrNameTaken)
}
