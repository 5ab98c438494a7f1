package release

// One value may be held in two places, as an age in the tables and in a data set: then the cuts of it
// do not bear one name. What tells that it is one value are the persons: of those who have both,
// everybody below one cut is below the other. Of two values that only go together, some are not.

// nests reports whether a run of parts is one of a cut of another value but for fewer than least persons, and
// one is a part of the other among those with both values, of whom least or more are in either and outside.
// Nearly all and nearly nobody are left out, and so are those who lack one value.
func (c cut) nests(other cut, least int) bool {
	sizes, others := c.sizes(), other.sizes()
	var both [][]int // once it is needed
	var inOther []int
	for from, to := range c.runs() {
		persons := sumOf(sizes[from : to+1])
		if persons < least || !other.about(persons, least) {
			continue
		}
		if both == nil {
			both = c.both(other)
			inOther = columnSums(both, len(others))
		}
		common := sumOf(inOther)
		some := func(n int) bool { return least <= n && n <= common-least }
		in := columnSums(both[from:to+1], len(others))
		run := sumOf(in)
		if !some(run) {
			continue
		}
		for first, last := range other.runs() {
			shared, otherRun := sumOf(in[first:last+1]), sumOf(inOther[first:last+1])
			only, onlyOther := run-shared, otherRun-shared
			nested := min(only, onlyOther) == 0 && only+onlyOther > 0
			if apart := persons + sumOf(others[first:last+1]) - 2*shared; apart < least && nested && some(otherRun) {
				return true
			}
		}
	}
	return false
}

func sumOf(numbers []int) (sum int) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}
