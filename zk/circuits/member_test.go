package circuits

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
)

func TestTreeIsTheTreeOverAllLeaves(t *testing.T) {
	t.Parallel()
	empty := field(t, secret("empty", 0))
	for n := range 17 {
		var leaves []fr.Element
		for i := range n {
			leaves = append(leaves, field(t, secret("leaf", i)))
		}
		full := append([]fr.Element(nil), leaves...)
		for len(full) < 16 {
			full = append(full, empty)
		}
		tree, err := newTree(2, leaves, empty)
		require.NoError(t, err)
		require.Equal(t, fromField(merkleRoot(full)), tree.Root(), "%d leaves", n)
		for i := range n {
			p, err := tree.Path(i)
			require.NoError(t, err)
			root, err := p.check(leaves[i], 2)
			require.NoError(t, err)
			require.Equal(t, tree.Root(), fromField(root))
			_, err = p.check(empty, 2)
			require.EqualError(t, err, "path does not start here")
			_, err = p.check(leaves[i], 3)
			require.EqualError(t, err, "path has 2 steps, the circuit 3")
		}
		_, err = tree.Path(n)
		require.Error(t, err)
	}
	_, err := newTree(1, make([]fr.Element, 5), empty)
	require.EqualError(t, err, "tree: 5 leaves in a tree of depth 1")
	for _, depth := range []int{0, maxDepth + 1} {
		_, err := newTree(depth, nil, empty)
		require.ErrorContains(t, err, "not 1 to 16")
	}
}

// A tree over shard roots is the tree over all their leaves.
func TestConsentTree(t *testing.T) {
	t.Parallel()
	var leaves, roots []Element
	for k := range 3 {
		shard := []Element{secret("leaf", 4*k), secret("leaf", 4*k+1), secret("leaf", 4*k+2), secret("leaf", 4*k+3)}
		leaves = append(leaves, shard...)
		root, err := ShardRoot(4, shard)
		require.NoError(t, err)
		roots = append(roots, root)
		tree, err := ShardTree(4, shard)
		require.NoError(t, err)
		require.Equal(t, root, tree.Root())
	}
	want, err := ShardRoot(16, leaves)
	require.NoError(t, err)
	tree, err := ConsentTree(4, 2, roots)
	require.NoError(t, err)
	require.Equal(t, want, tree.Root())
	require.Len(t, roots, 3)

	deep, err := ConsentTree(1024, 12, roots)
	require.NoError(t, err)
	p, err := deep.Path(2)
	require.NoError(t, err)
	require.Len(t, p.steps, 12-5)
	for name, bad := range map[string]func() error{
		"no shard size":     func() error { _, err := ConsentTree(1000, 12, roots); return err },
		"too flat":          func() error { _, err := ConsentTree(1024, 5, roots); return err },
		"root unreduced":    func() error { _, err := ConsentTree(4, 2, []Element{modulus()}); return err },
		"leaf unreduced":    func() error { _, err := ShardTree(4, []Element{modulus()}); return err },
		"shard of no size":  func() error { _, err := ShardTree(5, nil); return err },
		"leaves too many":   func() error { _, err := ShardTree(4, leaves); return err },
		"note is unreduced": func() error { _, err := NoteTree(1, []Element{modulus()}); return err },
	} {
		require.Error(t, bad(), name)
	}
}

// An index that is no digit interpolates between two children, and so makes a
// leaf of anything. Lookup2 must hold it to 0 and 1.
func TestPathRefusesAnIndexThatIsNoDigit(t *testing.T) {
	t.Parallel()
	honest := tinyEnrollment(t)
	stranger := honest
	stranger.Secret = person(1)
	p, err := stranger.public(tinyEnrollmentCircuit)
	require.EqualError(t, err, "path does not start here")
	c := stranger.assign(p)
	c.Root = assigned[*enrollmentCircuit](t, tinyEnrollmentCircuit, honest).Root
	dishonestly(t, attempt(t, tinyEnrollmentCircuit, c))

	commitment, err := stranger.Secret.Commit(stranger.Blind)
	require.NoError(t, err)
	leaf, err := Consent{commitment, stranger.Attributes}.leaf()
	require.NoError(t, err)
	first, second := stranger.Path.steps[0].children[0], stranger.Path.steps[0].children[1]
	var index fr.Element
	leaf.Sub(&leaf, &first)
	second.Sub(&second, &first)
	index.Div(&leaf, &second)
	c.Path[0].Index[0], c.Path[0].Index[1] = index, 0
	dishonestly(t, attempt(t, tinyEnrollmentCircuit, c))
}
