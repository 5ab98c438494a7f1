package release

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func span(from, to int64) set {
	var s set
	for p := from; p <= to; p++ {
		s = append(s, p)
	}
	return s
}

func TestInference(t *testing.T) {
	t.Parallel()
	const least = 11
	x, y := span(1, 50), span(41, 90) // ten in both
	for name, c := range map[string]struct {
		earlier, fresh []set
		want           bool
	}{
		"first":                              {nil, []set{x}, false},
		"the same again":                     {[]set{x}, []set{x}, false},
		"two that overlap by a few":          {[]set{x}, []set{y}, false},
		"and their union":                    {[]set{x, y}, []set{union(x, y)}, true},
		"all three at once":                  {nil, []set{x, y, union(x, y)}, true},
		"union known from its parts":         {[]set{x, span(51, 90)}, []set{union(x, y)}, false},
		"ten fewer":                          {[]set{x}, []set{span(1, 40)}, true},
		"eleven fewer":                       {[]set{x}, []set{span(1, 39)}, false},
		"a whole less its parts":             {[]set{span(1, 20), span(21, 40)}, []set{span(1, 45)}, true},
		"the parts after the whole":          {[]set{span(1, 45)}, []set{span(1, 20), span(21, 40)}, true},
		"round a ring, a person at each end": {[]set{span(1, 21), span(21, 41)}, []set{union(span(1, 20), span(22, 41))}, true},
		// a+b, b+c, c+a: each of two thirds, twice any third is a combination.
		"halves of a triangle": {[]set{span(1, 20), span(11, 30)}, []set{union(span(1, 10), span(21, 30))}, true},
		"larger thirds":        {[]set{span(1, 40), span(21, 60)}, []set{union(span(1, 20), span(41, 60))}, false},
		"known before":         {[]set{x, span(1, 45)}, []set{span(100, 150)}, false},
	} {
		got, err := infers(c.earlier, c.fresh, least)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

// TestInferenceFindsWhatExhaustionFinds compares with the definition: there are
// fewer than least persons to whom the space of all sets gives more than that of
// the earlier sets, by ranks over the rationals, tried for all such persons.
func TestInferenceFindsWhatExhaustionFinds(t *testing.T) {
	t.Parallel()
	const people = 9
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, atLeast int) []set {
			return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) set {
				return slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.Int64Range(1, people), 1, people, rapid.ID[int64]).Draw(t, "set")))
			}), atLeast, 4).Draw(t, label)
		}
		earlier, fresh := draw("earlier", 0), draw("fresh", 1)
		least := rapid.IntRange(2, 5).Draw(t, "least")
		want := false
		for few := uint(1); few < 1<<people && !want; few++ {
			if n := bitsSet(few); n < least {
				want = inside(slices.Concat(earlier, fresh), few) > inside(earlier, few)
			}
		}
		got, err := infers(earlier, fresh, least)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func bitsSet(v uint) (n int) {
	for ; v > 0; v &= v - 1 {
		n++
	}
	return n
}

// inside returns the dimension of what combinations of the sets say about these
// persons alone.
func inside(sets []set, few uint) int { return rank(sets, 0) - rank(sets, few) }

// rank of the sets' indicator vectors without some persons.
func rank(sets []set, without uint) int {
	var basis [][]*big.Rat
	for _, s := range sets {
		row := make([]*big.Rat, 9)
		for i := range row {
			row[i] = new(big.Rat)
		}
		for _, p := range s {
			if without&(1<<(p-1)) == 0 {
				row[p-1].SetInt64(1)
			}
		}
		for _, b := range basis {
			at := slices.IndexFunc(b, func(v *big.Rat) bool { return v.Sign() != 0 })
			factor := new(big.Rat).Quo(row[at], b[at])
			for i := range row {
				row[i].Sub(row[i], new(big.Rat).Mul(factor, b[i]))
			}
		}
		if slices.ContainsFunc(row, func(v *big.Rat) bool { return v.Sign() != 0 }) {
			basis = append(basis, row)
		}
	}
	return len(basis)
}

// TestInferenceGivesUp: where the search would take too long, the gate refuses.
func TestInferenceGivesUp(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	var sets []set // half of eighty persons each
	for range 30 {
		var s set
		for p := range int64(80) {
			if random.IntN(2) == 0 {
				s = append(s, p)
			}
		}
		sets = append(sets, s)
	}
	_, err := infers(sets[:29], sets[29:], 11)
	require.ErrorIs(t, err, ErrAudit)
	_, err = infers(make([]set, maxAuditedSets), []set{span(1, 20)}, 11)
	require.NoError(t, err, "empty sets are no sets")
	var many []set
	for i := range int64(maxAuditedSets) {
		many = append(many, span(20*i, 20*i+19))
	}
	found, err := infers(many, []set{span(-30, -1)}, 11)
	require.NoError(t, err, "sets with nobody in common count apart")
	require.False(t, found)
	_, err = infers(many, []set{span(10, 20*maxAuditedSets-10)}, 11)
	require.ErrorIs(t, err, ErrAudit)
}

// TestInferenceOfMoreGroupsThanColumns may refuse, but not let through.
func TestInferenceOfMoreGroupsThanColumns(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var sets []set
	for range 130 {
		var s set
		for p := range int64(20_000) {
			if random.IntN(2) == 0 {
				s = append(s, p)
			}
		}
		sets = append(sets, s)
	}
	require.Greater(t, len(groups(sets).sizes), max(4096, maxAuditWork/4/len(sets)/len(sets)), "some have no column")
	near := slices.Delete(slices.Clone(sets[7]), 5000, 5003) // likely persons of groups without a column
	found, err := infers(sets, []set{near}, 11)
	require.True(t, found || errors.Is(err, ErrAudit))
	found, err = infers(sets[1:], sets[:1], 11)
	require.NoError(t, err)
	require.False(t, found)
}

// BenchmarkAudit judges one more cohort of a hospital of 100,000 persons after
// 100 others, each broken down by sex.
func BenchmarkAudit(b *testing.B) {
	const persons = 100_000
	random := rand.New(rand.NewPCG(1, 2))
	cohort := func() []set {
		var women, men set
		share := random.Float64() / 2
		for p := range int64(persons) {
			if random.Float64() < share {
				if p%2 == 0 {
					women = append(women, p)
				} else {
					men = append(men, p)
				}
			}
		}
		return []set{women, men}
	}
	var earlier []set
	for range 100 {
		earlier = append(earlier, cohort()...)
	}
	fresh := cohort()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := infers(earlier, fresh, 11); err != nil {
			b.Fatal(err)
		}
	}
}
