package release

import (
	"fmt"
	"slices"
	"strings"
)

// made is what anybody knows of a set of persons without a number: of which whole it is and
// by which levels, as "axis = level", in order. Of one whole, a set includes those of its
// levels and more, and shares nobody with one of another level of an axis. That no
// person happens to be in two cells, or all of one in another, is not known.
type made struct {
	whole  string // "" if nothing is known
	levels []string
}

// made returns what is known of a cell of an answer.
func (d *decision) made(a Answer, cell int) made {
	m := made{whole: a.Whole.String()}
	switch {
	case a.Whole.IsZero() && !a.Nested:
		return made{}
	case a.Whole.IsZero():
		m.whole = d.q.ID.String()
	}
	if a.Nested {
		for i := range cell + 1 {
			m = m.with(step(i, "reached"))
		}
		return m
	}
	if cell < len(a.Labels) {
		m = m.with(a.Labels[cell]...)
	}
	return m
}

// step is a level of the persons who reached or left at a step of nested cells.
func step(i int, level string) string { return fmt.Sprintf("step %d = %s", i, level) }

// with returns what is known of those in m who have some levels more.
func (m made) with(levels ...string) made {
	m.levels = slices.Concat(m.levels, levels)
	slices.Sort(m.levels)
	m.levels = slices.Compact(m.levels)
	return m
}

// includes reports whether everybody of the other set must be in m.
func (m made) includes(other made) bool {
	return !slices.ContainsFunc(m.levels, func(l string) bool { return !slices.Contains(other.levels, l) })
}

// apart reports whether m and the other set cannot share anybody.
func (m made) apart(other made) bool {
	for _, l := range m.levels {
		axis, level, _ := strings.Cut(l, " = ")
		for _, o := range other.levels {
			if its, o, _ := strings.Cut(o, " = "); its == axis && o != level {
				return true
			}
		}
	}
	return false
}

func (m made) text() string { return strings.Join(m.levels, "\n") }

// of returns m with the levels that text wrote.
func (m made) of(text string) made {
	if text != "" {
		m.levels = strings.Split(text, "\n")
	}
	return m
}

// overlaps returns, of figures of one whole, which a person may be in and no others, by place:
// every choice that their levels allow. It returns false if there are too many.
func overlaps(figures []figure) ([][]int, bool) {
	all := []made{{}}
	seen := map[string]bool{"": true}
	for _, f := range figures {
		for _, m := range all {
			if m.apart(f.made) {
				continue
			}
			m = m.with(f.made.levels...)
			if key := m.text(); !seen[key] {
				seen[key] = true
				all = append(all, m)
			}
			if len(all)*len(figures) > maxProgram {
				return nil, false
			}
		}
	}
	var in [][]int
	for _, m := range all {
		var places []int
		for i, f := range figures {
			if f.made.includes(m) {
				places = append(places, i)
			}
		}
		in = append(in, places)
	}
	return in, true
}

// marked is what the marks of all figures of one whole say.
type marked struct {
	program *program
	members map[int][]int // unknowns of each figure, by its place
}

// marks returns the least and greatest number of persons of figure i by the marks alone, of
// all figures of its whole. What marks are taken to tell numbers may tell as well, so
// nobody is thought to know here which overlaps are empty: numbers can be what tells it.
func (v *view) marks(i int) (lo, hi float64, err error) {
	whole := v.figures[i].made.whole
	if whole == "" {
		lo, hi = v.figures[i].marks()
		return lo, hi, nil
	}
	m, known := v.marked[whole]
	if !known {
		if m, err = v.mark(whole); err != nil {
			return 0, 0, err
		}
		if v.marked == nil {
			v.marked = make(map[string]marked)
		}
		v.marked[whole] = m
	}
	m.program.pivots = 0
	lo, hi, ok := m.program.span(m.members[i])
	if !ok {
		return 0, 0, ErrAudit
	}
	return lo, hi, nil
}

// mark returns what the marks of all figures of a whole say.
func (v *view) mark(whole string) (marked, error) {
	var places []int
	var figures []figure
	var sets []set
	for i, f := range v.figures {
		if f.made.whole == whole {
			places, figures, sets = append(places, i), append(figures, f), append(sets, f.members)
		}
	}
	persons := groups(sets) // those there are, as the tables may have changed between two questions
	in, ok := overlaps(figures)
	unknowns := len(persons.sizes) + len(in)
	if !ok || unknowns*len(figures) > maxProgram {
		return marked{}, ErrAudit
	}
	members := persons.members
	for overlap, of := range in {
		for _, j := range of {
			members[j] = append(members[j], len(persons.sizes)+overlap)
		}
	}
	m := marked{members: make(map[int][]int)}
	bounds := make([]bound, len(figures))
	for j, f := range figures {
		lo, hi := f.marks()
		bounds[j], m.members[places[j]] = bound{members[j], lo, hi}, members[j]
	}
	if m.program, ok = newProgram(unknowns, bounds); !ok {
		return marked{}, ErrAudit
	}
	return m, nil
}
