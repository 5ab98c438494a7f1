package release_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// releasedSet is the persons behind one released number.
type releasedSet struct {
	question int
	persons  []omop.PersonID
}

// subset draws some of the persons in [from, to].
func subset(t *rapid.T, from, to int64, label string) []omop.PersonID {
	if rapid.Bool().Draw(t, label+" is a range") {
		first := rapid.Int64Range(from, to).Draw(t, label+" first")
		return ids(first, rapid.Int64Range(first-1, to).Draw(t, label+" last"))
	}
	var persons []omop.PersonID
	for _, p := range ids(from, to) {
		if rapid.IntRange(0, 9).Draw(t, label) < 8 {
			persons = append(persons, p)
		}
	}
	return persons
}

// TestLaws asks sequences of questions, through restarts, and checks what the
// gate promises about everything that it ever released.
func TestLaws(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		trials := 0
		rapid.Check(t, func(r *rapid.T) {
			trials++
			base := int64(trials) * 1000 // persons of their own for every sequence
			policy := disclosure.Policy{
				MinCell: rapid.IntRange(1, 15).Draw(r, "min cell"), Rounding: rapid.IntRange(0, 12).Draw(r, "rounding"),
				MinDifference: rapid.IntRange(0, 15).Draw(r, "min difference"),
			}
			gate := open(t, db)
			var sets []releasedSet // sets of persons behind numbers that were let out
			words := make(map[string][]uint64)
			used := make(map[string][]omop.PersonID)
			for i := range rapid.IntRange(1, 8).Draw(r, "questions") {
				about := fmt.Sprint(base, rapid.IntRange(0, 3).Draw(r, "question"))
				q := ask(about)
				q.Policy = policy
				a := count(subset(r, base, base+29, "women"), subset(r, base+30, base+59, "men"))
				out, err := gate.Release(t.Context(), q, a, now)
				var refusal *problem.Error
				if err != nil {
					require.ErrorAs(r, err, &refusal)
					continue
				}
				for _, c := range cells(out) {
					require.False(r, c.n > 0 && c.n < uint64(policy.MinCell), "a cell of %d was released", c.n)
					require.False(r, c.n > 0 && policy.Rounding > 1 && c.n%uint64(policy.Rounding) != 0, "%d is not rounded", c.n)
					require.False(r, c.withheld == 1 && c.n > 0)
				}
				again, found, err := gate.Recall(t.Context(), q.ID)
				require.NoError(r, err)
				require.True(r, found)
				require.Equal(r, out.Words(), again.Words())
				if before, known := words[about]; known && equal(used[about], out.Used()) {
					require.Equal(r, before, out.Words(), "the same persons gave another answer")
				}
				repeat := !equal(out.Used(), a.Used)
				words[about], used[about] = out.Words(), out.Used()
				if repeat {
					require.Subset(r, a.Used, out.Used(), "somebody who left is in a repeated answer")
					continue
				}
				var union []omop.PersonID
				for j, c := range cells(out) {
					if c.withheld == 0 && len(a.Sets["persons"][j]) > 0 {
						sets = append(sets, releasedSet{i, a.Sets["persons"][j]})
						union = append(union, a.Sets["persons"][j]...)
					}
				}
				sets = append(sets, releasedSet{i, union})
				if i%3 == 2 {
					gate = open(t, db)
				}
			}
			for i, a := range sets {
				for _, b := range sets[:i] {
					if d := difference(a.persons, b.persons); a.question != b.question {
						require.False(r, d > 0 && d < policy.MinDifference, "two released sets differ by %d", d)
					}
				}
			}
		})
	})
}

func equal(a, b []omop.PersonID) bool { return difference(a, b) == 0 }

func difference(a, b []omop.PersonID) int {
	in := make(map[omop.PersonID]int)
	for _, p := range a {
		in[p] |= 1
	}
	for _, p := range b {
		in[p] |= 2
	}
	n := 0
	for _, sides := range in {
		if sides != 3 {
			n++
		}
	}
	return n
}
