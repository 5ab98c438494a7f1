package registry_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/standin"
)

// sites are a hub with the consents of its nodes, in trials that enroll people.
type sites struct {
	*hub
	leaves []*leaves // by node
	key    enrollment.PersonKey
	other  peertest.Trial // of the same nodes
}

func enrollmentCircuit() peertest.Circuit {
	c := circuits.Enrollment(circuits.TreeDepth)
	return peertest.Circuit{Circuit: entry.Circuit{Shape: c.String(), VerifyingKey: []byte("key of " + c.String()), Development: true}}
}

func newSites(t testing.TB) *sites {
	t.Helper()
	s := &sites{hub: newHub(t).withTrial(t)}
	s.must(t, registry.RegisterCircuit{Circuit: enrollmentCircuit().Circuit})
	s.key = s.personKey(t, 2)
	s.must(t, registry.FixPersonKey{Key: s.key})
	nodes := s.trial.Design.Nodes
	register := func(id trial.ID) peertest.Trial {
		x := peertest.NewTrial(t, nodes, s.trial.Design.Disclosure, start)
		x.Design.ID, x.Design.Participants = id, &trial.Participants{Identifier: "urn:test"}
		x.Registration = peertest.Approve(t, x.Design, x.Sponsor, x.Board, start)
		s.must(t, registry.RegisterTrial{Registration: x.Registration})
		return x
	}
	s.trial, s.other = register("people-1"), register("people-2")
	for range nodes {
		s.leaves = append(s.leaves, newLeaves())
	}
	return s
}

// personKey makes a key that all nodes share.
func (s *sites) personKey(t testing.TB, threshold int) enrollment.PersonKey {
	t.Helper()
	whole, err := oprf.NewKey(rand.Reader, oprf.Verifiable)
	require.NoError(t, err)
	shares, err := whole.Split(rand.Reader, threshold, len(s.nodes))
	require.NoError(t, err)
	key := enrollment.PersonKey{Threshold: threshold}
	for i, share := range shares {
		key.Holders = append(key.Holders, enrollment.Holder{Holder: s.nodes[i].DID(), Public: share.Public().Bytes()})
	}
	return key
}

// somebody is a person with a consent at a site.
type somebody struct {
	secret     circuits.Secret
	node, leaf int
	attributes circuits.Attributes
}

var blind = circuits.Element{31: 9}

// agrees publishes the consent of a person at a node.
func (s *sites) agrees(t testing.TB, person byte, node, leaf int) somebody {
	t.Helper()
	who := somebody{circuits.PersonSecret([64]byte{person}), node, leaf, circuits.Attributes{
		Mask: consent.MaskOf(consent.Statistics), Status: circuits.Active, From: uint32(start.Unix()), To: uint32(start.Add(24 * time.Hour).Unix()),
	}}
	s.change(t, who)
	return who
}

// change publishes a person's leaf as it is, beside another.
func (s *sites) change(t testing.TB, who somebody) {
	t.Helper()
	commitment, err := who.secret.Commit(blind)
	require.NoError(t, err)
	l := s.leaves[who.node]
	list := l.list(t, who.leaf, who.leaf+1)
	list[0].New, err = circuits.Consent{Participant: commitment, Attributes: who.attributes}.Leaf()
	require.NoError(t, err)
	s.must(t, l.publish(t, s.hub, s.nodes[who.node], list, func(*consent.Changes) {}))
}

// enroll proves an enrollment under the consents as they stand.
func (s *sites) enroll(t testing.TB, who somebody) enrollment.Enrollment {
	t.Helper()
	node := s.nodes[who.node].DID()
	places, err := s.reader.Places(t.Context(), s.trial.Design.ID, node)
	require.NoError(t, err)
	digest, err := s.key.Digest()
	require.NoError(t, err)
	e := enrollment.Enrollment{
		Trial: s.trial.Design.ID, Key: digest, Site: enrollment.SiteOf(node, "did:key:zSomebody", [32]byte{byte(who.node)}),
		Time: s.at, Circuit: enrollmentCircuit().Digest(),
	}
	w := circuits.EnrollmentWitness{
		Secret: who.secret, Blind: blind, Attributes: who.attributes,
		Trial: enrollment.TrialElement(s.hub.key.DID(), e.Trial), Time: uint32(e.Time.Unix()),
	}
	w.Signal, err = e.Signal()
	require.NoError(t, err)
	within, err := circuits.PathIn(s.leaves[who.node].rows, who.leaf, circuits.BlockLevel)
	require.NoError(t, err)
	tree, err := circuits.ConsentTree(circuits.BlockLeaves, circuits.TreeDepth, places.Blocks)
	require.NoError(t, err)
	above, err := tree.Path(places.Own[who.leaf/circuits.BlockLeaves])
	require.NoError(t, err)
	w.Path = within.Then(above)
	proof, err := standin.Proofs{}.Enrollment(t.Context(), w)
	require.NoError(t, err)
	e.Root, e.Nullifier, e.Proof = proof.Public.Root, proof.Public.Nullifier, proof.Proof[:]
	return e
}

