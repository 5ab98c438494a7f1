package release

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestNearlyARunOfParts: of persons in tens, by age.
func TestNearlyARunOfParts(t *testing.T) {
	t.Parallel()
	parts := newCut("age", []set{span(1, 100), span(101, 200), span(201, 300)})
	for name, c := range map[string]struct {
		members set
		want    bool
	}{
		"a part":                             {span(1, 100), false},
		"two":                                {span(101, 300), false},
		"eight more of the next":             {span(1, 108), true},
		"eight fewer":                        {span(109, 200), true},
		"two parts less three":               {span(101, 297), true},
		"eleven more of the next":            {span(1, 111), false},
		"a part and some without a value":    {union(span(1, 100), span(901, 905)), false},
		"one more and some without a value":  {union(span(1, 101), span(901, 905)), true},
		"others":                             {span(901, 999), false},
		"some of all":                        {union(span(1, 40), span(101, 140), span(201, 240)), false},
		"few more of the next, few too many": {union(span(1, 106), span(901, 905)), false},
	} {
		require.Equal(t, c.want, parts.nearly(c.members, 11), name)
	}
	few := newCut("age", []set{span(1, 100), span(101, 105), span(106, 300)})
	require.False(t, few.nearly(span(1, 105), 11), "that five are between is told by the parts")
}

// TestRunsThatCross: of two divisions of the same persons by one value.
func TestRunsThatCross(t *testing.T) {
	t.Parallel()
	at := func(ends ...int64) cut {
		var parts []set
		from := int64(1)
		for _, end := range append(ends, 400) {
			parts, from = append(parts, span(from, end)), end+1
		}
		return newCut("age", parts)
	}
	for name, c := range map[string]struct {
		one, other cut
		want       bool
	}{
		"the same":            {at(100, 200), at(100, 200), false},
		"finer":               {at(100, 200), at(50, 100, 150, 200), false},
		"a year apart":        {at(100, 200), at(108, 200), true},
		"one year of several": {at(100, 200, 300), at(50, 150, 208, 350), true},
		"decades apart":       {at(100, 200), at(120, 230), false},
		"few by themselves":   {at(100, 105), at(100, 200), false},
	} {
		require.Equal(t, c.want, c.one.crosses(new(int), c.other, 11), name)
		require.Equal(t, c.want, c.other.crosses(new(int), c.one, 11), name)
	}
}

// TestNearRunsWhereExhaustionSays compares with the definition, for all runs.
func TestNearRunsWhereExhaustionSays(t *testing.T) {
	t.Parallel()
	var yes, no int
	rapid.Check(t, func(t *rapid.T) {
		const people = 12
		least := rapid.IntRange(1, 4).Draw(t, "least")
		parts := make([]set, 4)
		for person := int64(1); person <= people; person++ {
			if part := rapid.IntRange(0, len(parts)).Draw(t, "part"); part < len(parts) {
				parts[part] = append(parts[part], person)
			}
		}
		members := span(1, int64(rapid.IntRange(1, people).Draw(t, "members")))
		var near, same, divides bool
		for first := range parts {
			only, _ := parts[first].differences(members)
			divides = divides || 0 < only && only < len(parts[first])
			for last := first; last < len(parts); last++ {
				run := union(parts[first : last+1]...)
				onlyRun, onlyMembers := run.differences(members)
				near = near || len(run) >= least && onlyRun+onlyMembers < least
				same = same || len(run) >= least && onlyRun+onlyMembers == 0
			}
		}
		want := near && !same && divides
		require.Equal(t, want, newCut("age", parts).nearly(members, least))
		if want {
			yes++
		} else {
			no++
		}
	})
	require.Greater(t, min(yes, no), 5)
}
