package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func rounded(n int64) int64 { return (n + 2) / 5 * 5 }

// TestCountIsTheSumOfTheSites asks a whole question and compares it with what
// was put in.
func TestCountIsTheSumOfTheSites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, peertest.People(23, 31), peertest.People(40, 17), peertest.People(15, 3))
		w.run(t)
		id := w.put(t, w.trial.CountBySex(), 20*time.Second)
		r := w.result(t, id)
		require.Equal(t, query.Complete, r.State, r.Reason)
		require.Len(t, r.Answered, 3)
		require.Len(t, r.Cells, 3)
		require.Equal(t, rounded(23)+rounded(40)+rounded(15), r.Cells[0].N)
		require.True(t, r.Cells[1].Withheld, "one site had 3 men, and two sites are too few")
		require.Zero(t, r.Cells[1].N)
		require.Equal(t, 1, r.Cells[1].SitesWithheld)
		require.Equal(t, 1, r.WithheldCells)
		require.Equal(t, r.Cells[0].N, r.Total.N, "the total holds nothing of a withheld cell")
		w.proofs(t, id, 3)
		unfinished, err := w.reader.Unfinished(t.Context(), time.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Empty(t, unfinished, "nobody looks at it again")
		w.replay(t)

		again := w.result(t, w.put(t, w.trial.CountBySex(), 20*time.Second))
		require.Equal(t, &id, again.Repeats)
		require.Equal(t, r.Cells, again.Cells)
		w.replay(t)
	})
}

// TestMeanIsThatOfAllPersons pools moments and compares them with the truth.
func TestMeanIsThatOfAllPersons(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		people := [][]peertest.Person{peertest.People(23, 31), peertest.People(40, 17), peertest.People(15, 22), peertest.People(12, 12)}
		people[0][4].Silent, people[1][50].Silent = true, true
		w := newWorld(t, people...)
		w.run(t)
		id := w.put(t, w.trial.MeanBySex(), 20*time.Second)
		r := w.result(t, id)
		require.Equal(t, query.Complete, r.State, r.Reason)
		for cell, sex := range []int64{peertest.Female, peertest.Male} {
			var n, sum float64
			for _, list := range people {
				for _, p := range list {
					if p.Sex == sex && !p.Silent {
						n, sum = n+1, sum+p.Value
					}
				}
			}
			require.Equal(t, rounded(int64(n)), r.Cells[cell].N)
			require.InEpsilon(t, sum/n, *r.Cells[cell].Mean, 1e-9, "the silent are left out")
		}
		w.proofs(t, id, 4)
	})
}

// TestNodeThatFallsSilent cuts one node off at each step.
func TestNodeThatFallsSilent(t *testing.T) {
	t.Parallel()
	for i, step := range []query.Step{query.StepAsk, query.StepMask, query.StepUnmask} {
		t.Run(string(step), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, alike(4)...)
				lost := w.sites[2].Key.DID()
				w.intercept(2, func(task query.Task) bool { return slices.Index(order, task.Step) < i })
				w.run(t)
				id := w.put(t, w.trial.CountBySex(), 6*time.Second)
				r := w.result(t, id)
				if i >= 2 { // its numbers were in
					require.Equal(t, query.Complete, r.State, r.Reason)
					require.EqualValues(t, 60, r.Cells[0].N)
					return
				}
				require.Equal(t, query.Partial, r.State, r.Reason)
				require.Equal(t, []query.Missing{{Node: lost, Step: step}}, r.Missing)
				require.Len(t, r.Answered, 3)
				require.EqualValues(t, 45, r.Cells[0].N)
				w.proofs(t, id, 3)
				w.replay(t)
			})
		})
	}
}

var order = []query.Step{query.StepAsk, query.StepMask, query.StepUnmask, query.StepProve}

// TestTooFewSites withholds what two sites could take apart.
func TestTooFewSites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		w.net.Partition([]identity.DID{w.sites[0].Key.DID()})
		w.run(t)
		r := w.result(t, w.put(t, w.trial.CountBySex(), time.Second))
		require.Equal(t, query.Withheld, r.State)
		require.Contains(t, r.Reason, "too few nodes")
		require.Empty(t, r.Cells)
		require.Nil(t, r.Total)
		require.Equal(t, []query.Missing{{Node: w.sites[0].Key.DID(), Step: query.StepAsk}}, r.Missing)
		w.replay(t)
	})
}

