package enrollment_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/enrollment"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	wire "github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/standin"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is a hub's state machine, and three parties that share the person key.
type world struct {
	t       *testing.T
	hub     identity.DID
	machine *registry.Machine
	reader  *registry.Reader
	trial   peertest.Trial
	key     wire.PersonKey

	mu     sync.Mutex
	index  uint64
	shares map[identity.DID]oprf.Key
	silent map[identity.DID]bool
	asked  [][]byte // all that any party was sent
	lose   bool     // the answer to the next enrollment
}

func newWorld(t *testing.T, nodes ...identity.Key) *world {
	t.Helper()
	db := sqltest.SQLite(t)
	require.NoError(t, registry.Migrate(t.Context(), db))
	w := &world{t: t, hub: peertest.NewKey(t).DID(), reader: registry.NewReader(db), shares: make(map[identity.DID]oprf.Key), silent: make(map[identity.DID]bool)}
	w.machine = registry.NewMachine(db, w.hub, peertest.Proofs{})
	w.must(registry.RegisterCircuit{Circuit: peertest.EpochCircuit().Circuit})
	w.must(registry.RegisterCircuit{Circuit: circuit()})
	var dids []identity.DID
	for i, node := range nodes {
		name := fmt.Sprintf("node-%d", i)
		w.must(registry.InviteNode{Name: name, Organization: "Org"})
		w.must(registry.EnrollNode{Node: node.DID(), Name: name})
		dids = append(dids, node.DID())
	}
	w.trial = peertest.NewTrial(t, dids, disclosure.Policy{}, start)
	w.trial.Design.Participants = &trial.Participants{Identifier: "urn:test"}
	w.trial.Registration = peertest.Approve(t, w.trial.Design, w.trial.Sponsor, w.trial.Board, start)
	w.must(registry.RegisterTrial{Registration: w.trial.Registration})

	whole, err := oprf.NewKey(rand.Reader, oprf.Verifiable)
	require.NoError(t, err)
	shares, err := whole.Split(rand.Reader, 2, 3)
	require.NoError(t, err)
	w.key.Threshold = 2
	for _, share := range shares {
		holder := peertest.NewKey(t).DID()
		w.shares[holder] = share
		w.key.Holders = append(w.key.Holders, wire.Holder{Holder: holder, Public: share.Public().Bytes()})
	}
	w.must(registry.FixPersonKey{Key: w.key})
	return w
}

func circuit() entry.Circuit {
	return entry.Circuit{Shape: circuits.Enrollment(circuits.TreeDepth).String(), VerifyingKey: []byte("key of enrollments"), Development: true}
}

func (w *world) apply(body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, start)
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.index++
	return w.machine.Apply(w.t.Context(), w.index, data)
}

func (w *world) must(body registry.Body) registry.Outcome {
	w.t.Helper()
	out, err := w.apply(body)
	require.NoError(w.t, err)
	return out
}

var errLost = errors.New("connection lost")

// answer is what a party of the network answers a node.
func (w *world) answer(ctx context.Context, from, to identity.DID, protocol string, request []byte) (any, error) {
	w.mu.Lock()
	w.asked = append(w.asked, request)
	share, silent, lose := w.shares[to], w.silent[to], w.lose
	w.mu.Unlock()
	switch protocol {
	case wire.AskProtocol:
		var ask wire.Ask
		require.NoError(w.t, json.Unmarshal(request, &ask))
		value, err := oprf.ParseElement(ask.Values[0])
		require.NoError(w.t, err)
		if silent {
			return nil, errLost
		}
		evaluated, proof, err := share.EvaluateVerifiably(rand.Reader, []oprf.Element{value})
		return wire.Answer{Values: [][]byte{evaluated[0].Bytes()}, Proof: proof.Bytes()}, err
	case wire.PlacesProtocol:
		var where wire.Where
		require.NoError(w.t, json.Unmarshal(request, &where))
		return w.reader.Places(ctx, where.Trial, from)
	case wire.EnrollProtocol:
		var e wire.Enrollment
		require.NoError(w.t, json.Unmarshal(request, &e))
		out, err := w.apply(registry.EnrollPerson{Enrollment: e})
		if lose {
			w.lose, err = false, errLost
		}
		return agreed.Recorded{LedgerIndex: out.LedgerIndex}, err
	}
	return nil, errLost
}

