package consent_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

var (
	start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	shape = circuits.Shape{ShardSize: 4, Shards: 3, Slots: 2}
	need  = agreed.MaskOf(agreed.Conditions, agreed.Statistics)
)

// desk is a book with a clock and people who come to it.
type desk struct {
	node   identity.Key
	db     *sqldb.DB
	trail  *audit.Trail
	book   *consent.Book
	now    time.Time
	leaf   int64
	shape  circuits.Shape
	prover *counting
}

func newDesk(t *testing.T, db *sqldb.DB) *desk {
	t.Helper()
	d := &desk{node: key(t), db: db, now: start, shape: shape, prover: new(counting)}
	d.reopen(t)
	return d
}

func (d *desk) reopen(t testing.TB) {
	t.Helper()
	var err error
	d.prover.shape = d.shape
	d.trail, err = audit.Open(t.Context(), d.db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	d.book, err = consent.Open(t.Context(), d.config())
	require.NoError(t, err)
}

func (d *desk) config() consent.Config {
	return consent.Config{DB: d.db, Key: d.node, Trail: d.trail, Secret: [32]byte{7}, Shape: d.shape, Window: 24 * time.Hour}
}

func key(t testing.TB) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

func person(n int64) (p omop.PersonID) {
	if err := p.Scan(n); err != nil {
		panic(err)
	}
	return p
}

func (d *desk) seal(t *testing.T, who identity.Key, kind message.Kind, body any) message.Envelope {
	t.Helper()
	e, err := message.Seal(who, kind, body, d.now, 400*24*time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}

func (d *desk) grant() agreed.Grant {
	return agreed.Grant{
		Trial: "glucose-1", Node: d.node.DID(), Scopes: need, Document: message.Digest{1},
		From: start.Add(-time.Hour), To: start.Add(300 * 24 * time.Hour),
	}
}

// consents records a new participant's grant for person n.
func (d *desk) consents(t *testing.T, n int64) (identity.Key, message.Envelope) {
	t.Helper()
	who := key(t)
	e := d.seal(t, who, agreed.KindGrant, d.grant())
	require.NoError(t, d.record(t, n, e))
	return who, e
}

func (d *desk) withdrawal(t *testing.T, who identity.Key, grant message.Envelope) message.Envelope {
	t.Helper()
	return d.seal(t, who, agreed.KindWithdrawal, agreed.Withdrawal{Trial: "glucose-1", Node: d.node.DID(), Grant: grant.Digest()})
}

func (d *desk) record(t *testing.T, n int64, e message.Envelope) error {
	t.Helper()
	_, err := d.book.Record(t.Context(), person(n), e, d.now)
	return err
}

// draft returns the next epoch, after its changes were put on a ledger.
func (d *desk) draft(t *testing.T) *consent.Draft {
	t.Helper()
	for {
		draft, err := d.book.Draft(t.Context(), "glucose-1", message.Digest{5}, d.prover, d.now)
		require.NoError(t, err)
		if draft == nil || draft.IsEpoch() {
			return draft
		}
		d.leaf++
		require.NoError(t, d.book.Recorded(t.Context(), *draft, d.leaf, d.now))
	}
}

// publish closes an epoch and puts it on a ledger.
func (d *desk) publish(t *testing.T) agreed.Epoch {
	t.Helper()
	draft := d.draft(t)
	require.NotNil(t, draft)
	d.leaf++
	require.NoError(t, d.book.Recorded(t.Context(), *draft, d.leaf, d.now))
	epoch, err := message.Replay[agreed.Epoch](draft.Envelope, agreed.KindEpoch)
	require.NoError(t, err)
	return epoch
}

// refused notes that the hub refused a draft.
func (d *desk) refused(t *testing.T, draft consent.Draft) {
	t.Helper()
	require.NoError(t, d.book.Refused(t.Context(), draft, message.Digest{5}, d.now))
}

// rows counts the rows of a table.
func (d *desk) rows(t *testing.T, table string) int {
	t.Helper()
	var n int
	require.NoError(t, d.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n)
	}))
	return n
}

func (d *desk) use() agreed.Use {
	return agreed.Use{Trial: "glucose-1", Node: d.node.DID(), Scopes: need, At: d.now}
}