// One person at two sites is enrolled once, and neither the ledger nor the refusal says where.
func TestAPersonIsEnrolledOnce(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	here, there := s.agrees(t, 1, 0, 5), s.agrees(t, 1, 1, 2100)
	other := s.agrees(t, 2, 1, 2102)
	first := s.enroll(t, here)
	out := s.must(t, registry.EnrollPerson{Enrollment: first})

	again, err := s.apply(t, registry.EnrollPerson{Enrollment: first})
	require.NoError(t, err)
	require.Equal(t, registry.Outcome{LedgerIndex: out.LedgerIndex, Existed: true}, again, "a lost answer")
	_, err = s.apply(t, registry.EnrollPerson{Enrollment: s.enroll(t, there)})
	require.ErrorIs(t, err, enrollment.ErrTwice)
	require.NotContains(t, err.Error(), string(s.nodes[0].DID()))
	s.must(t, registry.EnrollPerson{Enrollment: s.enroll(t, other)})

	list, all, err := s.reader.Enrollments(t.Context(), "people-1", -1, 1)
	require.NoError(t, err)
	require.Equal(t, 2, all)
	require.Len(t, list, 1)
	require.Equal(t, first, list[0].Enrollment)
	list, _, err = s.reader.Enrollments(t.Context(), "people-1", list[0].LedgerIndex, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	raw, err := canonical.Marshal(first)
	require.NoError(t, err)
	public, err := s.reader.Document(t.Context(), message.Sum(raw))
	require.NoError(t, err)
	require.NotContains(t, string(public), string(s.nodes[0].DID()))

	places, err := s.reader.Places(t.Context(), "people-1", s.nodes[1].DID())
	require.NoError(t, err)
	require.Len(t, places.Blocks, 2, "in the order of the ledger")
	require.Equal(t, map[int]int{2: 1}, places.Own)
	s.replay(t)
}

func TestEnrollmentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, s *sites, who somebody, e *enrollment.Enrollment)
		want   error
	}{
		"replayed for another trial": {func(_ *testing.T, s *sites, _ somebody, e *enrollment.Enrollment) {
			e.Trial = s.other.Design.ID
		}, enrollment.ErrRoot},
		"replayed for another trial of the same consents": {func(t *testing.T, s *sites, who somebody, e *enrollment.Enrollment) {
			id := s.trial.Design.ID
			s.trial.Design.ID, s.leaves[who.node] = s.other.Design.ID, newLeaves()
			s.change(t, who)
			s.trial.Design.ID = id
			e.Trial, e.Time = s.other.Design.ID, s.at
		}, enrollment.ErrProof},
		"a trial that enrolls nobody": {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Trial = "glucose-1" }, enrollment.ErrClosed},
		"no trial":                    {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Trial = "other" }, registry.ErrTrialUnknown},
		"after it closed": {func(_ *testing.T, s *sites, _ somebody, e *enrollment.Enrollment) {
			s.at = s.trial.Design.Closes
			e.Time = s.at
		}, enrollment.ErrClosed},
		"another person's nullifier": {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Nullifier[31] ^= 1 }, enrollment.ErrProof},
		"with something else":        {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Site[0] ^= 1 }, enrollment.ErrProof},
		"a root that never was":      {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Root[31] ^= 1 }, enrollment.ErrRoot},
		"another person key":         {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Key[0] ^= 1 }, enrollment.ErrKey},
		"of the future":              {func(_ *testing.T, s *sites, _ somebody, e *enrollment.Enrollment) { e.Time = s.at.Add(time.Hour) }, enrollment.ErrTime},
		"of yesterday":               {func(_ *testing.T, s *sites, _ somebody, e *enrollment.Enrollment) { e.Time = s.at.Add(-24 * time.Hour) }, enrollment.ErrTime},
		"another time of this hour":  {func(_ *testing.T, s *sites, _ somebody, e *enrollment.Enrollment) { e.Time = s.at.Add(-time.Minute) }, enrollment.ErrProof},
		"parts of a second":          {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Time = e.Time.Add(1) }, enrollment.ErrTime},
		"proof of a circuit of epochs": {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) {
			e.Circuit = peertest.EpochCircuit().Digest()
		}, enrollment.ErrCircuit},
		"no proof": {func(_ *testing.T, _ *sites, _ somebody, e *enrollment.Enrollment) { e.Proof = nil }, enrollment.ErrProof},
		"a consent withdrawn an hour ago": {func(t *testing.T, s *sites, who somebody, e *enrollment.Enrollment) {
			who.attributes.Status = circuits.Withdrawn
			s.change(t, who)
			s.at = s.at.Add(enrollment.Window)
			e.Time = s.at
		}, enrollment.ErrRoot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSites(t)
			who := s.agrees(t, 1, 0, 5)
			e := s.enroll(t, who)
			c.change(t, s, who, &e)
			_, err := s.apply(t, registry.EnrollPerson{Enrollment: e})
			require.ErrorIs(t, err, c.want)
			var refused *problem.Error
			require.ErrorAs(t, err, &refused)
			_, all, err := s.reader.Enrollments(t.Context(), "people-1", -1, 1)
			require.NoError(t, err)
			require.Zero(t, all)
		})
	}
}