// TestFaultyNetwork loses, delays and repeats a third of all calls.
func TestFaultyNetwork(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, peertest.People(20, 25), peertest.People(30, 20), peertest.People(25, 20))
				w.net.Inject(inprocess.Random(seed, 0.3, 5*time.Millisecond))
				w.run(t)
				id := w.put(t, w.trial.CountBySex(), time.Minute)
				r := w.result(t, id)
				require.Equal(t, query.Complete, r.State, r.Reason)
				require.EqualValues(t, 75, r.Cells[0].N)
				require.EqualValues(t, 65, r.Cells[1].N)
				w.net.Inject(nil)
				w.proofs(t, id, 3)
				w.replay(t)
			})
		})
	}
}

// TestHubDiesAtEveryStep stops the hub before and after each of its commits and
// starts another over the same database.
func TestHubDiesAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, peertest.People(20, 25), peertest.People(30, 20), peertest.People(25, 20))
				id := w.put(t, w.trial.CountBySex(), time.Minute)
				deaths := 0
				for {
					proofs, err := w.reader.Accesses(t.Context(), id)
					require.NoError(t, err)
					if len(proofs) == 3 {
						break
					}
					require.Less(t, deaths, 100, "the hub gets nowhere")
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					// Before: every second proposal of a life is lost, so that each life gets one step on.
					log := &dyingLog{fakeLog: w.log, die: cancel, after: after, left: 2}
					if after {
						log.left = 1
					}
					require.NoError(t, w.dispatcher(t, log).Run(ctx))
					cancel()
					deaths++
				}
				r := w.result(t, id)
				require.Equal(t, query.Complete, r.State, r.Reason)
				require.EqualValues(t, 75, r.Cells[0].N)
				require.GreaterOrEqual(t, deaths, 6, "two steps, the third with the result, and three proofs")
				w.replay(t)
				t.Logf("%d lives", deaths)
			})
		})
	}
}

// TestHubDiesWhileANodeDropsOut likewise, of a sum that a node is missing in.
func TestHubDiesWhileANodeDropsOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(4)...)
		w.intercept(1, func(task query.Task) bool { return task.Step == query.StepAsk })
		id := w.put(t, w.trial.CountBySex(), 8*time.Second)
		deaths := 0
		for q, err := w.reader.Question(t.Context(), id); q.Result == nil; q, err = w.reader.Question(t.Context(), id) {
			require.NoError(t, err)
			require.Less(t, deaths, 100, "the hub gets nowhere")
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			log := &dyingLog{fakeLog: w.log, die: cancel, after: deaths%2 == 0, left: 2}
			require.NoError(t, w.dispatcher(t, log).Run(ctx))
			cancel()
			deaths++
		}
		r := w.result(t, id)
		require.Equal(t, query.Partial, r.State, r.Reason)
		require.Equal(t, []query.Missing{{Node: w.sites[1].Key.DID(), Step: query.StepMask}}, r.Missing)
		require.EqualValues(t, 45, r.Cells[0].N)
		require.Greater(t, deaths, 4)
		w.replay(t)
	})
}

// TestHubWasDown starts a hub with a question of a minute that it was asked
// before it went down. The nodes are back 4 s after it, which is longer than
// package transport takes.
func TestHubWasDown(t *testing.T) {
	t.Parallel()
	for _, down := range []time.Duration{20 * time.Second, 50 * time.Second, 2 * time.Minute} {
		t.Run(down.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, alike(3)...)
				var nodes []identity.DID
				for _, site := range w.sites {
					nodes = append(nodes, site.Key.DID())
				}
				w.net.Partition(nodes)
				id := w.put(t, w.trial.CountBySex(), time.Minute)
				time.Sleep(down)
				d, err := dispatch.New(dispatch.Config{Registry: w.reader, Log: w.log, Network: w.end, Policy: w.policy})
				require.NoError(t, err)
				w.drive(t, d)
				time.Sleep(4 * time.Second)
				w.net.Heal()
				r := w.result(t, id)
				require.Equal(t, query.Complete, r.State, r.Reason)
				require.EqualValues(t, 45, r.Cells[0].N)
			})
		})
	}
}

// TestMasksAreForgotten is about the secrets of a question that is over: nobody
// who steals a node's disk later may take its masks off recorded traffic.
func TestMasksAreForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, peertest.People(20, 20), peertest.People(20, 20), peertest.People(20, 20))
		w.run(t)
		id := w.put(t, w.trial.CountBySex(), 20*time.Second)
		require.Equal(t, query.Complete, w.result(t, id).State)
		w.proofs(t, id, len(w.sites))
		for _, site := range w.sites {
			var left int
			require.NoError(t, site.DB.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), `SELECT count(*) FROM peer_question WHERE length(secret) > 0`).Scan(&left)
			}))
			require.Zero(t, left)
		}
	})
}
