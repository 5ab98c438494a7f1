package release_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// cohort is the answer about fifty persons whom no other number is about.
func cohort(number int) release.Answer {
	first := int64(number) * 100
	return count(ids(first, first+49))
}

// rated asks about the cohort of the given number.
func rated(t testing.TB, gate *release.Gate, number int, who identity.DID, where trial.ID, p disclosure.Policy, at time.Time) error {
	t.Helper()
	q := ask(fmt.Sprint(where, number))
	q.Researcher, q.Trial, q.Policy = who, where, disclosure.Strictest(q.Policy, p)
	_, err := gate.Release(t.Context(), q, cohort(number), at)
	return err
}

func requireRate(t testing.TB, err error, again string) {
	t.Helper()
	var refusal *problem.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, release.RuleRate, refusal.Rule)
	require.Contains(t, refusal.Public, "again from "+again)
}

func TestRates(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		p := disclosure.Policy{ResearcherPerDay: 2, TrialPerWeek: 3}
		hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
		require.NoError(t, rated(t, gate, 1, "did:key:zA", "one", p, hour(0)))
		require.NoError(t, rated(t, gate, 2, "did:key:zA", "two", p, hour(1)))
		requireRate(t, rated(t, gate, 3, "did:key:zA", "three", p, hour(2)), "2026-11-22T12:00:00Z")
		require.NoError(t, rated(t, gate, 1, "did:key:zA", "one", p, hour(2)), "a repeat is free")
		requireRate(t, rated(t, gate, 3, "did:key:zA", "three", p, hour(23)), "2026-11-22T12:00:00Z")

		gate = open(t, db) // a restart
		require.NoError(t, rated(t, gate, 3, "did:key:zA", "three", p, hour(24)), "when it says there is room")
		requireRate(t, rated(t, gate, 4, "did:key:zA", "three", p, hour(24)), "2026-11-22T13:00:00Z")

		require.NoError(t, rated(t, gate, 5, "did:key:zB", "one", p, hour(24)), "another researcher")
		require.NoError(t, rated(t, gate, 6, "did:key:zC", "one", p, hour(24)))
		requireRate(t, rated(t, gate, 7, "did:key:zD", "one", p, hour(24)), "2026-11-28T12:00:00Z")
		require.NoError(t, rated(t, gate, 7, "did:key:zD", "one", disclosure.Policy{}, hour(24)), "0 is no limit")
	})
}

// TestDefaultRates stop a script: also one that asks in many trials, or
// as many researchers of one.
func TestDefaultRates(t *testing.T) {
	t.Parallel()
	p := disclosure.Policy{}.WithRates()
	gate := open(t, sqltest.SQLite(t))
	for i := range p.TrialPerDay {
		who := identity.DID(fmt.Sprint("did:key:z", i%2))
		require.NoError(t, rated(t, gate, i, who, "one", p, now))
	}
	requireRate(t, rated(t, gate, 1000, "did:key:z0", "two", p, now), "2026-11-22T12:00:00Z")
	requireRate(t, rated(t, gate, 1000, "did:key:z2", "one", p, now), "2026-11-22T12:00:00Z")
	require.NoError(t, rated(t, gate, 1000, "did:key:z2", "two", p, now), "whoever asks elsewhere")
}

// TestRefusalsCountTowardsRates: probing by refusals is asking too.
func TestRefusalsCountTowardsRates(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	q := ask("few")
	q.Policy.ResearcherPerWeek = 1
	_, err := gate.Release(t.Context(), q, count(ids(1, 5)), now)
	require.ErrorIs(t, err, release.ErrCells)
	q = ask("other")
	q.Policy.ResearcherPerWeek = 1
	_, err = gate.Release(t.Context(), q, cohort(1), now)
	requireRate(t, err, "2026-11-28T12:00:00Z")
}

// TestRatesAreSharedByProcesses lets no more through than the policy says, whoever
// of two processes is asked.
func TestRatesAreSharedByProcesses(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gates := []*release.Gate{open(t, db), open(t, db)}
		var group sync.WaitGroup
		failures := make([]error, 8)
		for i := range failures {
			group.Go(func() {
				failures[i] = rated(t, gates[i%2], i+1, "did:key:zA", "one", disclosure.Policy{TrialPerDay: 3}, now)
			})
		}
		group.Wait()
		answered := 0
		for _, err := range failures {
			if err == nil {
				answered++
				continue
			}
			requireRate(t, err, "2026-11-22T12:00:00Z")
		}
		require.Equal(t, 3, answered)
	})
}

// TestAClockThatJumps forward and back locks nobody out for longer than a window, and makes no room.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		p := disclosure.Policy{ResearcherPerDay: 2}
		hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
		asks := func(number int, at time.Time) error { return rated(t, gate, number, "did:key:zA", "one", p, at) }
		const year = 365 * 24
		require.NoError(t, asks(1, hour(year)))
		require.NoError(t, asks(2, hour(year)))
		requireRate(t, asks(3, hour(0)), "2026-11-22T12:00:00Z")
		requireRate(t, asks(3, hour(23)), "2026-11-22T12:00:00Z")
		require.NoError(t, asks(3, hour(24)), "when it says there is room")
		require.NoError(t, asks(4, hour(24)))

		requireRate(t, asks(5, hour(-48)), "2026-11-20T12:00:00Z") // set back
		requireRate(t, asks(5, hour(25)), "2026-11-23T12:00:00Z")  // and right again
		requireRate(t, asks(5, hour(year+1)), "2027-11-22T12:00:00Z")
	})
}
