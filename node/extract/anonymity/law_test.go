package anonymity_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// drawn is a random table and goal.
type drawn struct {
	attributes []anonymity.Attribute
	rows       [][]int64
	goal       anonymity.Goal
}

func draw(t *rapid.T) drawn {
	d := drawn{
		attributes: []anonymity.Attribute{
			{Name: "a", Levels: []anonymity.Level{same, band(2), band(4), any1}},
			{Name: "b", Levels: []anonymity.Level{same, band(3), any1}},
			{Name: "c", Levels: []anonymity.Level{same, any1}},
		},
		goal: anonymity.Goal{
			K: rapid.IntRange(2, 6).Draw(t, "k"), L: rapid.IntRange(0, 3).Draw(t, "l"),
			EntropyL: rapid.SampledFrom([]float64{0, 1.5, 2}).Draw(t, "entropy"), Limit: rapid.SampledFrom([]float64{0, 0.1, 0.5}).Draw(t, "limit"),
		},
	}
	value := rapid.Custom(func(t *rapid.T) []int64 {
		return []int64{
			rapid.Int64Range(0, 9).Draw(t, "a"), rapid.Int64Range(0, 5).Draw(t, "b"), rapid.Int64Range(0, 2).Draw(t, "c"),
			rapid.Int64Range(0, 2).Draw(t, "x"), rapid.Int64Range(0, 4).Draw(t, "y"),
		}
	})
	d.rows = rapid.SliceOfN(value, 1, 60).Draw(t, "rows")
	return d
}

func (d drawn) table(t require.TestingT) *anonymity.Table {
	tab, err := anonymity.NewTable(d.attributes, []string{"x", "y"})
	require.NoError(t, err)
	for _, r := range d.rows {
		require.NoError(t, tab.Add(r[:3], r[3:]))
	}
	return tab
}

// fails counts the records that levels would suppress, by comparing every two.
func (d drawn) fails(levels []int) (out int) {
	at := func(r []int64, a int) int64 { return d.attributes[a].Levels[levels[a]].Of(r[a]) }
	for _, r := range d.rows {
		var n int
		values := [2]map[int64]int{{}, {}}
		for _, other := range d.rows {
			if at(r, 0) == at(other, 0) && at(r, 1) == at(other, 1) && at(r, 2) == at(other, 2) {
				n++
				values[0][other[3]]++
				values[1][other[4]]++
			}
		}
		bad := n < d.goal.K
		for _, v := range values {
			var h float64
			for _, c := range v {
				h -= float64(c) / float64(n) * math.Log(float64(c)/float64(n))
			}
			bad = bad || len(v) < d.goal.L || math.Exp(h) < d.goal.EntropyL-1e-9
		}
		if bad {
			out++
		}
	}
	return out
}

func (d drawn) loss(levels []int, out int) float64 {
	kept := (float64(levels[0])/3 + float64(levels[1])/2 + float64(levels[2])) / 3
	all := float64(len(d.rows))
	return (kept*(all-float64(out)) + float64(out)) / all
}

// TestWhatIsReleasedSatisfiesTheGoal compares the search with trying everything.
func TestWhatIsReleasedSatisfiesTheGoal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		tab := d.table(t)
		least, all := math.Inf(1), float64(len(d.rows))
		for a := range 4 {
			for b := range 3 {
				for c := range 2 {
					levels := []int{a, b, c}
					if out := d.fails(levels); float64(out) < all && float64(out) <= d.goal.Limit*all {
						least = min(least, d.loss(levels, out))
					}
				}
			}
		}
		s, err := anonymity.Search(tab, d.goal)
		if math.IsInf(least, 1) {
			require.ErrorIs(t, err, anonymity.ErrUnreachable)
			return
		}
		require.NoError(t, err)
		require.InDelta(t, least, s.Loss, 1e-12)
		require.Equal(t, d.fails(s.Levels), s.Small+s.Uniform)

		kept := map[[3]int64]int{}
		for i := range d.rows {
			if s.Reason(i) == anonymity.Kept {
				kept[[3]int64{s.Value(i, 0), s.Value(i, 1), s.Value(i, 2)}]++
			}
		}
		m := s.Measure()
		require.Len(t, kept, m.Classes)
		smallest := math.MaxInt
		for _, n := range kept {
			smallest = min(smallest, n)
		}
		require.Equal(t, smallest, m.K)
		require.GreaterOrEqual(t, m.K, d.goal.K)
		for _, v := range m.Sensitive {
			require.GreaterOrEqual(t, v.L, d.goal.L)
			require.GreaterOrEqual(t, v.EntropyL, d.goal.EntropyL-1e-9)
		}
	})
}

// TestRiskInALargerPopulation: nobody is easier to name among more people.
func TestRiskInALargerPopulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		s, err := anonymity.Search(d.table(t), d.goal)
		if err != nil {
			return
		}
		alone := s.Risk(nil)
		require.InDelta(t, 1/float64(s.Measure().K), alone.Prosecutor, 1e-12)
		require.Equal(t, alone.Prosecutor, alone.Journalist)
		require.InDelta(t, float64(s.Measure().Classes)/float64(s.Measure().Records), alone.Marketer, 1e-12)
		twice := d
		twice.rows = slices.Concat(d.rows, d.rows)
		more := s.Risk(twice.table(t))
		require.Equal(t, alone.Prosecutor, more.Prosecutor)
		require.InDelta(t, alone.Journalist/2, more.Journalist, 1e-12)
		require.InDelta(t, alone.Marketer/2, more.Marketer, 1e-12)
	})
}

func TestGoalsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]anonymity.Goal{
		"k of one": {K: 1}, "negative l": {K: 2, L: -1}, "all suppressed": {K: 2, Limit: 1}, "no number": {K: 2, Limit: math.NaN()}, "endless entropy": {K: 2, EntropyL: math.Inf(1)},
	} {
		require.Error(t, g.Validate(), name)
	}
	tab, err := anonymity.NewTable(flat("a"), nil)
	require.NoError(t, err)
	require.Error(t, tab.Add([]int64{1, 2}, nil))
	_, err = anonymity.Search(tab, anonymity.Goal{K: 2})
	require.ErrorIs(t, err, anonymity.ErrUnreachable, "nobody")
	_, err = anonymity.NewTable([]anonymity.Attribute{{Name: "a"}}, nil)
	require.Error(t, err)
}
