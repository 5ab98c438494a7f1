package release

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCutsCoincide: of A, and of B that overlaps with it.
func TestCutsCoincide(t *testing.T) {
	t.Parallel()
	a, b := span(1, 60), span(31, 90)
	onlyA, onlyB := span(1, 30), span(61, 90)
	for name, c := range map[string]struct {
		others, same, fresh []set
		want                bool
	}{
		"overlapping":                      {[]set{a}, nil, []set{b}, false},
		"what is only in either":           {[]set{a, onlyA}, []set{b}, []set{onlyB}, true},
		"but for ten":                      {[]set{a, onlyA}, []set{b}, []set{span(66, 95)}, true},
		"but for eleven":                   {[]set{a, onlyA}, []set{b}, []set{union(span(66, 90), span(100, 105))}, false},
		"one of them":                      {[]set{a, onlyA}, nil, []set{b}, false},
		"the same":                         {[]set{a}, nil, []set{a}, true},
		"cells of the same":                {[]set{a}, nil, []set{onlyA, span(31, 60)}, true},
		"others":                           {[]set{a}, nil, []set{onlyB}, false},
		"it was so before":                 {[]set{a}, []set{a}, []set{span(20, 50)}, false},
		"few that one way tells by itself": {[]set{a}, []set{span(61, 100)}, []set{span(63, 100)}, false},
	} {
		got, err := coincide(new(int), c.others, c.same, c.fresh, 11)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

// TestCutsCoincideWhereExhaustionSays compares with the definition: but for fewer than least
// persons, the spaces of the two ways have something in common, by ranks over the
// rationals, tried for all such persons.
func TestCutsCoincideWhereExhaustionSays(t *testing.T) {
	t.Parallel()
	const people = 9
	var yes, no int
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, atLeast int) []set {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) set {
				return slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.Int64Range(1, people), 1, people, rapid.ID[int64]).Draw(t, "set")))
			}), atLeast, 3).Draw(t, label)
		}
		others, same, fresh := draw("others", 0), draw("same", 0), draw("fresh", 1)
		least := rapid.IntRange(1, 3).Draw(t, "least")
		common := func(one, other []set) bool {
			for few := range uint(1 << people) {
				if bitsSet(few) < least && rank(slices.Concat(one, other), few) < rank(one, few)+rank(other, few) {
					return true
				}
			}
			return false
		}
		if common(others, same) {
			t.Skip("it was so before")
		}
		got, err := coincide(new(int), others, same, fresh, least)
		require.NoError(t, err)
		want := common(others, slices.Concat(same, fresh))
		require.Equal(t, want, got)
		if want {
			yes++
		} else {
			no++
		}
	})
	require.Greater(t, min(yes, no), 5)
}
