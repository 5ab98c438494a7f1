package release_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// shape of the crossed table whose margins are asked for: two sexes, three age
// groups and two regions, say.
var shape = []int{2, 3, 2}

const crossed = 12 // cells of it

// level returns the level that a crossed cell has on an axis.
func level(cell, axis int) int {
	for a := len(shape) - 1; a > axis; a-- {
		cell /= shape[a]
	}
	return cell % shape[axis]
}

// margin is a question: the cells of some axes, crossed, maybe only of the persons
// on one level of an axis.
type margin struct {
	by          []int
	only, only2 int // axis and level; axis -1 for everybody
}

// cells returns the crossed cells behind each cell of the question.
func (m margin) cells() [][]int {
	n := 1
	for _, axis := range m.by {
		n *= shape[axis]
	}
	out := make([][]int, n)
	for c := range crossed {
		if m.only >= 0 && level(c, m.only) != m.only2 {
			continue
		}
		at := 0
		for _, axis := range m.by {
			at = at*shape[axis] + level(c, axis)
		}
		out[at] = append(out[at], c)
	}
	return out
}

// labels returns the levels that make each cell of the question.
func (m margin) labels() [][]string {
	list := [][]string{nil}
	for _, axis := range m.by {
		var next [][]string
		for _, before := range list {
			for level := range shape[axis] {
				next = append(next, append(slices.Clone(before), fmt.Sprintf("axis %d = %d", axis, level)))
			}
		}
		list = next
	}
	return list
}

// answer returns the answer to the question where each crossed cell holds some persons.
func (m margin) answer(persons [crossed][]omop.PersonID, measure string, exact bool) release.Answer {
	var sets [][]omop.PersonID
	for _, cells := range m.cells() {
		var set []omop.PersonID
		for _, c := range cells {
			set = append(set, persons[c]...)
		}
		sets = append(sets, set)
	}
	a := count(sets...)
	a.Measure, a.Labels, a.Whole = measure, m.labels(), message.Sum(fmt.Append(nil, measure, m.only, m.only2))
	a.Sets = map[string][][]omop.PersonID{measure: sets}
	if exact {
		for at := range a.Table.Cells {
			a.Table.Cells[at].Sums = make([]analysis.Sum, 1)
		}
	}
	return a
}