// usable returns which of persons 1 to 20 a question asked now may use.
func (d *desk) usable(t *testing.T, use agreed.Use) []int64 {
	t.Helper()
	epoch, err := d.book.EpochFor(t.Context(), use, use.At, d.leaf+1)
	require.NoError(t, err)
	basis, err := d.book.Usable(t.Context(), use, epoch)
	require.NoError(t, err)
	var list []int64
	for n := int64(1); n <= 20; n++ {
		if basis.Permits(person(n)) {
			list = append(list, n)
		}
	}
	require.Equal(t, len(list), basis.Persons())
	return list
}

// counting is a prover that states what real ones state and counts its work.
type counting struct {
	shape  circuits.Shape
	proofs atomic.Int64
	fail   error
}

func (p *counting) Epoch(_ context.Context, w circuits.EpochWitness) (circuits.EpochProof, error) {
	p.proofs.Add(1)
	public, err := w.Public(p.shape.Epoch())
	return circuits.EpochProof{Public: public}, errors.Join(err, p.fail)
}

func each(t *testing.T, fn func(t *testing.T, d *desk)) {
	t.Helper()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) { fn(t, newDesk(t, db)) })
}

func TestGrantCountsFromTheNextEpoch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.consents(t, 1)
		_, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, 100)
		require.ErrorIs(t, err, consent.ErrNoEpoch)
		draft := d.draft(t)
		_, err = d.book.EpochFor(t.Context(), d.use(), d.use().At, 100)
		require.ErrorIs(t, err, consent.ErrNoEpoch, "a draft is not on the ledger")
		require.NoError(t, d.book.Recorded(t.Context(), *draft, 7, d.now))
		_, err = d.book.EpochFor(t.Context(), d.use(), d.use().At, 7)
		require.ErrorIs(t, err, consent.ErrNoEpoch, "an epoch on the ledger with or after the question proves nothing")
		got, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, 8)
		require.NoError(t, err)
		require.Equal(t, draft.Envelope.Digest(), got)
		d.leaf = 7
		d.consents(t, 2)
		require.Equal(t, []int64{1}, d.usable(t, d.use()))
		d.publish(t)
		require.Equal(t, []int64{1, 2}, d.usable(t, d.use()))
	})
}

func TestWithdrawalCountsAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, grant := d.consents(t, 1)
		d.consents(t, 2)
		d.publish(t)
		require.Equal(t, []int64{1, 2}, d.usable(t, d.use()))
		d.now = d.now.Add(time.Minute)
		withdrawal := d.withdrawal(t, who, grant)
		require.NoError(t, d.record(t, 1, withdrawal))
		require.Equal(t, []int64{2}, d.usable(t, d.use()), "under the epoch of before")
		d.publish(t)
		require.Equal(t, []int64{2}, d.usable(t, d.use()))

		// Old messages that come again change nothing.
		for _, e := range []message.Envelope{grant, withdrawal} {
			changed, err := d.book.Record(t.Context(), person(1), e, d.now)
			require.NoError(t, err)
			require.False(t, changed)
		}
		require.Equal(t, []int64{2}, d.usable(t, d.use()))
		require.Nil(t, d.draft(t))

		d.now = d.now.Add(time.Minute)
		require.NoError(t, d.record(t, 1, d.seal(t, who, agreed.KindGrant, d.grant())))
		require.Equal(t, []int64{2}, d.usable(t, d.use()), "consent given again counts from the next epoch")
		d.publish(t)
		require.Equal(t, []int64{1, 2}, d.usable(t, d.use()))
	})
}

// TestDoubtIsForThePatient: clocks that disagree never keep a consent alive.
func TestDoubtIsForThePatient(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, grant := d.consents(t, 1)
		d.publish(t)
		d.now = d.now.Add(-time.Minute) // another device, whose clock is behind
		withdrawal := d.withdrawal(t, who, grant)
		d.now = d.now.Add(time.Minute)
		require.NoError(t, d.record(t, 1, withdrawal))
		require.Empty(t, d.usable(t, d.use()))

		d.now = d.now.Add(time.Hour)
		again, same := d.seal(t, who, agreed.KindGrant, d.grant()), d.seal(t, who, agreed.KindGrant, d.grant())
		require.NoError(t, d.record(t, 1, again))
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, again)))
		require.ErrorIs(t, d.record(t, 1, same), consent.ErrStale, "signed in the second of the withdrawal")
		require.ErrorIs(t, d.record(t, 1, d.withdrawal(t, who, same)), consent.ErrGrant)
		d.publish(t)
		require.Empty(t, d.usable(t, d.use()))
	})
}

func TestWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, grant := d.consents(t, 1)
		early := d.seal(t, who, agreed.KindGrant, d.grant()) // not brought yet
		d.now = d.now.Add(time.Minute)
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		d.now = d.now.Add(time.Second)
		stranger := key(t)
		other := d.grant()
		other.Node = stranger.DID()
		forged := d.seal(t, stranger, agreed.KindGrant, d.grant())
		forged.Issuer = who.DID()
		for name, c := range map[string]struct {
			e    message.Envelope
			n    int64
			want error
		}{
			"a grant older than the withdrawal":   {early, 1, consent.ErrStale},
			"a grant for another node":            {d.seal(t, stranger, agreed.KindGrant, other), 2, consent.ErrNode},
			"a second participant for one person": {d.seal(t, stranger, agreed.KindGrant, d.grant()), 1, consent.ErrPerson},
			"one participant for two persons":     {d.seal(t, who, agreed.KindGrant, d.grant()), 2, consent.ErrPerson},
			"a withdrawal of another's grant":     {d.withdrawal(t, stranger, grant), 1, consent.ErrGrant},
			"a signature that does not hold":      {forged, 1, message.ErrSignature},
			"a message of another kind":           {d.seal(t, who, "trial.design", 1), 1, consent.ErrKind},
			"a grant of nothing":                  {d.seal(t, stranger, agreed.KindGrant, agreed.Grant{Trial: "glucose-1", Node: d.node.DID()}), 3, problem.New(problem.Invalid, "consent grant: scopes: at least one")},
		} {
			require.ErrorIs(t, d.record(t, c.n, c.e), c.want, name)
		}
		counts, err := d.book.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []consent.Counts{{Trial: "glucose-1", Withdrawn: 1}}, counts, "refused messages leave nothing behind")
	})
}

func TestRefusalEndsAGrant(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, _ := d.consents(t, 1)
		d.consents(t, 2)
		d.publish(t)
		d.now = d.now.Add(time.Minute)
		refusal := agreed.Refusal{Trial: "glucose-1", Node: d.node.DID(), Document: message.Digest{1}}
		require.NoError(t, d.record(t, 1, d.seal(t, who, agreed.KindRefusal, refusal)))
		require.NoError(t, d.record(t, 3, d.seal(t, key(t), agreed.KindRefusal, refusal)))
		require.Equal(t, []int64{2}, d.usable(t, d.use()))
		counts, err := d.book.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []consent.Counts{{Trial: "glucose-1", Active: 1, Withdrawn: 1, Refused: 1}}, counts)
	})
}

// TestUsesOutsideTheGrant: another scope, before and after.
func TestUsesOutsideTheGrant(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for n, change := range []func(*agreed.Grant){
			func(*agreed.Grant) {},
			func(g *agreed.Grant) { g.Scopes = agreed.MaskOf(agreed.Conditions) },
			func(g *agreed.Grant) { g.Scopes |= agreed.MaskOf(agreed.Medications) },
			func(g *agreed.Grant) { g.From = start.Add(time.Hour) },
			func(g *agreed.Grant) { g.To = start.Add(12 * time.Hour) },
			func(g *agreed.Grant) { g.To = start.Add(24 * time.Hour) },
		} {
			g := d.grant()
			change(&g)
			require.NoError(t, d.record(t, int64(n+1), d.seal(t, key(t), agreed.KindGrant, g)))
		}
		d.publish(t)
		require.Equal(t, []int64{1, 3, 6}, d.usable(t, d.use()), "in force throughout the epoch's window, for all scopes")
		use := d.use()
		use.Scopes |= agreed.MaskOf(agreed.Medications)
		require.Equal(t, []int64{3}, d.usable(t, use))
		use.At = start.Add(24 * time.Hour)
		_, err := d.book.EpochFor(t.Context(), use, use.At, d.leaf+1)
		require.ErrorIs(t, err, consent.ErrNoEpoch, "the window is over")

		epoch, err := d.book.EpochFor(t.Context(), use, start, d.leaf+1)
		require.NoError(t, err, "a question that was asked in it may be answered later")
		basis, err := d.book.Usable(t.Context(), use, epoch)
		require.NoError(t, err)
		require.Equal(t, 1, basis.Persons())
		use.At = start.Add(10 * 366 * 24 * time.Hour)
		basis, err = d.book.Usable(t.Context(), use, epoch)
		require.NoError(t, err)
		require.Zero(t, basis.Persons(), "of those whose consent has not ended since")
	})
}