// Others may publish while a proof is on its way: its root holds for an hour after the next.
func TestARootHoldsForAnHour(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	who := s.agrees(t, 1, 0, 5)
	e := s.enroll(t, who)
	s.agrees(t, 2, 1, 0)
	s.at = s.at.Add(enrollment.Window - time.Minute)
	e.Time = s.at
	_, err := s.apply(t, registry.EnrollPerson{Enrollment: e})
	require.ErrorIs(t, err, enrollment.ErrProof, "another time than was proven, under a root that still holds")
	s.must(t, registry.EnrollPerson{Enrollment: s.enroll(t, who)})
}

// A network of before anybody enrolled gets its tree over all sites with the next change.
func TestConsentsOfBeforeHaveTheirPlaces(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	a, b := s.agrees(t, 1, 1, 5), s.agrees(t, 2, 0, 3000)
	want, err := s.reader.Places(t.Context(), "people-1", s.nodes[0].DID())
	require.NoError(t, err)
	require.NoError(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, table := range []string{"people_block", "people_group", "people_root"} {
			if _, err := tx.Exec(t.Context(), "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	}))
	got, err := s.reader.Places(t.Context(), "people-1", s.nodes[0].DID())
	require.NoError(t, err)
	require.Empty(t, got.Blocks)
	s.agrees(t, 3, 1, 9)
	got, err = s.reader.Places(t.Context(), "people-1", s.nodes[0].DID())
	require.NoError(t, err)
	require.Equal(t, want.Own, got.Own)
	require.Equal(t, want.Blocks[1], got.Blocks[1])
	s.must(t, registry.EnrollPerson{Enrollment: s.enroll(t, a)})
	s.must(t, registry.EnrollPerson{Enrollment: s.enroll(t, b)})
}

// A node cannot take the places of all others.
func TestANodeHasSoManyPlaces(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	var far []int
	for block := range 300 {
		far = append(far, block*circuits.BlockLeaves)
	}
	s.must(t, s.leaves[0].change(t, s.hub, s.nodes[0], far...))
	places, err := s.reader.Places(t.Context(), "people-1", s.nodes[0].DID())
	require.NoError(t, err)
	require.Len(t, places.Blocks, circuits.MaxBlocks)
	s.must(t, registry.EnrollPerson{Enrollment: s.enroll(t, s.agrees(t, 1, 1, 5))})
	s.replay(t)
}

func TestPersonKeyIsForGood(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	out, err := s.apply(t, registry.FixPersonKey{Key: s.key})
	require.NoError(t, err)
	require.True(t, out.Existed)
	_, err = s.apply(t, registry.FixPersonKey{Key: s.personKey(t, 1)})
	require.ErrorIs(t, err, registry.ErrPersonKey)
	for name, change := range map[string]func(*enrollment.PersonKey){
		"nobody":                  func(k *enrollment.PersonKey) { k.Holders = nil },
		"a holder twice":          func(k *enrollment.PersonKey) { k.Holders[1].Holder = k.Holders[0].Holder },
		"a holder who is none":    func(k *enrollment.PersonKey) { k.Holders[1].Holder = "did:key:z" },
		"a share of another key":  func(k *enrollment.PersonKey) { k.Holders[1].Public = s.personKey(t, 2).Holders[1].Public },
		"another threshold":       func(k *enrollment.PersonKey) { k.Threshold = 1 },
		"a share that is no key":  func(k *enrollment.PersonKey) { k.Holders[1].Public = make([]byte, 32) },
		"a threshold beyond them": func(k *enrollment.PersonKey) { k.Threshold = 9 },
	} {
		key := s.personKey(t, 2)
		change(&key)
		_, err := s.apply(t, registry.FixPersonKey{Key: key})
		require.ErrorIs(t, err, registry.ErrPersonKeyForm, name)
	}
}

// Whoever has a node cannot try out a country's identifiers.
func TestLookingPeopleUpIsCounted(t *testing.T) {
	t.Parallel()
	s := newSites(t)
	node, other := s.nodes[0].DID(), s.nodes[1].DID()
	s.must(t, registry.CountPeople{Node: node, Values: enrollment.DayValues - 1})
	_, err := s.apply(t, registry.CountPeople{Node: node, Values: 2})
	require.ErrorIs(t, err, enrollment.ErrMany)
	s.must(t, registry.CountPeople{Node: node, Values: 1})
	s.must(t, registry.CountPeople{Node: other, Values: 1})
	_, err = s.apply(t, registry.CountPeople{Node: node, Values: 1})
	require.ErrorIs(t, err, enrollment.ErrMany)
	_, err = s.apply(t, registry.CountPeople{Node: other, Values: 0})
	require.ErrorIs(t, err, enrollment.ErrMany)
	_, err = s.apply(t, registry.CountPeople{Node: s.key.Holders[0].Holder + "x", Values: 1})
	require.ErrorIs(t, err, registry.ErrNodeUnknown)
	s.at = s.at.Add(24 * time.Hour)
	s.must(t, registry.CountPeople{Node: node, Values: enrollment.DayValues})
	s.replay(t)
}
