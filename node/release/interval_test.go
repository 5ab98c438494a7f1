package release

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

func withheld(members set) figure {
	return figure{members: members, withheld: true, exact: true, policy: disclosure.Default()}
}

func number(members set) figure {
	return figure{members: members, exact: true, policy: disclosure.Default()}
}

func rounded(f figure) figure {
	f.exact = false
	return f
}

func TestNumbersThatNarrowWithheldCells(t *testing.T) {
	t.Parallel()
	tens := []figure{withheld(span(1, 10)), withheld(span(11, 20)), withheld(span(21, 30))}
	var ones []figure
	for p := range int64(13) {
		ones = append(ones, withheld(span(p, p)))
	}
	for name, c := range map[string]struct {
		earlier, fresh []figure
		want           bool
	}{
		"marks alone":                          {nil, tens, false},
		"three of ten in thirty":               {tens, []figure{number(span(1, 30))}, true},
		"the total first":                      {[]figure{number(span(1, 30))}, tens, true},
		"three of ten in many":                 {tens, []figure{number(span(1, 90))}, false},
		"three in about thirty":                {tens, []figure{rounded(number(span(1, 30)))}, true},
		"thirteen of one in thirteen":          {ones, []figure{number(span(0, 12))}, true},
		"two of five and six in eleven":        {nil, []figure{withheld(span(1, 5)), withheld(span(6, 11)), number(span(1, 11))}, false},
		"two of two and nine in eleven":        {nil, []figure{withheld(span(1, 2)), withheld(span(3, 11)), number(span(1, 11))}, false},
		"told before":                          {append(slices.Clone(tens), number(span(1, 30))), []figure{number(span(100, 150))}, false},
		"less one that is as many as it needs": {nil, []figure{rounded(withheld(span(1, 12))), number(span(13, 50)), number(span(1, 50))}, false},
	} {
		got, err := narrows(c.earlier, c.fresh)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

// TestAllMarginsOfTheLargestTable stays within what a decision may cost.
func TestAllMarginsOfTheLargestTable(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	levels := []int{3, 4, 6}
	cells := make([]set, 72)
	for i := range cells {
		first := int64(i) * 1000
		cells[i] = span(first, first+random.Int64N(40))
	}
	var figures []figure
	for axes := range 8 {
		behind := make(map[string]set) // by levels
		for i, cell := range cells {
			var m made
			for axis := range slices.Backward(levels) {
				if axes&(1<<axis) != 0 {
					m = m.with(fmt.Sprintf("axis %d = %d", axis, i%levels[axis]))
				}
				i /= levels[axis]
			}
			behind[m.text()] = union(behind[m.text()], cell)
		}
		for text, members := range behind {
			f := rounded(number(members))
			f.withheld = int64(len(members)) < f.least()
			f.made = made{whole: "everybody"}.of(text)
			figures = append(figures, f)
		}
	}
	_, err := narrows(nil, figures)
	require.NoError(t, err)
}

// TestTooManyFiguresToTell refuses, unless they have nobody in common.
func TestTooManyFiguresToTell(t *testing.T) {
	t.Parallel()
	var apart []figure
	for p := range int64(2000) {
		apart = append(apart, withheld(span(p, p)))
	}
	found, err := narrows(nil, apart)
	require.NoError(t, err)
	require.False(t, found)
	_, err = narrows(apart, []figure{number(span(0, 1999))})
	require.ErrorIs(t, err, ErrAudit)
}