// TestEpochsAreIncremental proves again only what changed.
func TestEpochsAreIncremental(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		require.Nil(t, d.draft(t), "nobody, nothing")
		who, grant := d.consents(t, 1)
		for n := int64(2); n <= 9; n++ {
			d.consents(t, n)
		}
		first := d.publish(t)
		require.EqualValues(t, 3, d.prover.proofs.Load(), "nine participants, four a shard")
		require.Nil(t, d.draft(t), "nothing changed")

		d.now = d.now.Add(time.Hour)
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		second := d.publish(t)
		require.EqualValues(t, 4, d.prover.proofs.Load())
		require.Equal(t, first.Shards[1:], second.Shards[1:])
		require.NotEqual(t, first.Shards[0].Root, second.Shards[0].Root)
		require.EqualValues(t, 2, second.Number)

		d.consents(t, 10)
		third := d.publish(t)
		require.EqualValues(t, 5, d.prover.proofs.Load())
		require.Equal(t, second.Shards[:2], third.Shards[:2], "slots are given once: the free one is not given again")

		d.now = d.now.Add(11*time.Hour + time.Minute)
		fourth := d.publish(t)
		require.EqualValues(t, 6, d.prover.proofs.Load(), "the window of the second shard was half over")
		require.Equal(t, []int64{2, 3, 4, 5, 6, 7, 8, 9, 10}, d.usable(t, d.use()))
		require.True(t, fourth.Covers(d.now.Add(11*time.Hour)))
	})
}

// TestEpochsThatChangeNothingStoreNoSlots: windows are renewed for years, and
// what stands in the slots is stored once.
func TestEpochsThatChangeNothingStoreNoSlots(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for n := int64(1); n <= 12; n++ {
			d.consents(t, n)
		}
		d.publish(t)
		require.Equal(t, 3, d.rows(t, "consent_shard"))
		for range 20 {
			d.now = d.now.Add(13 * time.Hour)
			d.publish(t)
		}
		require.Equal(t, 21, d.rows(t, "consent_epoch"))
		require.Equal(t, 3, d.rows(t, "consent_shard"))
		require.Len(t, d.usable(t, d.use()), 12)
	})
}

// TestDraftWaitsForTheHub: a node that dies between draft and ledger brings the
// same draft again.
func TestDraftWaitsForTheHub(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.consents(t, 1)
		draft := d.draft(t)
		d.consents(t, 2)
		d.reopen(t)
		again := d.draft(t)
		require.Equal(t, draft.Envelope.Digest(), again.Envelope.Digest())
		require.Equal(t, draft.Envelope.Signature, again.Envelope.Signature)
		require.EqualValues(t, 1, d.prover.proofs.Load())
		require.NoError(t, d.book.Recorded(t.Context(), *again, 3, d.now))
		next := d.draft(t)
		require.EqualValues(t, 2, next.Number)

		// The hub refuses this one: it is brought again until it is too old, and
		// the next is made from what stands then.
		d.consents(t, 3)
		d.refused(t, *next)
		require.Equal(t, next.Envelope.Digest(), d.draft(t).Envelope.Digest())
		d.now = d.now.Add(12 * time.Hour)
		d.refused(t, *next)
		d.refused(t, *draft) // what is on the ledger is not put aside
		d.leaf = 3
		epoch := d.publish(t)
		require.EqualValues(t, 2, epoch.Number)
		require.Equal(t, draft.Envelope.Digest(), epoch.Revises)
		require.Equal(t, []int64{1, 2, 3}, d.usable(t, d.use()))
	})
}

func TestFailedProofLeavesNoDraft(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sqltest.SQLite(t))
	d.consents(t, 1)
	d.prover.fail = errors.New("no memory")
	changes, err := d.book.Draft(t.Context(), "glucose-1", message.Digest{5}, d.prover, d.now)
	require.NoError(t, err)
	require.NoError(t, d.book.Recorded(t.Context(), *changes, 1, d.now))
	_, err = d.book.Draft(t.Context(), "glucose-1", message.Digest{5}, d.prover, d.now)
	require.ErrorContains(t, err, "no memory")
	d.prover.fail = nil
	require.EqualValues(t, 1, d.publish(t).Number)
}

