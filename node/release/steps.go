package release

import "slices"

// nested reports whether each set is a part of the one before.
func nested(sets []set) bool {
	for i := 1; i < len(sets); i++ {
		if more, _ := sets[i].differences(sets[i-1]); more > 0 {
			return false
		}
	}
	return true
}

// leavers returns, of nested cells, who leave at a step, where those are some but fewer than
// the least difference. Two shown cells never differ by them, as [infers] sees to; but they
// must not be bounded either, as by 20 who are shown before a step that is withheld
// because few are left: eight leave at least. So [narrows] looks at them as at cells that
// are withheld and do not even have a mark, now and with what is asked later.
func (d *decision) leavers(a Answer, cells []set) []measureSet {
	var sets []measureSet
	for i := 1; i < len(cells); i++ {
		left := cells[i-1].minus(cells[i])
		if n := len(left); n > 0 && n < d.q.Policy.MinDifference {
			place := len(cells) + i // after the cells' own
			sets = append(sets, measureSet{measure: a.Measure, cell: place, members: left, hidden: true, made: d.made(a, i-1).with(step(i, "left")), limits: limits(d.q.Policy)})
		}
	}
	return sets
}

// minus returns who is in s but not in t.
func (s set) minus(t set) set {
	return slices.DeleteFunc(slices.Clone(s), func(id int64) bool {
		_, in := slices.BinarySearch(t, id)
		return in
	})
}
