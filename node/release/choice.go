package release

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// Choice is the way in which a question has values cut.
type Choice struct {
	// Way names the breaks, the grid or whatever else was chosen.
	Way string

	// Of is the measure behind whose sets are those with a value to cut; the answer's own if
	// it is empty.
	Of string

	// Follows says that the cuts follow from the values, as the borders between clusters do: of
	// other persons they are others.
	Follows bool
}

// cutOf begins the measure of the persons whose values were cut, by what is cut.
const cutOf = "cut of "

// wholeCut is the place of all persons whose values were cut; their cells follow.
const wholeCut = 0

// chosen returns the sets whose values the answer cuts, each with its way of it: everybody,
// and the cells.
func (d *decision) chosen(a Answer) (sets []measureSet) {
	for about, c := range a.Choices {
		all, way := union(d.behind[a.Measure]...), c.Way
		if c.Follows {
			way += " of " + message.Sum(all.bytes()).String()
		}
		add := func(cell int, members set) {
			sets = append(sets, measureSet{measure: cutOf + about, cell: cell, members: members, choice: true, limits: way})
		}
		add(wholeCut, all)
		of := d.behind[a.Measure]
		if c.Of != "" {
			of = d.behind[c.Of]
		}
		for i, s := range of {
			if len(s) > 0 {
				add(wholeCut+1+i, s)
			}
		}
	}
	return sets
}

// unchosen refuses if values of the same persons, but for few, or of fewer or more of them,
// were cut in another way.
func (d *decision) unchosen(ctx context.Context, s measureSet) error {
	if s.cell != wholeCut {
		return nil
	}
	before, err := d.earlier(ctx, s.measure)
	if err != nil {
		return err
	}
	for _, other := range before.cutBy(func(k kept) bool { return k.limits != s.limits && k.cell == wholeCut }) {
		if only, others := s.members.differences(other); min(only, others) < d.q.Policy.MinDifference {
			return ErrChoice
		}
	}
	return nil
}

// auditChoices refuses if the answer's numbers and earlier ones, some of which are of values
// that were cut in another way, can be added and subtracted until both are about the same
// persons; see [coincide].
func (d *decision) auditChoices(ctx context.Context, sets []measureSet) error {
	fresh, ways := make(map[string][]set), make(map[string]string)
	for _, s := range sets {
		if s.choice && !s.withheld {
			fresh[s.measure], ways[s.measure] = append(fresh[s.measure], s.members), s.limits
		}
	}
	for measure, cut := range fresh {
		before, err := d.earlier(ctx, measure)
		if err != nil {
			return err
		}
		others := before.cutBy(func(k kept) bool { return k.limits != ways[measure] })
		if len(others) == 0 {
			continue
		}
		same := before.cutBy(func(k kept) bool { return k.limits == ways[measure] })
		found, err := coincide(&d.spent, others, same, cut, d.q.Policy.MinDifference)
		if err != nil {
			return err
		}
		if found {
			return ErrChoice
		}
	}
	return nil
}

// cutBy returns the sets of answers that were given whose values were cut in a way.
func (h *history) cutBy(way func(kept) bool) (sets []set) {
	for _, question := range h.questions {
		for _, k := range question.figures {
			if k.withheld == shownSet && way(k) {
				sets = append(sets, k.members)
			}
		}
	}
	return sets
}

// coincide reports whether sums over sets that are cut in one way, the same and the fresh
// ones, and sums over others, cut in other ways, can be told of the same persons, but
// for fewer than least: the two then differ by those who lie between the cuts. Of A cut at
// 200 and B at 202 nothing can be told so, but can with what is only in A, cut
// at 200, and what is only in B, cut at 202: both leave those in A and B.
//
// Each way has the row space of its sets' indicator vectors, as in [infers]. Looked for are
// a vector of either whose difference is about few persons, while the two are alike
// and not zero for others. To keep them apart, the rows have the columns of the persons once
// for the difference, and once for the one way alone.
func coincide(spent *int, others, same, fresh []set, least int) (bool, error) {
	others, same, fresh = distinct(others), distinct(same), distinct(slices.Concat(same, fresh))[len(distinct(same)):]
	sets := slices.Concat(others, same, fresh)
	for _, part := range connected(sets) {
		isOther := func(i int) bool { return i < len(others) }
		isFresh := func(i int) bool { return i >= len(others)+len(same) }
		if !slices.ContainsFunc(part, isOther) || !slices.ContainsFunc(part, isFresh) {
			continue
		}
		overlapping := make([]set, len(part))
		var one, known int
		for i, at := range part { // in the order of sets
			overlapping[i] = sets[at]
			if isOther(at) {
				one++
			}
			if !isFresh(at) {
				known++
			}
		}
		if found, err := coincideIn(spent, overlapping, one, known, least); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// coincideIn is coincide for sets of which the first others are cut in other ways and
// the first known are not fresh.
func coincideIn(spent *int, sets []set, others, known, least int) (bool, error) {
	if len(sets) > maxAuditedSets {
		return false, ErrAudit
	}
	prime, err := rand.Prime(rand.Reader, 61)
	if err != nil {
		return false, fmt.Errorf("release: draw a prime: %w", err)
	}
	all := groups(sets)
	g := all.keep(min(maxAuditedCells/2/len(sets), max(4096, maxAuditWork/8/len(sets)/len(sets))))
	s := search{field: field{prime.Uint64(), spent}, sizes: g.sizes, cut: true}
	space, err := s.cuts(g.members, others, known)
	if err != nil {
		return false, err
	}
	found, err := s.light(space, least-1)
	// As in [infersIn], what is found without all persons may be nothing.
	if found && len(g.sizes) < len(all.sizes) {
		return false, ErrAudit
	}
	return found, err
}

// cuts returns a basis of the space of [coincide], with rows that are zero for all persons'
// differences: the two ways alike.
func (s *search) cuts(members [][]int, others, known int) (rows [][]uint64, err error) {
	columns, fresh := len(s.sizes), len(members)-known
	b := basis{field: s.field, columns: columns}
	for i, groups := range members {
		row := make([]uint64, 2*columns+fresh)
		for _, g := range groups {
			row[g] = 1
			if i >= others {
				row[columns+g] = 1
			}
		}
		if i >= known {
			row[2*columns+i-known] = 1
		}
		if !b.add(row) && slices.ContainsFunc(row, func(v uint64) bool { return v != 0 }) {
			rows = append(rows, row)
		}
		if s.over() {
			return nil, ErrAudit
		}
	}
	return append(rows, b.rows...), nil
}
