package members

import (
	"context"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// concepts is a set of concepts. The zero value is empty.
type concepts struct {
	sorted []int64
	hashed map[int64]struct{} // nil if there are few
}

// few is how many concepts are compared faster than hashed.
const few = 8

func conceptsOf(ids []int64) concepts {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	c := concepts{sorted: slices.Compact(ids)}
	if len(c.sorted) > few {
		c.hashed = make(map[int64]struct{}, len(c.sorted))
		for _, id := range c.sorted {
			c.hashed[id] = struct{}{}
		}
	}
	return c
}

func (c concepts) has(id int64) bool {
	if c.hashed != nil {
		_, ok := c.hashed[id]
		return ok
	}
	for _, other := range c.sorted {
		if other == id {
			return true
		}
	}
	return false
}

// Resolve returns the concepts that a set comes to, ascending: what it includes without
// what it excludes.
func Resolve(ctx context.Context, v events.Vocabulary, set cohort.ConceptSet) ([]int64, error) {
	c, err := resolve(ctx, v, set)
	return c.sorted, err
}

// resolve returns the concepts of a set: what it includes without what it excludes.
func resolve(ctx context.Context, v events.Vocabulary, set cohort.ConceptSet) (concepts, error) {
	var sides [2][]int64 // included, excluded
	for side, excluded := range []bool{false, true} {
		var plain, parents, mapped, mappedParents []int64
		for _, item := range set.Items {
			if item.Excluded != excluded {
				continue
			}
			plain = append(plain, item.Concept)
			if item.Descendants {
				parents = append(parents, item.Concept)
			}
			if item.Mapped {
				mapped = append(mapped, item.Concept)
				if item.Descendants {
					mappedParents = append(mappedParents, item.Concept)
				}
			}
		}
		var err error
		if sides[side], err = family(ctx, v, plain, parents); err != nil {
			return concepts{}, err
		}
		targets, err := family(ctx, v, mapped, mappedParents)
		if err != nil {
			return concepts{}, err
		}
		if len(targets) == 0 {
			continue
		}
		sources, err := v.MapTo(ctx, targets)
		if err != nil {
			return concepts{}, err
		}
		sides[side] = append(sides[side], sources...)
	}
	out := conceptsOf(sides[1])
	return conceptsOf(slices.DeleteFunc(sides[0], out.has)), nil
}

// family returns the concepts themselves, valid or not, and the valid descendants of parents.
func family(ctx context.Context, v events.Vocabulary, plain, parents []int64) ([]int64, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	ids, err := v.Known(ctx, plain)
	if err != nil || len(parents) == 0 {
		return ids, err
	}
	descendants, err := v.Descendants(ctx, parents)
	return append(slices.Clone(ids), descendants...), err
}
