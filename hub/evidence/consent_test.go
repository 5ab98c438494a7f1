package evidence_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// clinic is a hospital with its consents and the ledger that they are published on. Proofs
// are stand-ins: what is asked here is what they are about.
type clinic struct {
	*world
	site *peertest.Site
	last message.Digest // epoch
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	w := &world{now: noon, db: sqltest.SQLite(t)}
	for _, key := range []*identity.Key{&w.log, &w.hub} {
		*key = peertest.NewKey(t)
	}
	require.NoError(t, registry.Migrate(t.Context(), w.db))
	w.machine = registry.NewMachine(w.db, w.hub.DID(), peertest.Proofs{})
	w.trust.Trust = entry.Trust{Hub: w.hub.DID(), Origin: origin, LogKey: verifierKey(w.log)}
	node := peertest.NewKey(t)
	c := &clinic{world: w}
	w.do(registry.RegisterCircuit{Circuit: peertest.EpochCircuit().Circuit})
	w.do(registry.InviteNode{Name: "clinic", Organization: "Hospital"})
	w.do(registry.EnrollNode{Node: node.DID(), Name: "clinic"})
	design := peertest.NewTrial(t, []identity.DID{node.DID()}, disclosure.Policy{}, w.now)
	w.do(registry.RegisterTrial{Registration: design.Registration})
	c.site = peertest.NewSite(t, peertest.Config{
		Key: node, Hub: w.hub.DID(), Trial: design, People: peertest.People(5, 0), Now: func() time.Time { return w.now },
	})
	return c
}

// publish puts what the clinic's people said on the ledger.
func (c *clinic) publish(t *testing.T) {
	t.Helper()
	c.last = c.site.Publish(t, func(d consent.Draft) int64 {
		if d.IsEpoch() {
			return c.do(registry.PublishEpoch{Envelope: d.Envelope}).LedgerIndex
		}
		return c.do(registry.ChangeConsents{Batch: agreed.Batch{Envelope: d.Envelope, Leaves: d.Leaves}}).LedgerIndex
	})
}

// answer has the clinic answer a question.
func (c *clinic) answer(t *testing.T, by query.Stratifier) query.ID {
	t.Helper()
	r := c.site.Trial.CountBySex()
	r.Analysis.By = []query.Stratifier{by}
	e := c.site.Trial.Sign(t, r, c.now)
	c.do(registry.AskQuestion{Envelope: e, Deadline: c.now.Add(time.Minute)})
	c.do(registry.FinishQuestion{Result: query.Result{
		Query: e.Digest(), Trial: c.site.Trial.Design.ID, State: query.Complete, Answered: []query.Answered{{Node: c.site.Key.DID(), Epoch: c.last, AtLeast: 11}},
	}})
	return e.Digest()
}

// receipt is what the i-th participant takes home, as the file that it is.
func (c *clinic) receipt(t *testing.T, i int) agreed.Receipt {
	t.Helper()
	r, err := c.site.Book.Receipt(t.Context(), c.site.Trial.Design.ID, c.site.Participants[i].DID())
	require.NoError(t, err)
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	var read agreed.Receipt
	require.NoError(t, json.Unmarshal(raw, &read))
	require.Equal(t, r, read)
	return read
}

func (c *clinic) verify(t *testing.T, r agreed.Receipt) evidence.Report {
	t.Helper()
	source := stored{c.sign(context.Background(), c.db), registry.NewReader(c.db)}
	report, err := evidence.VerifyConsent(t.Context(), source, c.trust, r)
	require.NoError(t, err)
	return report
}