func drawMargin(t *rapid.T) margin {
	m := margin{only: -1}
	for axis := range shape {
		if rapid.Bool().Draw(t, fmt.Sprint("by ", axis)) {
			m.by = append(m.by, axis)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "everybody") == 0 {
		m.only = rapid.IntRange(0, len(shape)-1).Draw(t, "axis")
		m.only2 = rapid.IntRange(0, shape[m.only]-1).Draw(t, "level")
	}
	return m
}

// seen is what the attacker knows of the sum of some crossed cells.
type seen struct {
	cells  []int
	lo, hi float64
}

// attack returns the least and greatest sum of some crossed cells that agrees with
// what was seen. The solver now and then calls a program singular that it solves
// with the rows in another order.
func attack(knows []seen, cells []int) (lo, hi float64, err error) {
	knows = slices.Clone(knows)
	for range 4 {
		if lo, hi, err = solve(knows, cells); err == nil {
			return lo, hi, nil
		}
		knows = append(knows[1:], knows[0])
	}
	return 0, 0, err
}

func solve(knows []seen, cells []int) (lo, hi float64, err error) {
	var rows []float64
	var limits []float64
	add := func(cells []int, sign, limit float64) {
		row := make([]float64, crossed)
		for _, c := range cells {
			row[c] = sign
		}
		rows, limits = append(rows, row...), append(limits, limit)
	}
	for c := range crossed {
		add([]int{c}, -1, 0)
		add([]int{c}, 1, 1000) // the attacker knows the town
	}
	for _, k := range knows {
		add(k.cells, -1, -k.lo)
		if !math.IsInf(k.hi, 1) {
			add(k.cells, 1, k.hi)
		}
	}
	for i, sign := range []float64{1, -1} {
		aim := make([]float64, crossed)
		for _, c := range cells {
			aim[c] = sign
		}
		c, a, b := lp.Convert(aim, mat.NewDense(len(limits), crossed, rows), limits, nil, nil)
		best, _, err := lp.Simplex(c, a, b, 1e-9, nil)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 {
			lo = best
		} else {
			hi = -best
		}
	}
	return lo, hi, nil
}

// TestMarginsThatBoundedWithheldCells asks what random draws of the test below once found.
func TestMarginsThatBoundedWithheldCells(t *testing.T) {
	t.Parallel()
	everybody := func(by ...int) margin { return margin{by: by, only: -1} }
	of := func(axis, level int, by ...int) margin { return margin{by: by, only: axis, only2: level} }
	for name, c := range map[string]struct {
		sizes [crossed]int64
		exact bool
		few   []margin // asked first, and refused because all their cells are few
		given []margin
		last  margin
		want  error
	}{
		// Both tables show 12 in region 1, in one age group and for one sex. So the three
		// withheld cells of other ages there make up the one of the other sex, and
		// none is of ten. Marks alone do not say so: that nobody else is in two
		// of them is what the 12 tell.
		"a cell is made up of others, as numbers tell": {
			[crossed]int64{0, 0, 2, 5, 5, 2, 0, 12, 0, 0, 1, 0},
			true, nil,
			[]margin{everybody(), everybody(1, 2)},
			everybody(0, 2), release.ErrMargins,
		},
		// That the last table has few in all cells leaves at most 12 of one age group and
		// 42 of another among 58 at least, so four of the third.
		"a refusal for few is a mark": {
			[crossed]int64{0, 0, 1, 32, 12, 0, 12, 12, 9, 0, 40, 2},
			false, nil,
			[]margin{everybody(0, 1), everybody(0, 2), {by: []int{0, 2}, only: 2}},
			margin{by: []int{0, 2}, only: 1},
			release.ErrMargins,
		},
		// Each of the two is nine at most, as marks alone say.
		"a cell is made up of others by its levels": {
			[crossed]int64{3, 0, 20, 0, 20, 0, 4, 0, 20, 0, 20, 0},
			true, nil,
			[]margin{everybody(1)},
			everybody(0, 1), nil,
		},
		"the other way round": {
			[crossed]int64{3, 0, 20, 0, 20, 0, 4, 0, 20, 0, 20, 0},
			true, nil,
			[]margin{everybody(0, 1)},
			everybody(1), nil,
		},
		// In each region six of one sex are withheld, in two age groups that were refused. All
		// less those of the other sex are 12, so either six are two at least. That somebody is
		// in each of the refused cells, so that they are two anyway, nobody was told.
		"refused cells may be empty": {
			[crossed]int64{3, 3, 3, 3, 0, 0, 7, 7, 7, 7, 7, 7},
			true,
			[]margin{of(2, 0, 0, 1), of(2, 1, 0, 1)},
			[]margin{of(2, 0, 0), of(2, 1, 0)},
			everybody(), release.ErrMargins,
		},
		// Those of one sex are two at least, as two age groups of them are withheld. All
		// of them are in one region, so a question about that has a cell of the same persons; but
		// that it is two at least is not known from its name.
		"told of the same persons by another name": {
			[crossed]int64{0, 3, 0, 3, 0, 0, 12, 20, 12, 20, 12, 20},
			true, nil,
			[]margin{everybody(0, 1), everybody(0)},
			of(2, 1, 0), release.ErrMargins,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			var persons [crossed][]omop.PersonID
			for cell, n := range c.sizes {
				first := int64(cell+1) * 100
				persons[cell] = ids(first, first+n-1)
			}
			for i, m := range c.few {
				_, err := gate.Release(t.Context(), ask(fmt.Sprint("few ", i)), m.answer(persons, "persons", c.exact), now)
				require.ErrorIs(t, err, release.ErrCells)
			}
			for i, m := range c.given {
				_, err := gate.Release(t.Context(), ask(fmt.Sprint(i)), m.answer(persons, "persons", c.exact), now)
				require.NoError(t, err)
			}
			_, err := gate.Release(t.Context(), ask("last"), c.last.answer(persons, "persons", c.exact), now)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestNoWithheldCellIsBoundedByNumbers asks for margins of random tables, in random
// order, and lets an attacker with a linear program loose on all answers: of a
// cell withheld for being few, numbers tell nothing that the marks do not, from
// one person to the threshold.
func TestNoWithheldCellIsBoundedByNumbers(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	gate := open(t, db)
	const least = 11
	round := func(n int64) int64 { return (n + 2) / 5 * 5 }
	sequences, secondary, solved, unsolved := int64(0), 0, 0, 0
	rapid.Check(t, func(r *rapid.T) {
		sequences++
		exact := rapid.Bool().Draw(r, "exact")
		var sizes [crossed]int64
		var persons [crossed][]omop.PersonID
		for c := range sizes {
			top := rapid.SampledFrom([]int64{0, 3, 12, 12, 40}).Draw(r, "top")
			sizes[c] = rapid.Int64Range(0, top).Draw(r, "size")
			first := sequences*10_000 + int64(c)*100
			persons[c] = ids(first, first+sizes[c]-1)
		}
		var numbers, marks []seen
		var few [][]int
		for i := range rapid.IntRange(2, 6).Draw(r, "questions") {
			m := drawMargin(r)
			behind := m.cells()
			total := make([]int64, len(behind))
			for at, cells := range behind {
				for _, c := range cells {
					total[at] += sizes[c]
				}
			}
			a := m.answer(persons, fmt.Sprint("measure ", sequences), exact)
			width := 2
			if exact {
				width = 4
			}
			tooFew := func(n int64) bool { return n < least || !exact && round(n) < least }
			smallest := least // that is shown
			for tooFew(int64(smallest)) {
				smallest++
			}
			q := ask(fmt.Sprint(sequences, " ", i))
			q.Policy.MaxQuestions = 0 // all sequences are one researcher's
			out, err := gate.Release(t.Context(), q, a, now)
			if errors.Is(err, release.ErrCells) {
				for _, cells := range behind {
					numbers, marks = append(numbers, seen{cells, 0, float64(smallest - 1)}), append(marks, seen{cells, 0, float64(smallest - 1)})
				}
			}
			if err != nil {
				continue
			}
			for at, cells := range behind {
				n, withheld := int64(out.Words()[at*width]), out.Words()[at*width+1] == 1
				both := func(s seen) { numbers, marks = append(numbers, s), append(marks, s) }
				switch {
				case withheld && tooFew(total[at]):
					both(seen{cells, 1, float64(smallest - 1)})
					if total[at] < least {
						few = append(few, cells)
					}
				case withheld:
					secondary++
					both(seen{cells, 1, math.Inf(1)})
				case n == 0:
					both(seen{cells, 0, 0})
				case exact:
					numbers = append(numbers, seen{cells, float64(n), float64(n)})
					marks = append(marks, seen{cells, float64(smallest), math.Inf(1)})
				default:
					numbers = append(numbers, seen{cells, max(float64(n-2), float64(smallest)), float64(n + 2)})
					marks = append(marks, seen{cells, float64(smallest), math.Inf(1)})
				}
			}
		}
		for _, cells := range few {
			lo, hi, err := attack(numbers, cells)
			if err != nil {
				unsolved++
				continue
			}
			solved++
			if lo <= 1+1e-6 && hi >= least-1-1e-6 {
				continue
			}
			markLo, markHi, err := attack(marks, cells)
			if err != nil {
				unsolved++
				continue
			}
			require.LessOrEqual(r, lo, max(1, markLo)+1e-6, "cells %v are bounded from below", cells)
			require.GreaterOrEqual(r, hi, min(least-1, markHi)-1e-6, "cells %v are bounded from above", cells)
		}
	})
	require.Greater(t, solved, 3*unsolved, "the attacker gives up")
	require.Positive(t, secondary, "some cells are withheld for others' sake")
}
