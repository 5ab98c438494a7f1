// Package queue decides whose question is driven next.
//
// A [Queue] has places. [Queue.Take] fills those that are free: researchers take
// turns, whoever has waited longest since their last turn first, so a thousand
// questions of one of them delay another's by one place at most. Among the
// questions of one researcher priority decides, then age. Nobody holds more than
// their share of the places.
//
// A question that several asked in the same words is driven once. It stands in
// each one's line and takes the turn of whoever gets there first.
//
// The package reads no clock and keeps nothing: after a change of leader a new
// Queue begins with nobody's turn taken.
package queue

import (
	"cmp"
	"slices"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Queue hands out places. It is not safe for concurrent use.
type Queue struct {
	places, each int
	taken        map[query.ID]identity.DID // by whose turn
	holds        map[identity.DID]int      // places
	served       map[identity.DID]uint64   // the number of the last turn
	turns        uint64
}

// New returns a queue of so many places, of which one researcher holds each at most.
func New(places, each int) *Queue {
	return &Queue{
		places: places, each: each, taken: make(map[query.ID]identity.DID),
		holds: make(map[identity.DID]int), served: make(map[identity.DID]uint64),
	}
}

// Has reports whether a question has a place.
func (q *Queue) Has(id query.ID) bool {
	_, has := q.taken[id]
	return has
}

// Taken is how many places are taken.
func (q *Queue) Taken() int { return len(q.taken) }

// Release gives a question's place back.
func (q *Queue) Release(id query.ID) {
	of, has := q.taken[id]
	if !has {
		return
	}
	delete(q.taken, id)
	if q.holds[of]--; q.holds[of] == 0 {
		delete(q.holds, of)
	}
}

// Take gives the free places to questions that have none and returns those that
// got one, in the order in which they did. waiting is in order of age.
func (q *Queue) Take(waiting []registry.Pending) []query.ID {
	lines := q.lines(waiting)
	var got []query.ID
	for len(q.taken) < q.places {
		first := -1
		for i := range lines {
			if !q.may(&lines[i]) {
				continue
			}
			if first < 0 || q.served[lines[i].of] < q.served[lines[first].of] {
				first = i
			}
		}
		if first < 0 {
			break
		}
		l := &lines[first]
		id := l.questions[0].id
		q.turns++
		q.served[l.of] = q.turns
		q.taken[id] = l.of
		q.holds[l.of]++
		got = append(got, id)
	}
	return got
}

// line is what waits of one researcher, the first in front.
type line struct {
	of        identity.DID
	questions []place
}

type place struct {
	id       query.ID
	priority query.Priority
}

// lines returns everybody's line, that of the oldest question first.
func (q *Queue) lines(waiting []registry.Pending) []line {
	var lines []line
	at := make(map[identity.DID]int)
	for _, w := range waiting {
		for _, a := range w.Askers {
			i, there := at[a.Researcher]
			if !there {
				i = len(lines)
				at[a.Researcher], lines = i, append(lines, line{of: a.Researcher})
			}
			lines[i].questions = append(lines[i].questions, place{w.ID, a.Priority})
		}
	}
	for _, l := range lines {
		slices.SortStableFunc(l.questions, func(a, b place) int { return cmp.Compare(b.priority.Rank(), a.priority.Rank()) })
	}
	return lines
}

// may drops what got a place from the front of a line, and reports whether its
// researcher may take one more.
func (q *Queue) may(l *line) bool {
	for len(l.questions) > 0 && q.Has(l.questions[0].id) {
		l.questions = l.questions[1:]
	}
	return len(l.questions) > 0 && q.holds[l.of] < q.each
}
