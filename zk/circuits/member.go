package circuits

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// Tree is an arity-4 tree of fixed depth over public values, most of whose
// leaves are empty. It is never changed and safe for concurrent use.
type Tree struct {
	levels [][]fr.Element // leaves, then their parents, up to the root
	empty  []fr.Element   // the empty node of each level
}

// maxDepth bounds trees: 4^16 leaves.
const maxDepth = 16

// newTree hashes the leaves and what of the tree above them is not empty.
func newTree(depth int, leaves []fr.Element, empty fr.Element) (*Tree, error) {
	if depth < 1 || depth > maxDepth {
		return nil, fmt.Errorf("tree: depth %d: not 1 to %d", depth, maxDepth)
	}
	if uint64(len(leaves)) > 1<<(2*depth) {
		return nil, fmt.Errorf("tree: %d leaves in a tree of depth %d", len(leaves), depth)
	}
	t := &Tree{levels: [][]fr.Element{leaves}, empty: []fr.Element{empty}}
	for l := range depth {
		var above []fr.Element
		for i := 0; i < len(t.levels[l]); i += width {
			above = append(above, compress(t.children(l, i)))
		}
		e := t.empty[l]
		t.levels = append(t.levels, above)
		t.empty = append(t.empty, compress([width]fr.Element{e, e, e, e}))
	}
	return t, nil
}

// children returns the four nodes of a level from node first on.
func (t *Tree) children(level, first int) (c [width]fr.Element) {
	for i := range c {
		c[i] = t.node(level, first+i)
	}
	return c
}

func (t *Tree) node(level, i int) fr.Element {
	if i < len(t.levels[level]) {
		return t.levels[level][i]
	}
	return t.empty[level]
}

// Root returns the tree's root.
func (t *Tree) Root() Element { return fromField(t.node(len(t.levels)-1, 0)) }

// Path returns the way from leaf i to the root.
func (t *Tree) Path(i int) (Path, error) {
	if i < 0 || i >= len(t.levels[0]) {
		return Path{}, fmt.Errorf("tree: leaf %d of %d", i, len(t.levels[0]))
	}
	var p Path
	for l := range len(t.levels) - 1 {
		p.steps = append(p.steps, step{t.children(l, i>>(2*l)&^3), i >> (2 * l) & 3})
	}
	return p, nil
}

// Path leads from a leaf to a root. It says where the leaf is, so it neither
// prints nor marshals: a [Path] belongs to a witness.
type Path struct {
	redacted
	steps []step
}

// step is the four children of one node, and which of them is on the path.
type step struct {
	children [width]fr.Element
	index    int
}

// Then continues a path whose root is a leaf of a taller tree.
func (p Path) Then(above Path) Path {
	return Path{steps: append(append([]step(nil), p.steps...), above.steps...)}
}

// check reports a path of another length or one that does not start at leaf,
// and returns the root it leads to.
func (p Path) check(leaf fr.Element, depth int) (fr.Element, error) {
	if len(p.steps) != depth {
		return leaf, fmt.Errorf("path has %d steps, the circuit %d", len(p.steps), depth)
	}
	for _, s := range p.steps {
		if !s.children[s.index].Equal(&leaf) {
			return leaf, fmt.Errorf("path does not start here")
		}
		leaf = compress(s.children)
	}
	return leaf, nil
}

// stepWires is a [step] in a circuit, the index as two bits.
type stepWires struct {
	Children [width]frontend.Variable
	Index    [2]frontend.Variable
}

func (p Path) assign() []stepWires {
	wires := make([]stepWires, len(p.steps))
	for l, s := range p.steps {
		for i, child := range s.children {
			wires[l].Children[i] = child
		}
		wires[l].Index = [2]frontend.Variable{s.index & 1, s.index >> 1}
	}
	return wires
}

// above recomputes the root above a leaf. Lookup2 holds the indices to bits.
func (g gadget) above(node frontend.Variable, path []stepWires) frontend.Variable {
	for _, s := range path {
		c := s.Children
		g.AssertIsEqual(node, g.Lookup2(s.Index[0], s.Index[1], c[0], c[1], c[2], c[3]))
		node = g.compress(c)
	}
	return node
}
