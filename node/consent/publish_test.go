package consent_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

var errOrder = problem.Refusal("epoch.order", "a consent epoch must follow the one before it")

// ledger is a hub that keeps epochs and changes in order, and may lie about it.
type ledger struct {
	mu      sync.Mutex
	epochs  []message.Digest
	changes []message.Digest // of what was signed
	taken   int              // calls
	lie     bool             // every answer to an epoch is a refusal
	deny    bool             // every answer to changes
	refuse  error            // no epoch is recorded
}

func (l *ledger) send(_ context.Context, d consent.Draft) (int64, error) {
	e := d.Envelope
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	if !d.IsEpoch() {
		return l.change(e)
	}
	if l.refuse != nil {
		return 0, l.refuse
	}
	for i, digest := range l.epochs {
		if digest == e.Digest() && !l.lie {
			return int64(i + 1), nil
		}
	}
	epoch, err := message.Replay[agreed.Epoch](e, agreed.KindEpoch)
	if err != nil {
		return 0, err
	}
	var last message.Digest
	if n := len(l.epochs); n > 0 {
		last = l.epochs[n-1]
	}
	if epoch.Number != uint64(len(l.epochs)+1) || epoch.Revises != last {
		return 0, errOrder
	}
	l.epochs = append(l.epochs, e.Digest())
	if l.lie {
		return 0, errOrder
	}
	return int64(len(l.epochs)), nil
}

// change is send of changes.
func (l *ledger) change(e message.Envelope) (int64, error) {
	c, err := message.Replay[agreed.Changes](e, agreed.KindChanges)
	if err != nil {
		return 0, err
	}
	known := slices.Contains(l.changes, message.Sum(e.Body))
	if !known && c.Number != uint64(len(l.changes)+1) {
		return 0, errOrder
	}
	if !known {
		l.changes = append(l.changes, message.Sum(e.Body))
	}
	if l.deny {
		return 0, errOrder
	}
	return int64(c.Number), nil
}

// set changes how the hub behaves.
func (l *ledger) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// counts returns how many calls came and how many epochs are there.
func (l *ledger) counts() (calls, epochs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken, len(l.epochs)
}

// publishes runs test with a desk whose publisher is at work, in a bubble of time.
func publishes(t *testing.T, l *ledger, test func(t *testing.T, d *desk, p *consent.Publisher)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start))
		d := newDesk(t, sqltest.SQLite(t))
		p := consent.NewPublisher(consent.PublisherConfig{
			Book: d.book, Send: l.send,
			Proving: func() (consent.Prover, message.Digest, error) { return d.prover, message.Digest{5}, nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		d.consents(t, 1)
		go func() { done <- p.Run(ctx) }()
		test(t, d, p)
		cancel()
		require.NoError(t, <-done)
	})
}

// TestRefusedEpochIsLeftAlone: an honest refusal costs one proof, and ever fewer
// questions.
func TestRefusedEpochIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := &ledger{refuse: problem.Refusal("registry.trial-unknown", "no such trial is registered")}
	publishes(t, l, func(t *testing.T, d *desk, _ *consent.Publisher) {
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, d.prover.proofs.Load())
		calls, _ := l.counts()
		require.Less(t, calls, 24)
		require.Greater(t, calls, 12, "at least every five minutes")
		time.Sleep(2 * 24 * time.Hour)
		require.LessOrEqual(t, d.prover.proofs.Load(), int64(5), "one for each half window")
		l.set(func() { l.refuse = nil })
		time.Sleep(6 * time.Minute)
		number, current, err := d.book.Published(t.Context(), "glucose-1")
		require.NoError(t, err)
		require.EqualValues(t, 1, number)
		require.True(t, current)
	})
}

// TestConsentsThatComeTogetherAreProvedOnce: of many a second as well, and those that
// never stop coming do not hold an epoch up.
func TestConsentsThatComeTogetherAreProvedOnce(t *testing.T) {
	t.Parallel()
	publishes(t, new(ledger), func(t *testing.T, d *desk, p *consent.Publisher) {
		synctest.Wait()
		require.EqualValues(t, 1, d.prover.proofs.Load(), "what was there at the start")
		changes := func(n int64, every, during time.Duration) {
			d.consents(t, n)
			for range during / every {
				p.Wake()
				time.Sleep(every)
			}
		}
		changes(2, 10*time.Millisecond, time.Second)
		changes(3, time.Second, 5*time.Second)
		require.EqualValues(t, 1, d.prover.proofs.Load(), "they still come")
		time.Sleep(3 * time.Second)
		require.EqualValues(t, 2, d.prover.proofs.Load())
		changes(4, time.Second, 25*time.Second)
		require.EqualValues(t, 3, d.prover.proofs.Load(), "ten pauses are enough")
	})
}

