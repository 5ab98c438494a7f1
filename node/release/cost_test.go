package release

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// atLarge are the persons of a large site.
const atLarge = 1_000_000

// BenchmarkMeansOfGroups is the cost of a first question for a mean in 20 groups.
func BenchmarkMeansOfGroups(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	cells := make([][]Value, 20)
	for person := range int64(atLarge) {
		v := Value{Number: 60 + float64(r.IntN(10_000_000))/1e6}
		require.NoError(b, v.Person.Scan(person))
		cells[person%20] = append(cells[person%20], v)
	}
	for b.Loop() {
		sums, err := added{parts: partsOfMeans, mean: true}.numbers(cells)
		require.NoError(b, err)
		found, err := leaveFew(new(int), nil, sums, 11)
		require.NoError(b, err)
		require.False(b, found)
	}
}

// BenchmarkMeansAfterOthers is that of a mean after four of the same persons.
func BenchmarkMeansAfterOthers(b *testing.B) {
	sums := meansAtLarge(b, 5)
	for b.Loop() {
		found, err := leaveFew(new(int), sums[:4], sums[4:], 11)
		require.NoError(b, err)
		require.False(b, found)
	}
}

// BenchmarkMeansOfGroupsAfterAll is that of 20 groups after the mean of all.
func BenchmarkMeansOfGroupsAfterAll(b *testing.B) {
	all := meansAtLarge(b, 1)
	groups := make([]numbers, 20)
	for i, person := range all[0].persons {
		g := &groups[i%20]
		g.persons, g.values = append(g.persons, person), append(g.values, all[0].values[i])
	}
	for b.Loop() {
		found, err := leaveFew(new(int), all, groups, 11)
		require.NoError(b, err)
		require.False(b, found)
	}
}

// BenchmarkPowersOfSums compares one of events with four.
func BenchmarkPowersOfSums(b *testing.B) {
	var cells [5][]Value
	for person := range int64(atLarge) {
		v := Value{}
		require.NoError(b, v.Person.Scan(person))
		for k := range cells {
			v.Number = float64(min(person*7919%10007%12, int64(k+5)))
			cells[k] = append(cells[k], v)
		}
	}
	sums, err := added{}.numbers(cells[:])
	require.NoError(b, err)
	for b.Loop() {
		require.False(b, powersDiffer(new(int), sums[:4], sums[4:], 11))
	}
}

func meansAtLarge(b *testing.B, n int) []numbers {
	r := rand.New(rand.NewPCG(1, 2))
	cells := make([][]Value, n)
	for person := range int64(atLarge) {
		v := Value{}
		require.NoError(b, v.Person.Scan(person))
		for k := range cells {
			v.Number = 60 + float64(r.IntN(10_000_000))/1e6
			cells[k] = append(cells[k], v)
		}
	}
	sums, err := added{parts: partsOfMeans}.numbers(cells)
	require.NoError(b, err)
	return sums
}

// BenchmarkNests compares two histograms of 1000 bins.
func BenchmarkNests(b *testing.B) {
	one, other := make([]set, 1000), make([]set, 1000)
	for person := range int64(atLarge) {
		one[person%1000] = append(one[person%1000], person)
		at := (person*7919 + person/1000) % 1000
		other[at] = append(other[at], person)
	}
	c, d := newCut("age", one), newCut("copy", other)
	for b.Loop() {
		require.False(b, c.nests(new(int), d, 11))
	}
}
