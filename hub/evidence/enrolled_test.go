package evidence_test

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const peopleTrial trial.ID = "people-1"

// peopled is a log in which two people enroll in a trial, at one site each.
type peopled struct {
	*tale
	key    *chapter
	people []*chapter
}

// add ends the log with an entry.
func (l *tale) add(kind entry.Kind, actor identity.DID, subject string, document any) *chapter {
	l.t.Helper()
	c := &chapter{Entry: entry.Entry{Kind: kind, At: l.w.now, Actor: actor, Subject: subject}}
	l.write(c, document)
	l.chapters = append(l.chapters, c)
	return c
}

func newPeopled(t *testing.T) *peopled {
	t.Helper()
	w := network(t)
	l := &peopled{tale: truth(t, w)}
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	keys, err := prover.DevelopmentKeys(t.Context(), dir, circuits.Enrollment(circuits.TreeDepth))
	require.NoError(t, err)
	p := keys.Published()
	l.Circuits = append(slices.Clone(l.Circuits), evidence.Circuit{Key: keys.Verifying().Digest(), Development: true})
	l.add(entry.CircuitRegistered, w.hub.DID(), keys.Circuit().String(), entry.Circuit{
		Shape: keys.Circuit().String(), VerifyingKey: p.VerifyingKey, ProvingDigest: p.ProvingDigest, Development: true,
	})
	key := enrollment.PersonKey{Threshold: 1, Holders: []enrollment.Holder{{Holder: w.hub.DID(), Public: make([]byte, 32)}}}
	digest, err := key.Digest()
	require.NoError(t, err)
	l.key = l.add(entry.PersonKeyFixed, w.hub.DID(), digest.String(), key)
	l.register(t)

	desk, err := prover.NewParticipant(prover.ParticipantConfig{Enrollment: keys})
	require.NoError(t, err)
	blind := circuits.Element{31: 7}
	attributes := circuits.Attributes{Mask: 1, Status: circuits.Active, From: 0, To: 1<<32 - 1}
	var trees [2]circuits.MemoryRows
	var blocks []circuits.Element
	var secrets [2]circuits.Secret
	for i := range trees {
		secrets[i], trees[i] = circuits.PersonSecret([64]byte{byte(i + 1)}), circuits.MemoryRows{}
		commitment, err := secrets[i].Commit(blind)
		require.NoError(t, err)
		leaf, err := circuits.Consent{Participant: commitment, Attributes: attributes}.Leaf()
		require.NoError(t, err)
		l.change(t, i, trees[i], 40*i, leaf)
		block, err := circuits.TreeElement(trees[i], circuits.BlockLevel, 0)
		require.NoError(t, err)
		blocks = append(blocks, block)
	}
	sites, err := circuits.ConsentTree(circuits.BlockLeaves, circuits.TreeDepth, blocks)
	require.NoError(t, err)
	for i := range trees {
		e := enrollment.Enrollment{Trial: peopleTrial, Key: digest, Site: message.Digest{byte(i)}, Time: w.now, Circuit: keys.Verifying().Digest()}
		within, err := circuits.PathIn(trees[i], 40*i, circuits.BlockLevel)
		require.NoError(t, err)
		above, err := sites.Path(i)
		require.NoError(t, err)
		witness := circuits.EnrollmentWitness{
			Secret: secrets[i], Blind: blind, Attributes: attributes, Path: within.Then(above),
			Trial: enrollment.TrialElement(w.hub.DID(), peopleTrial), Time: uint32(e.Time.Unix()),
		}
		witness.Signal, err = e.Signal()
		require.NoError(t, err)
		proof, err := desk.Enrollment(t.Context(), witness)
		require.NoError(t, err)
		e.Root, e.Nullifier, e.Proof = proof.Public.Root, proof.Public.Nullifier, proof.Proof[:]
		l.people = append(l.people, l.add(entry.PersonEnrolled, w.hub.DID(), string(peopleTrial), e))
	}
	return l
}

