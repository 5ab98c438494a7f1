package release_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

// steps is the answer to an attrition: each set is a part of the one before.
func steps(sets ...[]omop.PersonID) release.Answer {
	a := count(sets...)
	a.Nested, a.Used = true, sets[0]
	return a
}

// TestStepsThatDifferByFew asks for attritions of a hundred persons. Of steps that are shown
// as the same number the first is withheld, so that the cohort itself is shown.
func TestStepsThatDifferByFew(t *testing.T) {
	t.Parallel()
	hidden := cell{0, 1}
	for name, c := range map[string]struct {
		left []int64
		want []cell
	}{
		"many leave at each":               {[]int64{100, 80, 60}, []cell{{100, 0}, {80, 0}, {60, 0}}},
		"nobody leaves":                    {[]int64{100, 100, 60}, []cell{{100, 0}, {100, 0}, {60, 0}}},
		"one leaves at the end":            {[]int64{100, 80, 79}, []cell{{100, 0}, hidden, {80, 0}}},
		"one leaves first":                 {[]int64{100, 99, 60}, []cell{hidden, {100, 0}, {60, 0}}},
		"few leave twice, few in all":      {[]int64{100, 96, 92}, []cell{{100, 0}, hidden, hidden}},
		"few leave twice, enough in all":   {[]int64{100, 94, 88}, []cell{{100, 0}, hidden, {90, 0}}},
		"few are left of enough":           {[]int64{100, 80, 8}, []cell{{100, 0}, {80, 0}, hidden}},
		"few are left, after few left":     {[]int64{100, 20, 10}, []cell{{100, 0}, hidden, hidden}},
		"nobody is left":                   {[]int64{100, 80, 0}, []cell{{100, 0}, {80, 0}, {0, 0}}},
		"few leave, and with them the end": {[]int64{100, 50, 45, 45}, []cell{{100, 0}, hidden, {45, 0}, {45, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			var sets [][]omop.PersonID
			for _, n := range c.left {
				sets = append(sets, ids(1, n))
			}
			r, err := gate.Release(t.Context(), ask("attrition"), steps(sets...), now)
			require.NoError(t, err)
			require.Equal(t, c.want, cells(r))
		})
	}
}

// TestStepsBesideTheCountOfTheCohort asks for the last step as a count, before and after.
func TestStepsBesideTheCountOfTheCohort(t *testing.T) {
	t.Parallel()
	attrition := steps(ids(1, 100), ids(1, 99), ids(1, 60), ids(1, 59))
	gate := open(t, sqltest.SQLite(t))
	_, err := gate.Release(t.Context(), ask("count"), count(ids(1, 59)), now)
	require.NoError(t, err)
	r, err := gate.Release(t.Context(), ask("attrition"), attrition, now)
	require.NoError(t, err)
	require.Equal(t, []cell{{0, 1}, {100, 0}, {0, 1}, {60, 0}}, cells(r), "what was counted is shown, the steps next to the others are not")

	gate = open(t, sqltest.SQLite(t))
	r, err = gate.Release(t.Context(), ask("attrition"), attrition, now)
	require.NoError(t, err)
	require.Equal(t, []cell{{0, 1}, {100, 0}, {0, 1}, {60, 0}}, cells(r))
	_, err = gate.Release(t.Context(), ask("step before"), count(ids(1, 60)), now)
	require.ErrorIs(t, err, release.ErrDifference, "the last step was shown")
	_, err = gate.Release(t.Context(), ask("count"), count(ids(1, 59)), now)
	require.NoError(t, err)
}

func TestStepsThatAreNoPartOfEachOther(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	_, err := gate.Release(t.Context(), ask("q"), steps(ids(1, 50), ids(20, 60)), now)
	require.ErrorContains(t, err, "no part of the one before")
}

// TestNobodyLearnsHowFewLeave asks for random attritions under random policies, and for
// steps of them as counts, before and after. Of those who leave at a step, if they are
// fewer than the least difference, all numbers tell an attacker with a linear program no
// more than the marks or what he was told before the attrition.
func TestNobodyLearnsHowFewLeave(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	gate := open(t, db)
	sequences, attacked, released, unsolved := int64(0), 0, 0, 0
	rapid.Check(t, func(r *rapid.T) {
		sequences++
		policy := disclosure.Policy{
			MinCell: rapid.IntRange(1, 15).Draw(r, "min cell"), Rounding: rapid.SampledFrom([]int{0, 5, 8}).Draw(r, "rounding"),
			MinDifference: rapid.IntRange(0, 15).Draw(r, "min difference"),
		}
		base, least := int64(max(policy.Rounding, 1)), int64(max(policy.MinCell, policy.MinDifference))
		round := func(n int64) int64 { return (n + base/2) / base * base }
		smallest := least // that is shown
		for round(smallest) < least {
			smallest++
		}

		// parts are who leaves at each step, then who is left; a step is the parts from it on.
		n := rapid.IntRange(2, 6).Draw(r, "steps")
		parts, from := make([]int64, n), make([]int64, n)
		behind, sets := make([][]int, n), make([][]omop.PersonID, n)
		for i := n - 1; i >= 0; i-- {
			top := rapid.SampledFrom([]int64{0, 3, 12, 12, 40}).Draw(r, "top")
			parts[i] = rapid.Int64Range(0, top).Draw(r, "size")
			from[i] = parts[i]
			if i < n-1 {
				from[i] += from[i+1]
				behind[i] = append(behind[i], behind[i+1]...)
			}
			behind[i] = append(behind[i], i)
			sets[i] = ids(sequences*1000, sequences*1000+from[i]-1)
		}

		var numbers, marks []seen
		ask := func(about string, a release.Answer, of ...int) {
			a.Measure = fmt.Sprint("measure ", sequences)
			a.Sets = map[string][][]omop.PersonID{a.Measure: a.Sets["persons"]}
			q := ask(fmt.Sprint(sequences, about))
			q.Policy = policy
			out, err := gate.Release(t.Context(), q, a, now)
			if err != nil && !errors.Is(err, release.ErrCells) {
				return
			}
			for k, i := range of {
				both := func(lo, hi float64) {
					numbers, marks = append(numbers, seen{behind[i], lo, hi}), append(marks, seen{behind[i], lo, hi})
				}
				if err != nil {
					both(0, float64(smallest-1))
					continue
				}
				shown, withheld := int64(out.Words()[2*k]), out.Words()[2*k+1] == 1
				switch {
				case withheld && from[i] < smallest:
					both(1, float64(smallest-1))
				case withheld:
					both(1, math.Inf(1))
				case shown == 0:
					both(0, 0)
				default:
					released++
					numbers = append(numbers, seen{behind[i], float64(max(shown-base/2, smallest)), float64(shown - base/2 + base - 1)})
					marks = append(marks, seen{behind[i], float64(smallest), math.Inf(1)})
				}
			}
		}
		plain := func(label string) {
			if rapid.Bool().Draw(r, label) {
				i := rapid.IntRange(0, n-1).Draw(r, "step")
				ask(label, count(sets[i]), i)
			}
		}
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		plain("a count before")
		before := slices.Clone(numbers)
		ask("attrition", steps(sets...), all...)
		plain("a count after")
		plain("another")

		for i := range n - 1 {
			top := policy.MinDifference - 1
			if parts[i] == 0 || parts[i] > int64(top) {
				continue
			}
			attacked++
			lo, hi, err := attack(numbers, []int{i})
			markLo, markHi, errMarks := attack(marks, []int{i})
			oldLo, oldHi, errOld := attack(before, []int{i})
			if errors.Join(err, errMarks, errOld) != nil {
				unsolved++
				continue
			}
			require.LessOrEqual(r, lo, max(1, markLo, oldLo)+1e-6, "who leaves at step %d is bounded from below", i+1)
			require.GreaterOrEqual(r, hi, min(float64(top), markHi, oldHi)-1e-6, "who leaves at step %d is bounded from above", i+1)
		}
	})
	require.Greater(t, attacked, 20*unsolved, "the attacker gives up")
	require.Greater(t, released, 10, "some steps are shown")
}