// TestMoreParticipantsThanTheCircuitHolds: whoever comes too late is told so,
// and keeps nobody else out of the next epoch.
func TestMoreParticipantsThanTheCircuitHolds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		var first message.Envelope
		var who identity.Key
		for n := int64(1); n <= 12; n++ {
			who, first = d.consents(t, n)
		}
		late := d.seal(t, key(t), agreed.KindGrant, d.grant())
		require.ErrorIs(t, d.record(t, 13, late), consent.ErrManyShards)
		require.Len(t, d.publish(t).Shards, 3)
		require.NoError(t, d.record(t, 12, d.withdrawal(t, who, first)))
		require.NotNil(t, d.draft(t))
		require.ErrorIs(t, d.record(t, 13, late), consent.ErrManyShards, "a slot stays its participant's")
	})
}

// TestWitnessOpensWhatIsUsable: whoever is usable can be proved, also after
// later changes, and the commitment is always the same.
func TestWitnessOpensWhatIsUsable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, grant := d.consents(t, 1)
		for n := int64(2); n <= 6; n++ {
			d.consents(t, n)
		}
		d.publish(t)
		epoch, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, d.leaf+1)
		require.NoError(t, err)
		evidence := consent.Evidence{Query: message.Digest{9}, Epoch: epoch, Need: need, Min: 3}
		for _, n := range d.usable(t, d.use()) {
			evidence.Used = append(evidence.Used, person(n))
		}
		state := func() circuits.AccessPublic {
			w, err := d.book.Witness(t.Context(), evidence)
			require.NoError(t, err)
			public, err := w.Public(shape.Access())
			require.NoError(t, err)
			return public
		}
		before := state()
		d.now = d.now.Add(time.Minute)
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		d.consents(t, 7)
		d.publish(t)
		d.reopen(t)
		require.Equal(t, before, state(), "an epoch opens as it was closed")

		other := evidence
		other.Query = message.Digest{10}
		w, err := d.book.Witness(t.Context(), other)
		require.NoError(t, err)
		public, err := w.Public(shape.Access())
		require.NoError(t, err)
		require.NotEqual(t, before.UsedDigest, public.UsedDigest, "two questions over the same persons must not be told")

		evidence.Used = append(evidence.Used, person(7))
		w, err = d.book.Witness(t.Context(), evidence)
		if err == nil {
			_, err = w.Public(shape.Access())
		}
		require.Error(t, err, "somebody who joined later is not in the epoch")
		evidence.Used = append(evidence.Used[:1:1], person(99))
		_, err = d.book.Witness(t.Context(), evidence)
		require.Error(t, err)
	})
}

// TestWitnessBeyondTheEpoch: a person whose shard the epoch does not have must
// not be left out of the commitment in silence.
func TestWitnessBeyondTheEpoch(t *testing.T) {
	t.Parallel()
	d := newDesk(t, sqltest.SQLite(t))
	for n := int64(1); n <= 4; n++ {
		d.consents(t, n)
	}
	d.publish(t)
	epoch, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, d.leaf+1)
	require.NoError(t, err)
	d.consents(t, 5)
	_, err = d.book.Witness(t.Context(), consent.Evidence{Query: message.Digest{9}, Epoch: epoch, Need: need, Used: []omop.PersonID{person(1), person(5)}})
	require.Error(t, err)
}

// TestNoConsentWithoutItsRecord: an act and its place on the trail are one.
func TestNoConsentWithoutItsRecord(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		who, grant := d.consents(t, 1)
		draft := d.draft(t)
		require.NoError(t, d.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `ALTER TABLE audit RENAME TO away`)
			return err
		}))
		withdrawal := d.withdrawal(t, who, grant)
		require.ErrorContains(t, d.record(t, 1, withdrawal), "audit consent recorded")
		require.ErrorContains(t, d.book.Recorded(t.Context(), *draft, 1, d.now), "audit consent epoch published")
		require.NoError(t, d.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `ALTER TABLE away RENAME TO audit`)
			return err
		}))
		_, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, 100)
		require.ErrorIs(t, err, consent.ErrNoEpoch)
		counts, err := d.book.Counts(t.Context())
		require.NoError(t, err)
		require.Equal(t, []consent.Counts{{Trial: "glucose-1", Active: 1}}, counts)

		require.NoError(t, d.record(t, 1, withdrawal))
		for range 2 { // an answer that comes again is recorded once
			require.NoError(t, d.book.Recorded(t.Context(), *draft, 1, d.now))
		}
		records, err := d.trail.Latest(t.Context(), 10)
		require.NoError(t, err)
		var events []audit.Event
		for _, r := range records {
			events = append(events, r.Event)
		}
		require.Equal(t, []audit.Event{audit.EpochPublished, audit.ConsentRecorded, audit.ConsentRecorded}, events)
	})
}
