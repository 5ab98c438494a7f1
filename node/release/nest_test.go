package release

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cutBy divides persons 1 to n by their values, of those who have one.
func cutBy(name string, n int, value func(person int) (v float64, has bool), breaks ...float64) cut {
	parts := make([]set, len(breaks)+1)
	for person := 1; person <= n; person++ {
		if v, has := value(person); has {
			at, _ := slices.BinarySearch(breaks, v)
			parts[at] = append(parts[at], int64(person))
		}
	}
	return newCut(name, slices.DeleteFunc(parts, func(s set) bool { return len(s) == 0 }))
}

// TestACopyUnderAnotherName is told by the persons: the values are 1 to 300.
func TestACopyUnderAnotherName(t *testing.T) {
	t.Parallel()
	one := cutBy("age", 300, func(p int) (float64, bool) { return float64(p), true }, 100, 200)
	for name, c := range map[string]struct {
		value  func(p int) (float64, bool)
		breaks []float64
		want   bool
	}{
		"few between":                     {func(p int) (float64, bool) { return float64(p), true }, []float64{105}, true},
		"few between, and few lack it":    {func(p int) (float64, bool) { return float64(p), p%60 > 0 }, []float64{105}, true},
		"in another unit":                 {func(p int) (float64, bool) { return 0.45 * float64(p), true }, []float64{0.45 * 205}, true},
		"the same break":                  {func(p int) (float64, bool) { return float64(p), true }, []float64{100}, false},
		"the same break, and few lack it": {func(p int) (float64, bool) { return float64(p), p%60 > 0 }, []float64{100}, false},
		"many between":                    {func(p int) (float64, bool) { return float64(p), true }, []float64{111}, false},
		"another value":                   {func(p int) (float64, bool) { return float64(p * 7 % 300), true }, []float64{105}, false},
		"few outside":                     {func(p int) (float64, bool) { return float64(p), true }, []float64{295}, false},
	} {
		other := cutBy("copy", 300, c.value, c.breaks...)
		require.Equal(t, c.want, one.nests(new(int), other, 11), name)
		require.Equal(t, c.want, other.nests(new(int), one, 11), name)
	}
}

// TestNestsWhereExhaustionSays compares with the definition, for all runs.
func TestNestsWhereExhaustionSays(t *testing.T) {
	t.Parallel()
	var yes, no int
	rapid.Check(t, func(t *rapid.T) {
		const people = 24
		least := rapid.IntRange(1, 4).Draw(t, "least")
		draw := func(name string) cut {
			shift := rapid.IntRange(0, 4).Draw(t, name)
			missing := rapid.IntRange(5, people).Draw(t, name)
			return cutBy(name, people, func(p int) (float64, bool) { return float64(p - shift), p%missing > 0 }, 6, 12, 18)
		}
		one, other := draw("one"), draw("other")
		both, _ := one.persons.differences(other.persons)
		common := len(one.persons) - both
		some := func(only, run int) bool { return least <= run-only && run-only <= common-least }
		want := false
		for from, to := range one.runs() {
			for first, last := range other.runs() {
				run, otherRun := union(one.parts[from:to+1]...), union(other.parts[first:last+1]...)
				lack, _ := run.differences(other.persons)
				otherLack, _ := otherRun.differences(one.persons)
				only, onlyOther := run.differences(otherRun)
				nested := (only == lack) != (onlyOther == otherLack)
				want = want || len(run) >= least && only+onlyOther < least && nested && some(lack, len(run)) && some(otherLack, len(otherRun))
			}
		}
		require.Equal(t, want, one.nests(new(int), other, least))
		if want {
			yes++
		} else {
			no++
		}
	})
	require.Greater(t, min(yes, no), 5)
}

// TestTwoVariablesAreNoCopies: of histograms of eight values that go together by half, each of 2 to 8 bins of
// all persons or of a cohort, hardly any is refused at a small site, and none at one of a thousand persons.
func TestTwoVariablesAreNoCopies(t *testing.T) {
	t.Parallel()
	for n, most := range map[int]int{300: 2, 1000: 0} {
		r := rand.New(rand.NewPCG(uint64(n), 3))
		values := make([][8]float64, n+1)
		for p := range values {
			shared := r.NormFloat64()
			for v := range values[p] {
				values[p][v] = 0.7*shared + 0.7*r.NormFloat64()
			}
		}
		var cuts []cut
		refused := 0
		for range 4 {
			share, in := 0.1+0.5*r.Float64(), make([]bool, n+1)
			for p := range in {
				in[p] = r.Float64() < share
			}
			for v := range 8 {
				var breaks []float64
				for _, place := range r.Perm(17)[:1+2*r.IntN(4)] {
					breaks = append(breaks, -2+float64(place)/4)
				}
				slices.Sort(breaks)
				fresh := cutBy(string(rune('a'+v)), n, func(p int) (float64, bool) { return values[p][v], in[p] }, breaks...)
				if slices.ContainsFunc(cuts, func(earlier cut) bool { return earlier.value != fresh.value && fresh.nests(new(int), earlier, 11) }) {
					refused++
				}
				cuts = append(cuts, fresh)
			}
		}
		require.LessOrEqual(t, refused, most, n)
	}
}

// TestCopiesOfValues: most of both are the same.
func TestCopiesOfValues(t *testing.T) {
	t.Parallel()
	// A person has an element of its own and one of the value, which lie apart here.
	of := func(first, last, by int64) (s set) { return union(span(first, last), span(by+first, by+last)) }
	for name, c := range map[string]struct {
		one, other set
		want       bool
	}{
		"the same":           {of(1, 100, 1000), of(1, 100, 1000), false},
		"few lack it":        {of(1, 100, 1000), of(4, 100, 1000), true},
		"many lack it":       {of(1, 100, 1000), of(12, 100, 1000), false},
		"other values":       {of(1, 100, 1000), of(1, 100, 2000), false},
		"other values, few":  {of(1, 5, 1000), of(1, 5, 2000), false},
		"others of as many":  {of(1, 100, 1000), of(101, 200, 1000), false},
		"one of another age": {of(1, 100, 1000), union(span(1, 100), span(1001, 1099), set{5000}), true},
	} {
		require.Equal(t, c.want, copies(c.one, c.other, 22), name)
		require.Equal(t, c.want, copies(c.other, c.one, 22), name)
	}
}
