package circuits

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/test"
	"github.com/stretchr/testify/require"
)

// hashes computes every hash inside a circuit and compares.
type hashes struct {
	In                       []frontend.Variable
	Compressed, Hashed, Root frontend.Variable
	Sponged                  []frontend.Variable // of the first 0, 1, 2, … inputs
}

func (h *hashes) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	api.AssertIsEqual(h.Compressed, g.compress([width]frontend.Variable(h.In[:4])))
	api.AssertIsEqual(h.Hashed, g.hash2(TagLeaf, h.In[0], h.In[1]))
	api.AssertIsEqual(h.Root, g.merkleRoot(h.In[:16]))
	for n := range h.Sponged {
		api.AssertIsEqual(h.Sponged[n], g.sponge(TagBitmap, h.In[:n]))
	}
	return nil
}

func TestHashesAreTheSameInsideACircuit(t *testing.T) {
	t.Parallel()
	var xs []fr.Element
	for i := range 16 {
		xs = append(xs, field(t, secret("input", i)))
	}
	const lengths = 8
	shape := &hashes{In: make([]frontend.Variable, len(xs)), Sponged: make([]frontend.Variable, lengths)}
	values := &hashes{
		In:         make([]frontend.Variable, len(xs)),
		Compressed: compress([width]fr.Element(xs[:4])),
		Hashed:     hash2(TagLeaf, xs[0], xs[1]),
		Root:       merkleRoot(xs),
	}
	for i, x := range xs {
		values.In[i] = x
	}
	for n := range lengths {
		values.Sponged = append(values.Sponged, sponge(TagBitmap, xs[:n]))
	}
	require.NoError(t, test.IsSolved(shape, values, ecc.BN254.ScalarField()))

	values.Sponged[3] = sponge(TagUsedDigest, xs[:3])
	require.Error(t, test.IsSolved(shape, values, ecc.BN254.ScalarField()), "another tag is another hash")
}

func TestSpongeSeparatesLengthsAndTags(t *testing.T) {
	t.Parallel()
	zeros := make([]fr.Element, 7)
	seen := map[fr.Element]bool{}
	for _, tag := range []Tag{TagBitmap, TagMatrixDigest, TagUsedDigest, TagColumn, TagTotals, TagTotalsDigest, TagNoise, TagRelease} {
		for n := range zeros {
			h := sponge(tag, zeros[:n])
			require.False(t, seen[h], "tag %d, %d zeros", tag, n)
			seen[h] = true
		}
	}
}

// Pitfall 8: one tag for each use. The constants are read from the source of the
// whole package, so that a new tag cannot forget this test.
func TestTagsAreDistinct(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	seen := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is {
				return true
			}
			if typ, is := spec.Type.(*ast.Ident); is && typ.Name == "Tag" {
				require.Equal(t, "hash.go", name, "there is one list of tags")
				value := spec.Values[0].(*ast.BasicLit).Value
				require.Empty(t, seen[value], "tag %s is used twice", value)
				seen[value] = spec.Names[0].Name
			}
			return true
		})
	}
	require.Contains(t, seen, "62")
}

func TestTruncateNeverReduces(t *testing.T) {
	t.Parallel()
	var all [32]byte
	for i := range all {
		all[i] = 0xff
	}
	e := Truncate(all)
	require.NoError(t, CheckElement(e))
	require.Equal(t, 248, new(big.Int).SetBytes(e[:]).BitLen())
	require.ErrorIs(t, CheckElement(all), ErrElement)
	require.ErrorIs(t, CheckElement(modulus()), ErrElement)
}
