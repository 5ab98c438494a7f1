package queue_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/hub/dispatch/queue"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// id is the name of the n-th question.
func id(n int) query.ID {
	var d query.ID
	binary.BigEndian.PutUint64(d[:], uint64(n)+1)
	return d
}

func asks(n int, who identity.DID, p query.Priority) registry.Pending {
	return registry.Pending{ID: id(n), Askers: []registry.Asker{{Researcher: who, Priority: p}}}
}

// drain answers one question after the other, in the order in which places were
// given, and returns that order.
func drain(q *queue.Queue, waiting []registry.Pending) []query.ID {
	var order, running []query.ID
	for {
		got := q.Take(waiting)
		order, running = append(order, got...), append(running, got...)
		waiting = slices.DeleteFunc(waiting, func(p registry.Pending) bool { return slices.Contains(got, p.ID) })
		if len(running) == 0 {
			return order
		}
		q.Release(running[0])
		running = running[1:]
	}
}

// TestAThousandQuestionsDelayAnothersByOne: whoever comes last with one question
// gets the next place that is free.
func TestAThousandQuestionsDelayAnothersByOne(t *testing.T) {
	t.Parallel()
	q := queue.New(2, 2)
	var waiting []registry.Pending
	for n := range 1000 {
		waiting = append(waiting, asks(n, "greedy", query.High))
	}
	require.Equal(t, []query.ID{id(0), id(1)}, q.Take(waiting))
	waiting = append(waiting[2:], asks(1000, "patient", query.Low))
	require.Empty(t, q.Take(waiting), "there is no place")
	q.Release(id(0))
	require.Equal(t, []query.ID{id(1000)}, q.Take(waiting), "another's priority is nothing to them")
}

// TestOrder has the places as they were given, for what was submitted in between.
func TestOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		places, each int
		waiting      []registry.Pending
		want         []int
	}{
		"turns, whoever came first": {1, 1, []registry.Pending{
			asks(0, "a", query.Normal), asks(1, "a", query.Normal), asks(2, "a", query.Normal), asks(3, "b", query.Normal), asks(4, "b", query.Normal), asks(5, "c", query.Normal),
		}, []int{0, 3, 5, 1, 4, 2}},
		"priority within a researcher only": {1, 1, []registry.Pending{
			asks(0, "a", query.Low), asks(1, "a", query.Normal), asks(2, "b", query.Low), asks(3, "a", query.High), asks(4, "a", ""),
		}, []int{3, 2, 1, 4, 0}},
		"a share of the places": {3, 2, []registry.Pending{
			asks(0, "a", query.Normal), asks(1, "a", query.Normal), asks(2, "a", query.Normal),
		}, []int{0, 1, 2}},
		"one question of two researchers takes one place": {1, 1, []registry.Pending{
			asks(0, "a", query.Normal), asks(1, "a", query.Normal),
			{ID: id(2), Askers: []registry.Asker{{Researcher: "a", Priority: query.Low}, {Researcher: "b", Priority: query.Normal}}},
			asks(3, "b", query.Normal),
		}, []int{0, 2, 1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []query.ID
			for _, n := range c.want {
				want = append(want, id(n))
			}
			require.Equal(t, want, drain(queue.New(c.places, c.each), c.waiting))
		})
	}
}

// TestLaws submits and answers at random and holds the queue to what it promises.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		places, each := rapid.IntRange(1, 5).Draw(t, "places"), rapid.IntRange(1, 3).Draw(t, "each")
		q := queue.New(places, each)
		var waiting []registry.Pending
		var running []query.ID
		of := make(map[query.ID]registry.Asker)
		holds := make(map[identity.DID]int)
		// passed counts the turns of each other researcher since one who waits and may
		// take a place last had a turn, or began to wait.
		passed := make(map[identity.DID]map[identity.DID]int)
		eligible := func(who identity.DID) bool {
			return holds[who] < each && slices.ContainsFunc(waiting, func(p registry.Pending) bool { return p.Askers[0].Researcher == who })
		}
		for n := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(running) > 0 && rapid.Bool().Draw(t, "answer") {
				i := rapid.IntRange(0, len(running)-1).Draw(t, "which")
				q.Release(running[i])
				holds[of[running[i]].Researcher]--
				running = slices.Delete(running, i, i+1)
			} else {
				who := identity.DID(fmt.Sprintf("r%d", rapid.IntRange(0, 3).Draw(t, "researcher")))
				p := asks(n, who, rapid.SampledFrom([]query.Priority{query.Low, query.Normal, query.High}).Draw(t, "priority"))
				waiting, of[p.ID] = append(waiting, p), p.Askers[0]
			}
			for _, got := range q.Take(slices.Clone(waiting)) {
				a := of[got]
				for _, p := range waiting {
					other := p.Askers[0]
					if p.ID == got {
						break // what follows is younger
					}
					if other.Researcher == a.Researcher && other.Priority.Rank() >= a.Priority.Rank() {
						t.Fatalf("%v went before an older one of its researcher that weighs as much", got)
					}
				}
				for _, p := range waiting {
					if p.Askers[0].Researcher == a.Researcher && p.Askers[0].Priority.Rank() > a.Priority.Rank() {
						t.Fatalf("%v went before one of its researcher that weighs more", got)
					}
				}
				for i := range 4 {
					other := identity.DID(fmt.Sprintf("r%d", i))
					if other == a.Researcher || !eligible(other) {
						delete(passed, other)
						continue
					}
					if passed[other] == nil {
						passed[other] = make(map[identity.DID]int)
					}
					if passed[other][a.Researcher]++; passed[other][a.Researcher] > 1 {
						t.Fatalf("%s had two turns while %s waited", a.Researcher, other)
					}
				}
				waiting = slices.DeleteFunc(waiting, func(p registry.Pending) bool { return p.ID == got })
				running = append(running, got)
				holds[a.Researcher]++
				if holds[a.Researcher] > each || len(running) > places {
					t.Fatalf("%s holds %d places, all together %d", a.Researcher, holds[a.Researcher], len(running))
				}
			}
			for i := range 4 {
				if who := identity.DID(fmt.Sprintf("r%d", i)); len(running) < places && eligible(who) {
					t.Fatalf("a place stays empty while %s waits", who)
				}
			}
		}
	})
}