// found returns the check of a name.
func found(t *testing.T, r evidence.Report, name string) evidence.Check {
	t.Helper()
	i := slices.IndexFunc(r.Checks, func(c evidence.Check) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s is not among %v", name, r.Checks)
	return r.Checks[i]
}

// TestAParticipantFollowsTheirConsent with one receipt through what others say, the looks
// that their leaf takes on, and their own withdrawal.
func TestAParticipantFollowsTheirConsent(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	early := c.receipt(t, 0)
	require.EqualValues(t, -1, early.LedgerIndex)
	check := found(t, c.verify(t, early), evidence.CheckConsent)
	require.True(t, check.Failed())
	require.Contains(t, check.Detail, "published nothing of it yet")

	c.publish(t)
	before := c.answer(t, query.BySex)
	for i := 4; i > 0; i-- { // each in a batch with decoys, of which the leaf is one at times
		c.site.Withdraw(t, i)
		c.publish(t)
		c.now = c.now.Add(time.Minute)
	}
	report := c.verify(t, early)
	require.Empty(t, report.Failed())
	require.Contains(t, found(t, report, evidence.CheckConsent).Detail, "in force")
	require.Contains(t, found(t, report, evidence.CheckUsed).Detail, "1 answers ("+before.String()+")")

	kept := c.receipt(t, 0)
	require.GreaterOrEqual(t, kept.LedgerIndex, int64(0))
	c.site.Withdraw(t, 0)
	waiting := c.receipt(t, 0)
	check = found(t, c.verify(t, waiting), evidence.CheckConsent)
	require.True(t, check.Failed(), "a node that keeps a withdrawal to itself is found")
	require.Contains(t, check.Detail, "the last, of")

	c.publish(t)
	after := c.answer(t, query.ByAgeGroup)
	report = c.verify(t, waiting)
	require.Empty(t, report.Failed())
	require.Contains(t, found(t, report, evidence.CheckConsent).Detail, "withdrawn")
	used := found(t, report, evidence.CheckUsed).Detail
	require.Contains(t, used, "1 answers ("+before.String()+")")
	require.Contains(t, used, "1 answers ("+after.String()+")")
	require.True(t, found(t, c.verify(t, kept), evidence.CheckLeaf).Failed(), "whoever has not signed the withdrawal would see it")
}

// TestAConsentThatIsGivenAgain in the same words looks like the first; the receipts tell
// which of the two counts.
func TestAConsentThatIsGivenAgain(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.publish(t)
	c.site.Withdraw(t, 0)
	c.now = c.now.Add(time.Minute)
	grant, err := message.Replay[agreed.Grant](c.site.Grants[0], agreed.KindGrant)
	require.NoError(t, err)
	again, err := message.Seal(c.site.Participants[0], agreed.KindGrant, grant, c.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	changed, err := c.site.Book.Record(t.Context(), c.site.Persons[0], again, c.now)
	require.NoError(t, err)
	require.True(t, changed)
	c.publish(t)
	r := c.receipt(t, 0)
	require.Len(t, r.Said, 3)
	report := c.verify(t, r)
	require.Empty(t, report.Failed())
	require.Contains(t, found(t, report, evidence.CheckConsent).Detail, "in force")
	r.Said = r.Said[:1]
	require.True(t, found(t, c.verify(t, r), evidence.CheckLeaf).Failed(), "it is another message than the first")
}

// TestReceiptsThatDoNotFit say so.
func TestReceiptsThatDoNotFit(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.publish(t)
	good := c.receipt(t, 0)
	other := c.receipt(t, 1)
	require.Empty(t, c.verify(t, good).Failed())
	for name, x := range map[string]struct {
		change func(*agreed.Receipt)
		check  string
	}{
		"another leaf":            {func(r *agreed.Receipt) { r.Index = other.Index }, evidence.CheckConsent},
		"another secret":          {func(r *agreed.Receipt) { r.Secret[0]++ }, evidence.CheckConsent},
		"another trial":           {func(r *agreed.Receipt) { r.Trial = "other" }, evidence.CheckOwn},
		"another node":            {func(r *agreed.Receipt) { r.Node = c.hub.DID() }, evidence.CheckOwn},
		"another participant":     {func(r *agreed.Receipt) { r.Participant = other.Participant }, evidence.CheckOwn},
		"somebody else's message": {func(r *agreed.Receipt) { r.Said = other.Said }, evidence.CheckOwn},
		"a forged message":        {func(r *agreed.Receipt) { r.Said[0].Signature[0]++ }, evidence.CheckOwn},
		"no message":              {func(r *agreed.Receipt) { r.Said = nil }, evidence.CheckOwn},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.receipt(t, 0)
			x.change(&r)
			failed := c.verify(t, r).Failed()
			require.Len(t, failed, 1)
			require.Equal(t, x.check, failed[0].Name)
		})
	}
}

// TestTreesAreRecomputed: a hub that recorded changes, or an epoch, which do not follow
// from what was published is found from the ledger alone.
func TestTreesAreRecomputed(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	c.publish(t)
	c.site.Withdraw(t, 0)
	c.publish(t)
	c.source = stored{c.sign(context.Background(), c.db), registry.NewReader(c.db)}
	trees := func(t *testing.T, source evidence.Source) evidence.Check {
		t.Helper()
		report, err := evidence.VerifyLedger(t.Context(), source, c.trust, "")
		require.NoError(t, err)
		return found(t, report, evidence.CheckTrees)
	}
	require.True(t, trees(t, c.source).OK)
	node := c.site.Key
	for name, lie := range map[string]func(l *tale, changes, epochs []*chapter){
		"another root": func(l *tale, changes, _ []*chapter) {
			forge(l, changes[1], node, func(c *agreed.Changes) { c.After[31] ^= 1 })
		},
		"changes left out":        func(l *tale, changes, _ []*chapter) { l.remove(changes[1]) },
		"an epoch before changes": func(l *tale, changes, epochs []*chapter) { l.move(epochs[1], changes[1]) },
		"an epoch of other leaves": func(l *tale, _, epochs []*chapter) {
			forge(l, epochs[1], node, func(e *agreed.Epoch) { e.Shards[0].Root[31] ^= 1 })
		},
		"an epoch that names none": func(l *tale, _, epochs []*chapter) {
			forge(l, epochs[1], node, func(e *agreed.Epoch) { e.Changes = 0 })
		},
		"another old leaf": func(l *tale, changes, _ []*chapter) {
			l.list(changes[1], node, func(list []agreed.Change) []agreed.Change { list[0].Old[31] ^= 1; return list })
		},
		"a list too long": func(l *tale, changes, _ []*chapter) {
			l.list(changes[1], node, func(list []agreed.Change) []agreed.Change { return slices.Repeat(list, agreed.MaxChanges) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := truth(t, c.world)
			subject := string(c.site.Trial.Design.ID)
			lie(l, l.all(entry.ConsentChanged, subject), l.all(entry.ConsentEpoch, subject))
			require.True(t, trees(t, l.tell()).Failed())
		})
	}
}

// list gives changes another list, and has them signed again.
func (l *tale) list(c *chapter, key identity.Key, change func([]agreed.Change) []agreed.Change) {
	e, err := message.Parse(c.document)
	require.NoError(l.t, err)
	body, err := message.Stored[agreed.Changes](e, agreed.KindChanges)
	require.NoError(l.t, err)
	raw, err := l.w.source.Document(l.t.Context(), body.Leaves)
	require.NoError(l.t, err)
	var list []agreed.Change
	require.NoError(l.t, json.Unmarshal(raw, &list))
	raw, err = canonical.Marshal(change(list))
	require.NoError(l.t, err)
	l.others[message.Sum(raw)] = raw
	forge(l, c, key, func(c *agreed.Changes) { c.Leaves = message.Sum(raw) })
}
