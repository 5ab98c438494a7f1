package release

import "iter"

// One value may be held in two places, as an age in the tables and in a data set: then the cuts of it
// do not bear one name. What tells that it is one value are the persons: of those who have both,
// everybody below one cut is below the other. Of two values that only go together, some are not.

// nests reports whether a run of parts is one of a cut of another value but for fewer than least persons, and
// one is a part of the other among those with both values, of whom least or more are in either and outside.
// Nearly all and nearly nobody are left out, and so are those who lack one value. What it costs is added to spent.
func (c cut) nests(spent *int, other cut, least int) bool {
	sizes, others := upTo(c.sizes()), upTo(other.sizes())
	var both overlap // once it is needed
	// Fewer than least of a run lack the other value, so it is no such run if it is of as many as may have both.
	most := min(len(c.persons), len(other.persons))
	for from, to := range c.runs() {
		persons := sizes[to+1] - sizes[from]
		if persons < least || persons >= most {
			continue
		}
		*spent += len(other.parts)
		for first, last := range other.runsOf(others, persons, least) {
			if both == nil {
				both = c.both(spent, other)
			}
			*spent += 4
			otherPersons := others[last+1] - others[first]
			shared := both.of(from, to, first, last)
			if persons+otherPersons-2*shared >= least {
				continue
			}
			common := both.of(0, len(c.parts)-1, 0, len(other.parts)-1)
			run, otherRun := both.of(from, to, 0, len(other.parts)-1), both.of(0, len(c.parts)-1, first, last)
			some := func(n int) bool { return least <= n && n <= common-least }
			only, onlyOther := run-shared, otherRun-shared
			if min(only, onlyOther) == 0 && only+onlyOther > 0 && some(run) && some(otherRun) {
				return true
			}
		}
	}
	return false
}

// runsOf yields the first and the last part of the runs that are looked at and of so many persons, least or
// more, but for fewer than least. Of those before each part there are so many.
func (c cut) runsOf(before []int, persons, least int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		from := 0 // those that end before it are of fewer, wherever a run begins from here on
		for first := range c.parts {
			for from < len(c.parts) && before[from+1]-before[first] <= persons-least {
				from++
			}
			last := from
			if len(c.parts) > mostRuns && first > 0 {
				last = max(from, len(c.parts)-1)
			}
			for ; last < len(c.parts) && before[last+1]-before[first] < persons+least; last++ {
				if !yield(first, last) {
					return
				}
			}
		}
	}
}

// overlap is how many are in both of two cuts, before each part of the one and each of the other.
type overlap [][]int

// of returns how many are in a run of the one's parts and in one of the other's.
func (o overlap) of(from, to, first, last int) int {
	return o[to+1][last+1] - o[from][last+1] - o[to+1][first] + o[from][first]
}

// both returns how many are in parts of c and of the other cut.
func (c cut) both(spent *int, other cut) overlap {
	*spent += (len(c.persons)+len(other.persons))/scanned + len(c.parts)*len(other.parts)
	n := make(overlap, len(c.parts)+1)
	for i := range n {
		n[i] = make([]int, len(other.parts)+1)
	}
	k := 0
	for i, person := range c.persons {
		for k < len(other.persons) && other.persons[k] < person {
			k++
		}
		if k < len(other.persons) && other.persons[k] == person {
			n[c.in[i]+1][other.in[k]+1]++
		}
	}
	for i := range c.parts {
		row := 0
		for k := range other.parts {
			row += n[i+1][k+1]
			n[i+1][k+1] = n[i][k+1] + row
		}
	}
	return n
}

// upTo returns the sums of the numbers before each, and of all.
func upTo(numbers []int) []int {
	before := make([]int, len(numbers)+1)
	for i, n := range numbers {
		before[i+1] = before[i] + n
	}
	return before
}