// TestAWithdrawalIsOnTheLedgerWithinAMinute, with one proof: the other shard keeps its own.
func TestAWithdrawalIsOnTheLedgerWithinAMinute(t *testing.T) {
	t.Parallel()
	l := new(ledger)
	publishes(t, l, func(t *testing.T, d *desk, p *consent.Publisher) {
		who, grant := d.consents(t, 2)
		for n := int64(3); n <= 5; n++ { // the last in a shard of their own
			d.consents(t, n)
		}
		time.Sleep(10 * time.Minute)
		proofs := d.prover.proofs.Load()
		_, epochs := l.counts()
		d.now = time.Now()
		require.NoError(t, d.record(t, 2, d.withdrawal(t, who, grant)))
		p.Wake()
		time.Sleep(time.Minute - time.Second)
		_, after := l.counts()
		require.Equal(t, epochs+1, after)
		require.Equal(t, proofs+1, d.prover.proofs.Load())
		_, current, err := d.book.Published(t.Context(), "glucose-1")
		require.NoError(t, err)
		require.True(t, current)
	})
}

// TestHubThatLiesAboutAnEpoch records epochs and says that it refused them. The
// node finds them again and goes on.
func TestHubThatLiesAboutAnEpoch(t *testing.T) {
	t.Parallel()
	for name, lies := range map[string]time.Duration{"for a minute": time.Minute, "until the epoch is too old": 13 * time.Hour, "for three days": 72 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &ledger{lie: true}
			publishes(t, l, func(t *testing.T, d *desk, _ *consent.Publisher) {
				time.Sleep(lies)
				_, epochs := l.counts()
				require.Equal(t, 1, epochs)
				l.set(func() { l.lie = false })
				d.consents(t, 2)
				time.Sleep(15 * time.Minute)
				d.now = time.Now()
				number, current, err := d.book.Published(t.Context(), "glucose-1")
				require.NoError(t, err)
				require.EqualValues(t, 2, number, "the one that was refused, and one more")
				require.True(t, current)
				aside, err := d.book.Aside(t.Context(), "glucose-1")
				require.NoError(t, err)
				require.Empty(t, aside, "nothing is left of drafts under a number that is taken")
			})
		})
	}
}

// TestHubThatLiesAboutChanges records changes and says that it refused them. The node
// brings the same again, signed again after a day, until it hears the truth; then what was
// said meanwhile follows.
func TestHubThatLiesAboutChanges(t *testing.T) {
	t.Parallel()
	l := &ledger{deny: true}
	publishes(t, l, func(t *testing.T, d *desk, p *consent.Publisher) {
		time.Sleep(72 * time.Hour)
		require.Len(t, l.changes, 1)
		require.Zero(t, d.prover.proofs.Load(), "nothing is proven about leaves that are not on the ledger")
		d.now = time.Now()
		d.consents(t, 2)
		l.set(func() { l.deny = false })
		time.Sleep(15 * time.Minute)
		require.Len(t, l.changes, 2)
		number, current, err := d.book.Published(t.Context(), "glucose-1")
		require.NoError(t, err)
		require.NotZero(t, number)
		require.True(t, current)
	})
}

func TestRefusedDraftsAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.consents(t, 1)
		var last consent.Draft
		for range 40 {
			last = *d.draft(t)
			d.now = d.now.Add(12 * time.Hour)
			d.refused(t, last)
		}
		aside, err := d.book.Aside(t.Context(), "glucose-1")
		require.NoError(t, err)
		require.Len(t, aside, 32)
		require.Equal(t, last.Envelope.Digest(), aside[0].Envelope.Digest())
		require.Equal(t, 1, d.rows(t, "consent_shard"))

		// The oldest that is left turns out to be on the ledger.
		d.leaf = 9
		require.NoError(t, d.book.Recorded(t.Context(), aside[31], d.leaf, d.now))
		epoch := d.publish(t)
		require.EqualValues(t, 2, epoch.Number)
		require.Equal(t, aside[31].Envelope.Digest(), epoch.Revises)
	})
}
