package release

import (
	"crypto/rand"
	"fmt"
	"slices"
)

const (
	maxAuditedSets  = 2000     // different sets of one measure that overlap
	maxAuditedCells = 16 << 20 // sets times groups of persons, 128 MiB
	maxAuditWork    = 1 << 28  // multiplications, one or two seconds
	scanned         = 4        // persons that are looked at, as a multiplication takes
)

// infers reports whether the sums over fresh sets, together with those over
// earlier ones, can be added and subtracted to leave something about fewer than
// least persons, but some, that could not be reckoned before. A difference of
// two sets is the plainest case; cells taken out of a total, or two cohorts and
// their union that leave the intersection, are others.
//
// It fails with [ErrAudit] if that cannot be told within bounds.
//
// Sums are linear in the persons, so what can be reckoned is the row space of
// the sets' indicator vectors. Persons who are in the same sets cannot be told
// apart and share a column. Chin and Özsoyoğlu, "Auditing and inference control
// in statistical databases", IEEE TSE 8(6), 1982, keep such a space to find
// single persons; here it is searched for vectors of small support.
func infers(earlier, fresh []set, least int) (bool, error) {
	return infersWithin(new(int), earlier, fresh, least)
}

// infersWithin is infers of which the multiplications are added to spent, which
// bounds them.
func infersWithin(spent *int, earlier, fresh []set, least int) (bool, error) {
	sets := distinct(slices.Concat(earlier, fresh))
	known := len(distinct(earlier))
	// Sets with nobody in common, directly or over others, tell nothing together.
	for _, part := range connected(sets) {
		first := slices.IndexFunc(part, func(i int) bool { return i >= known })
		if first < 0 {
			continue // nothing that was not released before
		}
		overlapping := make([]set, len(part))
		for i, at := range part {
			overlapping[i] = sets[at]
		}
		if found, err := infersIn(spent, overlapping, first, least); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// infersIn is infers for different sets of which the first known are not fresh.
func infersIn(spent *int, sets []set, known, least int) (bool, error) {
	if len(sets) > maxAuditedSets {
		return false, ErrAudit
	}
	// Modulo a prime that nobody can foresee, ranks are those over the rationals
	// but for a chance of about 2^-50.
	prime, err := rand.Prime(rand.Reader, 61)
	if err != nil {
		return false, fmt.Errorf("release: draw a prime: %w", err)
	}
	all := groups(sets)
	g := all.keep(min(maxAuditedCells/len(sets), max(4096, maxAuditWork/4/len(sets)/len(sets))))
	s := search{field: field{prime.Uint64(), spent}, sizes: g.sizes}
	space, given, err := s.space(g.members, known)
	if err != nil {
		return false, err
	}
	found, err := s.light(space, least-1)
	// Persons left out of the columns can only make a vector heavier: what is
	// found without them may be nothing, and so may what seems to be given.
	if (found || given) && len(g.sizes) < len(all.sizes) {
		return false, ErrAudit
	}
	return found, err
}

// connected splits the sets, given by place, into those that overlap, directly or
// over others.
func connected(sets []set) [][]int {
	overlap := newForest(len(sets))
	in := make(map[int64]int) // a set that each person is in
	for i, s := range sets {
		for _, person := range s {
			if other, known := in[person]; known {
				overlap.join(i, other)
			} else {
				in[person] = i
			}
		}
	}
	return overlap.parts()
}

// distinct returns the sets, each once, in order of their first appearance.
func distinct(sets []set) []set {
	seen := make(map[string]bool, len(sets))
	var once []set
	for _, s := range sets {
		key := string(s.bytes())
		if len(s) > 0 && !seen[key] {
			seen[key] = true
			once = append(once, s)
		}
	}
	return once
}

// grouping is the coarsest partition of which every set is a union of groups.
type grouping struct {
	sizes   []int   // persons of each group, largest first
	members [][]int // groups of each set
}

func groups(sets []set) grouping {
	everybody := union(sets...)
	group := make([]int, len(everybody)) // of each person; 0 before the first set
	sizes := []int{len(everybody)}
	for _, s := range sets {
		split := make(map[int]int) // old group to the part of it inside s
		for i := range s.places(everybody) {
			old := group[i]
			if split[old] == 0 {
				split[old] = len(sizes)
				sizes = append(sizes, 0)
			}
			group[i] = split[old]
			sizes[old]--
			sizes[group[i]]++
		}
	}
	const stride = 1<<31 - 1 // a prime, so every group comes once; those that follow each other are alike
	var order []int
	for i := range sizes {
		if g := i * stride % len(sizes); sizes[g] > 0 {
			order = append(order, g)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return sizes[b] - sizes[a] })
	out := grouping{members: make([][]int, len(sets))}
	place := make([]int, len(sizes))
	for i, g := range order {
		place[g] = i
		out.sizes = append(out.sizes, sizes[g])
	}
	last := make([]int, len(order)) // set that a group was last found in, from 1
	for i, s := range sets {
		for p := range s.places(everybody) {
			if g := place[group[p]]; last[g] != i+1 {
				last[g] = i + 1
				out.members[i] = append(out.members[i], g)
			}
		}
	}
	return out
}

// keep returns the grouping with n groups at most, of every set its share or all
// that it has: those of small sets stay, larger ones have more than enough.
func (g grouping) keep(n int) grouping {
	if len(g.sizes) <= n {
		return g
	}
	sets := make([][]int, len(g.sizes)) // that each group is in
	for i, members := range g.members {
		for _, group := range members {
			sets[group] = append(sets[group], i)
		}
	}
	share, have := n/len(g.members), make([]int, len(g.members))
	var kept, spare []int
	for group := range g.sizes {
		if !slices.ContainsFunc(sets[group], func(i int) bool { return have[i] < share }) {
			spare = append(spare, group)
			continue
		}
		kept = append(kept, group)
		for _, i := range sets[group] {
			have[i]++
		}
	}
	kept = append(kept, spare[:n-len(kept)]...)
	slices.Sort(kept)
	out := grouping{members: make([][]int, len(g.members))}
	for at, group := range kept {
		out.sizes = append(out.sizes, g.sizes[group])
		for _, i := range sets[group] {
			out.members[i] = append(out.members[i], at)
		}
	}
	return out
}

// search looks for vectors about few persons.
type search struct {
	field field
	sizes []int // persons behind each column, descending
	cut   bool  // the persons' columns come twice, see [coincide]
}

// over reports whether the search has cost what it may.
func (s *search) over() bool { return *s.field.spent > maxAuditWork }

// space returns a basis of the row space. After the columns of the persons each
// row has one for every set after the first known: a vector is zero in all of
// those exactly if the known sets alone give it. given reports whether some fresh
// set was given by those before it.
func (s *search) space(members [][]int, known int) (rows [][]uint64, given bool, err error) {
	columns, fresh := len(s.sizes), len(members)-known
	b := basis{field: s.field, columns: columns}
	for i, groups := range members {
		row := make([]uint64, columns+fresh)
		for _, g := range groups {
			row[g] = 1
		}
		if i >= known {
			row[columns+i-known] = 1
		}
		if !b.add(row) && i >= known {
			given = true
		}
		if s.over() {
			return nil, false, ErrAudit
		}
	}
	return b.rows, given, nil
}

// light reports whether the space holds a vector that is new and about at most
// spare persons, but some.
func (s *search) light(space [][]uint64, spare int) (bool, error) {
	column := 0
	for ; column < len(s.sizes) && s.sizes[column] > spare; column++ {
		if space = s.field.without(space, column); s.over() {
			return false, ErrAudit
		}
	}
	for _, part := range s.field.parts(s.unproven(space, column, spare), column, len(s.sizes)) {
		if found, err := s.branch(part, column, spare, nil); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// unproven returns the vectors of which a bound does not tell that they are
// about more than spare persons. A vector is zero on all columns from the given
// one on, or not zero on one at least of any maximal independent choice of them.
// So each such choice, out of the columns that those before left, proves the
// smallest group in it for all vectors that are not zero on what was left.
func (s *search) unproven(space [][]uint64, column, spare int) [][]uint64 {
	var left []int
	for c := column; c < len(s.sizes); c++ {
		left = append(left, c)
	}
	var choice []int
	for proven := 0; proven <= spare; proven += s.sizes[choice[len(choice)-1]] {
		choice = nil
		b := basis{field: s.field, columns: len(space)}
		var rest []int
		for i, c := range left {
			if len(choice) == len(space) {
				rest = append(rest, left[i:]...)
				break
			}
			if s.over() {
				return space // which branch gives up on
			}
			vector := make([]uint64, len(space))
			for j, row := range space {
				vector[j] = row[c]
			}
			if b.add(vector) {
				choice = append(choice, c)
			} else {
				rest = append(rest, c)
			}
		}
		if len(choice) == 0 {
			return space
		}
		left = rest
	}
	if len(choice) == len(space) {
		return nil
	}
	for _, c := range choice {
		space = s.field.without(space, c)
	}
	return space
}

// branch decides column after column: all vectors are zero there, or the
// persons are paid for out of spare.
func (s *search) branch(space [][]uint64, column, spare int, paid []int) (bool, error) {
	if space = s.unproven(space, column, spare); !s.isNew(space, paid) {
		return false, nil
	}
	if s.over() {
		return false, ErrAudit
	}
	for ; column < len(s.sizes) && s.isNew(space, paid); column++ {
		if !slices.ContainsFunc(space, func(row []uint64) bool { return row[column] != 0 }) {
			continue
		}
		without := s.field.without(space, column)
		if s.sizes[column] > spare {
			space = without
			continue
		}
		if found, err := s.branch(without, column+1, spare, paid); found || err != nil {
			return found, err
		}
		spare -= s.sizes[column]
		paid = append(paid[:len(paid):len(paid)], column)
	}
	return s.isNew(space, paid), nil
}

// isNew reports whether the space holds more than earlier sets gave; and, of values that are
// cut in two ways, whether the two are about some persons besides those paid for.
func (s *search) isNew(space [][]uint64, paid []int) bool {
	fresh := len(s.sizes)
	if s.cut {
		fresh *= 2
		if !slices.ContainsFunc(space, func(row []uint64) bool { return s.isCut(row, paid) }) {
			return false
		}
	}
	return slices.ContainsFunc(space, func(row []uint64) bool {
		return slices.ContainsFunc(row[fresh:], func(v uint64) bool { return v != 0 })
	})
}

// isCut reports whether the one way's share of a vector is about persons besides those paid for.
func (s *search) isCut(row []uint64, paid []int) bool {
	for column, v := range row[len(s.sizes) : 2*len(s.sizes)] {
		if v != 0 && !slices.Contains(paid, column) {
			return true
		}
	}
	return false
}
