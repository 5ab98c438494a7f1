package release

import (
	"context"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A histogram with a break at 38 and a count of those up to 39, by groups of age or by a
// criterion of a cohort, are answers of two kinds, which share no measure. Who lies between is told
// by them all the same. So what an answer divides by a value is kept by its parts, and runs of
// them are compared with the sets behind counts and with runs of other answers' parts.

// Membership is the measure of counts: who is in the cohort.
const Membership = "persons"

// Cut is a division of persons by a value.
type Cut struct {
	// Value names it. Cuts of one value are compared with each other, and with those of another in case
	// that it is the same under another name; all with counts.
	Value string

	// Parts are the persons between each two cuts, in the order of the value.
	Parts [][]omop.PersonID

	// Range is the column whose range divides persons into those within and those with a value outside,
	// who have to be several or nobody; "" for any other cut.
	Range string
}

// divided is the measure of the parts of a cut.
const divided = "parts"

// partsOfCut is more than a cut has parts.
const partsOfCut = 1 << 11

// mostRuns bounds the parts of which all runs are looked at, not only those that begin with the first
// or end with the last.
const mostRuns = 40

// cut is a [Cut] as it is kept.
type cut struct {
	value   string
	parts   []set
	persons set      // of all parts
	in      []uint16 // the part that each is in
}

func newCut(value string, parts []set) cut {
	c := cut{value: value, parts: parts, persons: union(parts...)}
	c.in = make([]uint16, len(c.persons))
	for i, part := range parts {
		for at := range part.places(c.persons) {
			c.in[at] = uint16(i) // below partsOfCut
		}
	}
	return c
}

// shared returns how many of a set are in each part.
func (c cut) shared(s set) []int {
	in := make([]int, len(c.parts))
	at := 0
	for _, person := range s {
		further, there := slices.BinarySearch(c.persons[at:], person)
		if at += further; there {
			in[c.in[at]]++
		}
	}
	return in
}

// uncut refuses if numbers of the answer and earlier ones are about nearly the same persons, but
// for those who lie between two cuts of a value. It returns what is to be kept of the answer's cuts.
func (d *decision) uncut(ctx context.Context, a Answer, sets []measureSet) (keep []measureSet, err error) {
	var fresh []cut
	least := d.q.Policy.MinDifference
	for i, c := range a.Cuts {
		if c.Range != "" && 0 < len(c.Parts[1]) && len(c.Parts[1]) < least {
			return nil, ErrOdd.With(c.Range + ", outside of whose low and high lie the values of some; widen them to hold everybody's")
		}
		var parts []set
		for k, persons := range c.Parts {
			part, err := newSet(persons)
			if err != nil {
				return nil, err
			}
			if len(part) == 0 {
				continue
			}
			parts = append(parts, part)
			keep = append(keep, measureSet{measure: divided, cell: i*partsOfCut + k, members: part, choice: true, made: made{whole: c.Value}})
		}
		fresh = append(fresh, newCut(c.Value, parts))
	}
	if least <= 1 {
		return keep, nil
	}
	before, err := d.earlier(ctx, Membership)
	if err != nil {
		return nil, err
	}
	for _, c := range fresh {
		for persons, same := range before.compared {
			if !c.about(persons, least) {
				continue
			}
			for _, s := range same {
				if s.withheld == shownSet && c.nearly(s.members, least) {
					return nil, errBetween
				}
			}
		}
	}
	earlier, err := d.earlier(ctx, divided)
	if err != nil {
		return nil, err
	}
	for _, c := range earlier.cuts {
		for _, s := range sets {
			if s.counts() && c.about(len(s.members), least) && c.nearly(s.members, least) {
				return nil, errBetween
			}
		}
		for _, f := range fresh {
			near := f.nests
			if f.value == c.value {
				near = f.crosses
			}
			if near(&d.spent, c, least) {
				return nil, errBetween
			}
			if d.spent > maxAuditWork {
				return nil, ErrAudit
			}
		}
	}
	return keep, nil
}

var errBetween = ErrChoice.With("a break, a group of age, a plausible range or a criterion of the cohort lies close to one of another question; cut at the same value: groups of age end with " + agesOfGroups() + " years")

// counts reports whether the set is behind a count that is shown.
func (s measureSet) counts() bool { return s.measure == Membership && !s.withheld && !s.hidden }

// agesOfGroups names the last year of each group of age that has one.
func agesOfGroups() string {
	var ages []string
	for _, group := range query.ByAgeGroup.Levels() {
		if group.MaxAge < math.MaxInt32 {
			ages = append(ages, strconv.Itoa(group.MaxAge))
		}
	}
	last := len(ages) - 1
	return strings.Join(ages[:last], ", ") + " and " + ages[last]
}

// cutsIn returns the cuts whose parts one question kept, in the order of cells.
func cutsIn(figures []kept) (list []cut) {
	var parts []set
	for i, part := range figures {
		parts = append(parts, part.members)
		if i == len(figures)-1 || part.cell/partsOfCut != figures[i+1].cell/partsOfCut {
			list, parts = append(list, newCut(part.made.whole, parts)), nil
		}
	}
	return list
}

// sizes are the persons of each part.
func (c cut) sizes() []int {
	sizes := make([]int, len(c.parts))
	for i, part := range c.parts {
		sizes[i] = len(part)
	}
	return sizes
}

// about reports whether some run of parts is of so many persons, but for fewer than least. No set of
// another number is nearly a run.
func (c cut) about(persons, least int) bool {
	first, run := 0, 0
	for _, part := range c.parts {
		for run += len(part); run >= persons+least; first++ {
			run -= len(c.parts[first])
		}
		if run > persons-least {
			return true
		}
	}
	return false
}

// nearly reports whether a set is a run of parts but for fewer than least persons, some of
// whom share a part with others who are on the other side. If it divides no part, what it differs by
// is told by the parts themselves, or are persons without the value.
func (c cut) nearly(s set, least int) bool {
	return nearRun(c.sizes(), c.shared(s), len(s), least, func(int, int) bool { return true })
}

// crosses reports whether a run of parts is one of the other cut's but for fewer than least persons,
// and each divides a part of the other. What it costs is added to spent.
func (c cut) crosses(spent *int, other cut, least int) bool {
	if len(c.parts) > len(other.parts) {
		c, other = other, c
	}
	both := c.both(spent, other)
	sizes, persons := other.sizes(), upTo(c.sizes())
	in := make([]int, len(sizes)) // a run, of each part
	for from, to := range c.runs() {
		*spent += len(in)
		for i := range in {
			in[i] = both.of(from, to, i, i)
		}
		found := nearRun(sizes, in, persons[to+1]-persons[from], least, func(first, last int) bool {
			for i, part := range c.parts {
				if shared := both.of(i, i, first, last); 0 < shared && shared < len(part) {
					return true
				}
			}
			return false
		})
		if found {
			return true
		}
	}
	return false
}

// runs yields the first and the last part of the runs that are looked at.
func (c cut) runs() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for from := range c.parts {
			for to := from; to < len(c.parts); to++ {
				if len(c.parts) > mostRuns && from > 0 && to < len(c.parts)-1 {
					continue
				}
				if !yield(from, to) {
					return
				}
			}
		}
	}
}

// nearRun reports whether a set of so many persons, of whom some are in each of the parts, differs
// from a run of parts, with least persons or more, by fewer than least, and from none by nobody.
// Only a set that divides a part does, and only runs count that are told by it.
func nearRun(sizes, in []int, total, least int, told func(first, last int) bool) bool {
	divides, lightest := false, 0
	run := 0 // the least that a run ending here adds to those who are in the set alone
	for i, n := range in {
		divides = divides || 0 < n && n < sizes[i]
		run = min(run, 0) + sizes[i] - 2*n
		lightest = min(lightest, run)
	}
	if !divides || total+lightest >= least {
		return false
	}
	found := false
	for first := range sizes {
		persons, apart := 0, total
		for last := first; last < len(sizes); last++ {
			persons += sizes[last]
			apart += sizes[last] - 2*in[last]
			switch {
			case persons < least || apart >= least:
			case apart == 0:
				return false
			case !found:
				found = told(first, last)
			}
		}
	}
	return found
}