// site is a node's desk in the world.
type site struct {
	*world
	key  identity.Key
	db   *sqldb.DB
	book *consent.Book
	desk *enrollment.Desk
	log  *bytes.Buffer
	wake chan struct{}

	failing bool             // proofs of first
	first   circuits.Element // the blind of whose proof was made first
}

func (s *site) DID() identity.DID { return s.key.DID() }
func (s *site) Hub() identity.DID { return s.hub }

func (s *site) Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	answer, err := s.answer(ctx, s.DID(), to, protocol, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// Enrollment makes a proof, if not of the one who comes first when first is to fail.
func (s *site) Enrollment(ctx context.Context, w circuits.EnrollmentWitness) (circuits.EnrollmentProof, error) {
	if s.failing && s.first == (circuits.Element{}) {
		s.first = w.Blind
	}
	if w.Blind == s.first {
		return circuits.EnrollmentProof{}, errLost
	}
	return standin.Proofs{}.Enrollment(ctx, w)
}

func newSite(t *testing.T, w *world, key identity.Key, db *sqldb.DB) *site {
	t.Helper()
	s := &site{world: w, key: key, db: db, log: new(bytes.Buffer), wake: make(chan struct{}, 1)}
	trail, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s.book, err = consent.Open(t.Context(), consent.Config{DB: db, Key: key, Trail: trail, Secret: [32]byte{7}, Shape: peertest.Shape, Window: 24 * time.Hour})
	require.NoError(t, err)
	s.desk, err = enrollment.Open(t.Context(), enrollment.Config{
		DB: db, Consents: s.book, Trail: trail, Network: s, Boards: []identity.DID{w.trial.Board.DID()},
		Patient: func(_ context.Context, _ *sqldb.Tx, patient string) (omop.PersonID, error) {
			return person(patient), nil
		},
		PersonKey: func() (wire.PersonKey, error) {
			return w.key, nil
		},
		Proving: func(context.Context) (enrollment.Prover, message.Digest, error) {
			return s, message.Sum(circuit().VerifyingKey), nil
		},
		Publish: func() {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		},
		Pause: time.Millisecond, Log: slog.New(slog.NewTextHandler(s.log, nil)), Now: func() time.Time { return start },
	})
	require.NoError(t, err)
	return s
}

// person is a patient by the first letter of their name.
func person(patient string) (p omop.PersonID) {
	if err := p.Scan(int64(patient[0])); err != nil {
		panic(err)
	}
	return p
}

// agree records a patient's consent.
func (s *site) agree(patient string) identity.Key {
	s.t.Helper()
	key := peertest.NewKey(s.t)
	e, err := message.Seal(key, agreed.KindGrant, agreed.Grant{
		Trial: s.trial.Design.ID, Node: s.DID(), Scopes: agreed.MaskOf(agreed.Statistics), From: start.Add(-time.Hour), To: start.Add(24 * time.Hour), Document: message.Digest{1},
	}, start, time.Hour, rand.Reader)
	require.NoError(s.t, err)
	_, err = s.book.Record(s.t.Context(), person(patient), e, start)
	require.NoError(s.t, err)
	return key
}

// publish brings what changed of the consents to the hub.
func (s *site) publish() {
	s.t.Helper()
	for {
		d, err := s.book.Draft(s.t.Context(), s.trial.Design.ID, peertest.EpochCircuit().Digest(), peertest.Proofs{}, start)
		require.NoError(s.t, err)
		if d == nil {
			return
		}
		var body registry.Body = registry.PublishEpoch{Envelope: d.Envelope}
		if !d.IsEpoch() {
			body = registry.ChangeConsents{Batch: agreed.Batch{Envelope: d.Envelope, Leaves: d.Leaves}}
		}
		require.NoError(s.t, s.book.Recorded(s.t.Context(), *d, s.must(body).LedgerIndex, start))
	}
}

func (s *site) enroll(patient, identifier string) (enrollment.Participant, error) {
	return s.desk.Enroll(s.t.Context(), s.trial.Design.ID, patient, identifier)
}

// ends runs the desk until nobody waits, and returns how the patients' enrollments ended.
func (s *site) ends() []enrollment.Participant {
	s.t.Helper()
	return s.until(func(list []enrollment.Participant) bool { return !slices.Contains(states(list), enrollment.Waiting) })
}

// until runs the desk until what it lists is as it should be.
func (s *site) until(reached func([]enrollment.Participant) bool) (list []enrollment.Participant) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.desk.Run(ctx) }()
	require.Eventually(s.t, func() bool {
		var err error
		list, err = s.desk.List(ctx, "")
		require.NoError(s.t, err)
		return reached(list)
	}, time.Minute, time.Millisecond)
	stop()
	require.NoError(s.t, <-done)
	return list
}

