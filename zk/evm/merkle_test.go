package evm_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// merkle asks the library's functions on a chain.
type merkle struct {
	workbench
	harness artifact
	at      evm.Address
}

func newMerkle(t *testing.T) merkle {
	t.Helper()
	m := merkle{workbench: newWorkbench(t)}
	dir := compile(t, filepath.Join(contractsDir, "MerkleTree.sol"), filepath.Join("testdata", "MerkleTreeHarness.sol"))
	m.harness = readArtifact(t, filepath.Join(dir, "MerkleTreeHarness.json"))
	var err error
	m.at, err = m.deploy(t, m.harness)
	require.NoError(t, err)
	return m
}

func (m merkle) ask(tb tester, method string, args ...any) bool {
	tb.Helper()
	input, err := m.harness.ABI.Pack(method, args...)
	require.NoError(tb, err)
	output, err := m.chain.CallContract(context.Background(), ethereum.CallMsg{To: &m.at, Data: input}, nil)
	require.NoError(tb, err)
	answer, err := m.harness.ABI.Unpack(method, output)
	require.NoError(tb, err)
	return answer[0].(bool)
}

// extends asks the contract and transparency-dev/merkle, which have to agree.
func (m merkle) extends(tb tester, smaller, larger uint64, path [][32]byte, oldRoot, newRoot [32]byte) bool {
	tb.Helper()
	ours := m.ask(tb, "extends", oldRoot, smaller, newRoot, larger, path)
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, smaller, larger, asSlices(path), oldRoot[:], newRoot[:])
	require.Equal(tb, err == nil, ours, "sizes %d to %d, %d hashes: merkle says %v", smaller, larger, len(path), err)
	return ours
}

func (m merkle) includes(tb tester, index, size uint64, leaf [32]byte, path [][32]byte, root [32]byte) bool {
	tb.Helper()
	ours := m.ask(tb, "includes", root, size, leaf, index, path)
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], asSlices(path), root[:])
	require.Equal(tb, err == nil, ours, "index %d of %d, %d hashes: merkle says %v", index, size, len(path), err)
	return ours
}

func asSlices(path [][32]byte) [][]byte {
	list := make([][]byte, len(path))
	for i := range path {
		list[i] = path[i][:]
	}
	return list
}

// TestMerkleTreeAgrees proves consistency of all pairs of small sizes and many large ones, and
// inclusion, with x/mod/tlog, and lets the contract and transparency-dev/merkle check them.
func TestMerkleTreeAgrees(t *testing.T) {
	t.Parallel()
	m := newMerkle(t)
	const most = 5000
	ledger := newHistory(t, "", most, 0)
	prove := func(tb tester, smaller, larger uint64) [][32]byte {
		path, err := ledger.growth(larger)(context.Background(), smaller)
		require.NoError(tb, err)
		return path
	}
	for larger := uint64(2); larger <= 18; larger++ {
		for smaller := uint64(1); smaller < larger; smaller++ {
			require.True(t, m.extends(t, smaller, larger, prove(t, smaller, larger), ledger.root(t, smaller), ledger.root(t, larger)))
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		larger := rapid.Uint64Range(2, most).Draw(r, "larger")
		smaller := rapid.Uint64Range(1, larger-1).Draw(r, "smaller")
		path, oldRoot, newRoot := prove(r, smaller, larger), ledger.root(t, smaller), ledger.root(t, larger)
		require.True(r, m.extends(r, smaller, larger, path, oldRoot, newRoot))
		path = slices.Clone(path)
		switch rapid.SampledFrom([]string{"hash", "longer", "shorter", "swapped", "old root", "new root", "old size", "new size"}).Draw(r, "damage") {
		case "hash":
			path[rapid.IntRange(0, len(path)-1).Draw(r, "place")][rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1
		case "longer":
			path = append(path, [32]byte{1})
		case "shorter":
			path = path[:len(path)-1]
		case "swapped":
			oldRoot, newRoot = newRoot, oldRoot
		case "old root":
			oldRoot[0] ^= 1
		case "new root":
			newRoot[0] ^= 1
		case "old size":
			// Of some sizes the same path proves the same roots: merkle says when.
			m.extends(r, smaller+1, larger, path, oldRoot, newRoot)
			return
		case "new size":
			m.extends(r, smaller, larger+1, path, oldRoot, newRoot)
			return
		}
		require.False(r, m.extends(r, smaller, larger, path, oldRoot, newRoot))
	})
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, most).Draw(r, "size")
		index := rapid.Int64Range(0, size-1).Draw(r, "index")
		leaf, path := ledger.inclusion(t, size, index)
		root := ledger.root(t, uint64(size))
		require.True(r, m.includes(r, uint64(index), uint64(size), leaf, path, root))
		m.includes(r, uint64(index)+1, uint64(size), leaf, path, root)
		m.includes(r, uint64(index), uint64(size)+1, leaf, path, root)
		require.False(r, m.includes(r, uint64(index), uint64(size), leaf, append(slices.Clone(path), root), root))
		require.False(r, m.includes(r, uint64(size), uint64(size), leaf, path, root), "beyond the end")
		leaf[0] ^= 1
		require.False(r, m.includes(r, uint64(index), uint64(size), leaf, path, root))
	})
}

// TestMerkleTreeTakesAnything gives both whatever sizes and hashes: they have to agree, which is no.
func TestMerkleTreeTakesAnything(t *testing.T) {
	t.Parallel()
	m := newMerkle(t)
	rapid.Check(t, func(r *rapid.T) {
		hash := rapid.Custom(func(r *rapid.T) [32]byte { return [32]byte{rapid.Byte().Draw(r, "hash")} })
		path := rapid.SliceOfN(hash, 0, 70).Draw(r, "path")
		sizes := rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64())
		smaller, larger := sizes.Draw(r, "smaller"), sizes.Draw(r, "larger")
		if smaller > 0 && smaller < larger { // for others merkle has answers that an anchor never asks for
			m.extends(r, smaller, larger, path, hash.Draw(r, "old"), hash.Draw(r, "new"))
		}
		m.includes(r, smaller, larger, hash.Draw(r, "leaf"), path, hash.Draw(r, "root"))
	})
}
