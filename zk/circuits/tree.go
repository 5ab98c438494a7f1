package circuits

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// A node's consents of one trial are the leaves of one tree of arity 4. Its depth is
// the same for every shape: the shape decides only at which level the shards stand, so
// that a network may take a larger one without a new tree.
const (
	TreeDepth  = 12                   // levels above the leaves
	TreeLeaves = 1 << (2 * TreeDepth) // 16,777,216
)

// The consents of all sites of a trial are the blocks of one tree of the same depth, in the
// order in which the ledger first has a change of each: an enrollment leads to its root. A
// block is a subtree of one node's tree, whatever the network's shape.
const (
	BlockLevel  = 5
	BlockLeaves = 1 << (2 * BlockLevel)               // 1,024
	TreeBlocks  = 1 << (2 * (TreeDepth - BlockLevel)) // 16,384
	MaxBlocks   = 256                                 // of one node, so that none takes the place of others: 262,144 consents
)

// Siblings are the four children of one element of a tree.
type Siblings [4]Element

// Rows keeps a tree as its groups of siblings. Level 0 are the leaves; group n of a
// level holds its elements 4n to 4n+3. What was never set is empty.
type Rows interface {
	// Siblings returns a group, or false for one that was never set.
	Siblings(level, group int) (Siblings, bool, error)

	// SetSiblings keeps a group.
	SetSiblings(level, group int, s Siblings) error
}

// Placed is an element of a tree with its place in its level.
type Placed struct {
	Index int
	Hash  Element
}

// ErrTreeOrder reports elements that do not ascend or lie beyond the tree.
var ErrTreeOrder = errors.New("circuits: elements of a tree must ascend and lie in it")

// UpdateTree sets elements of a level, in ascending order, and all that is above them,
// and returns the tree's new root. It reads and writes one group of each level for each
// group that is touched, and nothing else.
func UpdateTree(rows Rows, level int, elements []Placed) (Element, error) {
	if len(elements) == 0 {
		return TreeRoot(rows)
	}
	last := -1
	for _, e := range elements {
		if e.Index <= last || e.Index >= 1<<(2*(TreeDepth-level)) {
			return Element{}, ErrTreeOrder
		}
		last = e.Index
	}
	for ; level < TreeDepth; level++ {
		var above []Placed
		for len(elements) > 0 {
			group := elements[0].Index / 4
			siblings, err := siblingsOf(rows, level, group)
			if err != nil {
				return Element{}, err
			}
			for len(elements) > 0 && elements[0].Index/4 == group {
				siblings[elements[0].Index%4] = elements[0].Hash
				elements = elements[1:]
			}
			parent, err := siblings.parent()
			if err != nil {
				return Element{}, fmt.Errorf("tree: level %d, group %d: %w", level, group, err)
			}
			if err := rows.SetSiblings(level, group, siblings); err != nil {
				return Element{}, err
			}
			above = append(above, Placed{group, parent})
		}
		elements = above
	}
	return elements[0].Hash, nil
}

// TreeRoot returns the root of a tree.
func TreeRoot(rows Rows) (Element, error) { return TreeElement(rows, TreeDepth, 0) }

// TreeElement returns one element of a tree.
func TreeElement(rows Rows, level, index int) (Element, error) {
	if level == TreeDepth {
		top, err := siblingsOf(rows, level-1, 0)
		if err != nil {
			return Element{}, err
		}
		return top.parent()
	}
	siblings, err := siblingsOf(rows, level, index/4)
	return siblings[index%4], err
}

// PathIn returns the way from a leaf up so many levels of a tree.
func PathIn(rows Rows, leaf, levels int) (Path, error) {
	var p Path
	for level := range levels {
		siblings, err := siblingsOf(rows, level, leaf/4)
		if err != nil {
			return Path{}, err
		}
		xs, err := toFields("element", siblings[:])
		if err != nil {
			return Path{}, fmt.Errorf("path: level %d: %w", level, err)
		}
		p.steps = append(p.steps, step{[width]fr.Element(xs), leaf % 4})
		leaf /= 4
	}
	return p, nil
}

// TreeOfShards returns the root of the tree whose first shards have the given roots, and
// whose others are empty. An auditor compares it with what the ledger says of the tree.
func TreeOfShards(s Shape, roots []Element) (Element, error) {
	if err := s.Validate(); err != nil {
		return Element{}, err
	}
	elements := make([]Placed, len(roots))
	for i, root := range roots {
		elements[i] = Placed{i, root}
	}
	return UpdateTree(MemoryRows{}, s.ShardLevel(), elements)
}

// ShardLevel returns the level of a tree at which the roots of shards stand.
func (s Shape) ShardLevel() int { return bits.Len(uint(s.ShardSize)) / 2 }

// EmptyTree is the root of a tree in which nobody is.
func EmptyTree() Element { return EmptyElement(TreeDepth) }

// EmptyElement is the element of a level below which nobody is.
func EmptyElement(level int) Element { return emptyElements()[level] }

var emptyElements = sync.OnceValue(func() (list [TreeDepth + 1]Element) {
	x := emptyLeaf()
	for level := range list {
		list[level] = fromField(x)
		x = compress([width]fr.Element{x, x, x, x})
	}
	return list
})

func siblingsOf(rows Rows, level, group int) (Siblings, error) {
	siblings, found, err := rows.Siblings(level, group)
	if err == nil && !found {
		empty := EmptyElement(level)
		siblings = Siblings{empty, empty, empty, empty}
	}
	return siblings, err
}

// parent returns the element above four siblings.
func (s Siblings) parent() (Element, error) {
	xs, err := toFields("element", s[:])
	if err != nil {
		return Element{}, err
	}
	return fromField(compress([width]fr.Element(xs))), nil
}

// MemoryRows keeps a tree in memory. It is for one goroutine.
type MemoryRows map[[2]int]Siblings

// Siblings implements [Rows].
func (m MemoryRows) Siblings(level, group int) (Siblings, bool, error) {
	siblings, found := m[[2]int{level, group}]
	return siblings, found, nil
}

// SetSiblings implements [Rows].
func (m MemoryRows) SetSiblings(level, group int, s Siblings) error {
	m[[2]int{level, group}] = s
	return nil
}