func TestAPersonEnrollsOnceAtWhicheverSite(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		here, there := peertest.NewKey(t), peertest.NewKey(t)
		w := newWorld(t, here, there)
		a, b := newSite(t, w, here, db), newSite(t, w, there, sqltest.SQLite(t))
		_, err := a.enroll("adam", "943 476 5919")
		require.ErrorIs(t, err, consent.ErrUnconsented)
		key := a.agree("adam")
		a.publish()

		p, err := a.enroll("adam", "943 476 5919")
		require.NoError(t, err)
		require.Equal(t, enrollment.Participant{Trial: "glucose-1", Participant: key.DID(), State: enrollment.Waiting, Asked: start, LedgerIndex: -1}, p)
		<-a.wake
		a.publish()
		list := a.ends()
		require.Len(t, list, 1)
		require.Equal(t, enrollment.Enrolled, list[0].State)
		require.Positive(t, list[0].LedgerIndex)
		again, err := a.enroll("adam", "943-476-5919")
		require.NoError(t, err)
		require.Equal(t, list[0], again)

		b.agree("adam")
		b.agree("eve")
		_, err = b.enroll("adam", "943.476.5919")
		require.NoError(t, err)
		_, err = b.enroll("eve", "943 476 5870")
		require.NoError(t, err)
		b.publish()
		by := make(map[enrollment.State]enrollment.Participant)
		for _, p := range b.ends() {
			by[p.State] = p
		}
		require.Len(t, by, 2, "Eve is another person")
		require.Equal(t, "enrollment.twice", by[enrollment.Refused].Refused.Rule)
		for _, sent := range w.asked {
			require.NotContains(t, strings.NewReplacer(" ", "", "-", "", ".", "").Replace(string(sent)), "4765919")
			require.NotContains(t, string(sent), "adam")
		}
		var stored string
		require.NoError(t, a.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT trial || participant || salt || refused FROM enrollment`).Scan(&stored)
		}))
		require.NotContains(t, stored, "9434765919")
	})
}

// What the node was told is the same when it asks again after its answer was lost.
func TestALostAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	key := peertest.NewKey(t)
	w := newWorld(t, key)
	s := newSite(t, w, key, sqltest.SQLite(t))
	s.agree("adam")
	_, err := s.enroll("adam", "943 476 5919")
	require.NoError(t, err)
	s.publish()
	w.lose = true
	require.Equal(t, enrollment.Enrolled, s.ends()[0].State)
	_, all, err := w.reader.Enrollments(t.Context(), "glucose-1", -1, 10)
	require.NoError(t, err)
	require.Equal(t, 1, all)
}

func TestNobodyWaitsForAProofThatFails(t *testing.T) {
	t.Parallel()
	key := peertest.NewKey(t)
	w := newWorld(t, key)
	s := newSite(t, w, key, sqltest.SQLite(t))
	s.failing = true
	for patient, identifier := range map[string]string{"adam": "943 476 5919", "eve": "943 476 5870"} {
		s.agree(patient)
		_, err := s.enroll(patient, identifier)
		require.NoError(t, err)
	}
	s.publish()
	require.ElementsMatch(t, []enrollment.State{enrollment.Waiting, enrollment.Enrolled}, states(s.until(func(list []enrollment.Participant) bool {
		return slices.Contains(states(list), enrollment.Enrolled)
	})))
}

func states(list []enrollment.Participant) (all []enrollment.State) {
	for _, p := range list {
		all = append(all, p.State)
	}
	return all
}

func TestAReplicaThatLiesIsNamed(t *testing.T) {
	t.Parallel()
	key := peertest.NewKey(t)
	w := newWorld(t, key)
	s := newSite(t, w, key, sqltest.SQLite(t))
	s.agree("adam")
	liar := w.key.Holders[0].Holder
	honest := w.shares[liar]
	var err error
	w.shares[liar], err = oprf.NewKey(rand.Reader, oprf.Verifiable)
	require.NoError(t, err)
	_, err = s.enroll("adam", "943 476 5919")
	require.NoError(t, err, "the other two are enough")
	require.Contains(t, s.log.String(), "holder="+string(liar))

	w.silent[w.key.Holders[1].Holder] = true
	_, err = s.enroll("adam", "943 476 5919")
	var said *problem.Error
	require.ErrorAs(t, err, &said)
	require.Equal(t, problem.Unavailable, said.Kind)
	require.Contains(t, err.Error(), liar.Short()+" answered with another key than its own")
	require.Contains(t, err.Error(), w.key.Holders[1].Holder.Short()+" did not answer")

	// The secret is the same whoever answers: it is of no holder.
	w.shares[liar] = honest
	_, err = s.enroll("adam", "943 476 5919")
	require.NoError(t, err)
	s.publish()
	require.Equal(t, enrollment.Enrolled, s.ends()[0].State)
}

func TestWhoMayNotEnroll(t *testing.T) {
	t.Parallel()
	key := peertest.NewKey(t)
	w := newWorld(t, key)
	s := newSite(t, w, key, sqltest.SQLite(t))
	s.agree("adam")
	s.agree("eve")
	_, err := s.enroll("adam", "943 476 5919")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		trial               trial.ID
		patient, identifier string
		want                error
	}{
		"somebody who never agreed":        {"glucose-1", "zoe", "1", consent.ErrUnconsented},
		"a second patient of one person":   {"glucose-1", "eve", "943-476-5919", consent.ErrSamePerson},
		"a trial that is not":              {"glucose-9", "eve", "1", registry.ErrTrialUnknown},
		"an identifier that says nothing":  {"glucose-1", "eve", "n/a", nil},
		"an identifier without any letter": {"glucose-1", "eve", " - ", nil},
	} {
		_, err := s.desk.Enroll(t.Context(), c.trial, c.patient, c.identifier)
		var said *problem.Error
		require.ErrorAs(t, err, &said, name)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
		}
	}
}

// Whoever withdraws before the ledger has them is not enrolled.
func TestWithdrawalComesFirst(t *testing.T) {
	t.Parallel()
	key := peertest.NewKey(t)
	w := newWorld(t, key)
	s := newSite(t, w, key, sqltest.SQLite(t))
	adam := s.agree("adam")
	_, err := s.enroll("adam", "943 476 5919")
	require.NoError(t, err)
	s.publish()
	refusal, err := message.Seal(adam, agreed.KindRefusal, agreed.Refusal{Trial: "glucose-1", Node: s.DID(), Document: message.Digest{1}}, start.Add(time.Second), time.Hour, rand.Reader)
	require.NoError(t, err)
	_, err = s.book.Record(t.Context(), person("adam"), refusal, start.Add(time.Second))
	require.NoError(t, err)
	list := s.ends()
	require.Equal(t, enrollment.Refused, list[0].State)
	require.Equal(t, "enrollment.consent", list[0].Refused.Rule)
}