// register adds the trial.
func (l *peopled) register(t *testing.T) {
	t.Helper()
	w := l.w
	design := trial.Design{
		ID: peopleTrial, Title: "People", Nodes: []identity.DID{w.sites[0].key.DID(), w.sites[1].key.DID()}, Researchers: []identity.DID{w.researcher.DID()},
		Participants: &trial.Participants{Identifier: "urn:test"}, Opens: w.now.Add(-time.Hour), Closes: w.now.Add(time.Hour),
	}
	signed, err := message.Seal(w.sponsor, trial.KindDesign, design, w.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	approval, err := message.Seal(w.board, trial.KindApproval, trial.Approval{Trial: peopleTrial, Design: signed.Digest()}, w.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	l.add(entry.TrialRegistered, w.sponsor.DID(), string(peopleTrial), trial.Registration{Design: signed, Approvals: []message.Envelope{approval}})
}

// change adds the first change of a site's tree.
func (l *peopled) change(t *testing.T, site int, rows circuits.MemoryRows, index int, leaf circuits.Element) {
	t.Helper()
	key := l.w.sites[site].key
	list := []agreed.Change{{Index: index, Old: circuits.EmptyLeaf(), New: leaf, Receipt: message.Digest{1}}}
	c := agreed.Changes{Trial: peopleTrial, Node: key.DID(), Number: 1, Before: circuits.EmptyTree()}
	var err error
	c.After, err = circuits.UpdateTree(rows, 0, []circuits.Placed{{Index: index, Hash: leaf}})
	require.NoError(t, err)
	c.Leaves, err = agreed.LeavesDigest(list)
	require.NoError(t, err)
	e, err := message.Seal(key, agreed.KindChanges, c, l.w.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	l.add(entry.ConsentChanged, key.DID(), string(peopleTrial), e)
	scratch := new(chapter)
	l.write(scratch, list)
	l.others[c.Leaves] = scratch.document
}

// enrolled returns what is said of who is enrolled: what failed, if anything did.
func (l *peopled) enrolled(t *testing.T) (check evidence.Check) {
	t.Helper()
	report, err := evidence.VerifyTrial(t.Context(), l.tell(), *l.Trust, "", peopleTrial)
	require.NoError(t, err)
	for _, c := range report.Checks {
		if c.Name == evidence.CheckPeople || c.Name == evidence.CheckPersonKey {
			if check = c; c.Failed() {
				return check
			}
		}
	}
	return check
}

func TestWhoIsEnrolledIsVerified(t *testing.T) {
	t.Parallel()
	l := newPeopled(t)
	check := l.enrolled(t)
	require.Equal(t, evidence.CheckPeople, check.Name)
	require.True(t, check.OK, check.Detail)
	require.Contains(t, check.Detail, "2 people, each once")

	// A hub that lies, each lie put right afterwards.
	last := l.people[1]
	for name, lie := range map[string]struct {
		tell func()
		want string
	}{
		"a person twice": {func() { l.add(entry.PersonEnrolled, last.Actor, last.Subject, rawOf(last)) }, "enrolled again"},
		"twice under another payload": {func() {
			edit(l.tale, last, func(e *enrollment.Enrollment) { e.Site[0] ^= 1 })
		}, "proof"},
		"another nullifier":            {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Nullifier[31] ^= 1 }) }, "proof"},
		"an invented root":             {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Root[31] ^= 1 }) }, "root that the consents of the sites did not have"},
		"another person key":           {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Key[0] ^= 1 }) }, "another key"},
		"another time":                 {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Time = e.Time.Add(-2 * time.Hour) }) }, "another time"},
		"another trial's":              {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Trial = "other-trial" }) }, "something else than its document"},
		"a circuit that was not there": {func() { edit(l.tale, last, func(e *enrollment.Enrollment) { e.Circuit[0] ^= 1 }) }, "no circuit"},
		"by somebody else":             {func() { last.Actor = l.w.sites[0].key.DID() }, "hub"},
		"after the trial":              {func() { last.At = last.At.Add(2 * time.Hour) }, "not open"},
		"before the consents":          {func() { l.move(last, l.by(entry.ConsentChanged, string(peopleTrial), l.w.sites[1].key.DID())) }, "root"},
		"two person keys":              {func() { l.add(entry.PersonKeyFixed, l.key.Actor, l.key.Subject, rawOf(l.key)) }, "2 keys"},
	} {
		before, chapters := *last, append([]*chapter(nil), l.chapters...)
		lie.tell()
		check := l.enrolled(t)
		require.True(t, check.Failed(), name)
		require.Contains(t, check.Detail, lie.want, name)
		*last, l.chapters = before, chapters
	}
	require.True(t, l.enrolled(t).OK, "all was put right")
}

// rawOf is a chapter's document once more.
func rawOf(c *chapter) json.RawMessage { return c.document }
