package anonymity

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// maxNodes is how many combinations of levels a search can have.
const maxNodes = 1 << 16

// ErrUnreachable says that no combination of levels reaches the goal.
var ErrUnreachable = errors.New("no generalization reaches k and l within the suppression limit: raise the limit, lower k or l, or take more persons or fewer attributes")

// Solution is a way to release a table.
type Solution struct {
	Levels []int // of each attribute
	// Loss is the share of the information in the quasi-identifiers that is gone, 0 to
	// 1: the mean over records and attributes of the level's part of its hierarchy's
	// height (1 less the precision of Sweeney, "Achieving k-anonymity privacy protection
	// using generalization and suppression", 2002), 1 for a suppressed record.
	Loss float64
	// Small and Uniform are how many records are suppressed for each [Reason].
	Small, Uniform int
	// Tried is how many combinations were looked at.
	Tried int

	table   *Table
	reasons []Reason // by cell
}

// Search returns the way to release t with the least loss, or [ErrUnreachable]. Of
// equal ones it takes that with the lower levels for the attributes that come first.
//
// It is exact. Combinations are tried in the order of their own loss, which does not
// depend on records. As suppression only adds to it, the search ends at the first
// combination whose own loss is no less than the least found.
func Search(t *Table, g Goal) (*Solution, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("anonymity: %w", err)
	}
	nodes, err := t.lattice()
	if err != nil {
		return nil, err
	}
	var best *Solution
	tried := 0
	for _, n := range nodes {
		if best != nil && n.loss >= best.Loss {
			break
		}
		tried++
		if s := t.try(n, g); s != nil && (best == nil || s.Loss < best.Loss) {
			best = s
		}
	}
	if best == nil {
		return nil, ErrUnreachable
	}
	best.Tried = tried
	return best, nil
}

// node is a combination of levels.
type node struct {
	levels []int
	loss   float64
}

// lattice returns all combinations of levels by their loss.
func (t *Table) lattice() ([]node, error) {
	nodes := []node{{}}
	for _, a := range t.attributes {
		var next []node
		for _, n := range nodes {
			for level := range a.Levels {
				next = append(next, node{append(slices.Clone(n.levels), level), 0})
			}
		}
		if nodes = next; len(nodes) > maxNodes {
			return nil, fmt.Errorf("anonymity: over %d combinations of levels", maxNodes)
		}
	}
	for i := range nodes {
		nodes[i].loss = t.lossOf(nodes[i].levels)
	}
	slices.SortFunc(nodes, func(a, b node) int { return cmp.Or(cmp.Compare(a.loss, b.loss), slices.Compare(a.levels, b.levels)) })
	return nodes, nil
}

// lossOf is the loss of levels for a record that is kept.
func (t *Table) lossOf(levels []int) float64 {
	if len(levels) == 0 {
		return 0
	}
	var sum float64
	for a, level := range levels {
		if height := len(t.attributes[a].Levels) - 1; height > 0 {
			sum += float64(level) / float64(height)
		}
	}
	return sum / float64(len(levels))
}

// try returns the solution on the levels of n, nil if it suppresses too much.
func (t *Table) try(n node, g Goal) *Solution {
	s := &Solution{Levels: n.levels, table: t, reasons: make([]Reason, len(t.cells))}
	list, of := t.classes(n.levels)
	reasons := make([]Reason, len(list))
	for i, c := range list {
		reasons[i] = g.judge(c)
		switch reasons[i] {
		case Small:
			s.Small += c.records
		case Uniform:
			s.Uniform += c.records
		}
	}
	all, out := float64(len(t.records)), float64(s.Small+s.Uniform)
	if len(t.records) == 0 || out == all || out > g.Limit*all {
		return nil
	}
	for i := range s.reasons {
		s.reasons[i] = reasons[of[i]]
	}
	s.Loss = (n.loss*(all-out) + out) / all
	return s
}

// Reason says why the record of a number, as they were added, is suppressed.
func (s *Solution) Reason(record int) Reason { return s.reasons[s.table.records[record]] }

// Value returns what an attribute of a record is on its level.
func (s *Solution) Value(record, attribute int) int64 {
	v := s.table.cells[s.table.records[record]].quasi[attribute]
	return s.table.attributes[attribute].Levels[s.Levels[attribute]].Of(v)
}

// Level returns the level of an attribute.
func (s *Solution) Level(attribute int) Level {
	return s.table.attributes[attribute].Levels[s.Levels[attribute]]
}
