package circuits

import (
	"maps"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestTreeIsItsShards: whatever is changed in whatever order, the tree is the one that
// its leaves alone make, and the shards in it are those that epochs are proven for.
func TestTreeIsItsShards(t *testing.T) {
	t.Parallel()
	shape := Shape{ShardSize: 16, Shards: 2, Slots: 1}
	require.Equal(t, 2, shape.ShardLevel())
	rapid.Check(t, func(t *rapid.T) {
		rows, leaves := MemoryRows{}, map[int]Element{}
		var root Element
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			batch := rapid.MapOfN(rapid.IntRange(0, 31), rapid.Uint64(), 1, 8).Draw(t, "batch")
			var changes []Placed
			for _, i := range slices.Sorted(maps.Keys(batch)) {
				leaves[i] = uintElement(batch[i])
				changes = append(changes, Placed{i, leaves[i]})
			}
			var err error
			root, err = UpdateTree(rows, 0, changes)
			require.NoError(t, err)
		}
		var shards []Element
		for shard := range 2 {
			list := slices.Repeat([]Element{EmptyLeaf()}, 16)
			for i, leaf := range leaves {
				if i/16 == shard {
					list[i%16] = leaf
				}
			}
			want, err := ShardRoot(16, list)
			require.NoError(t, err)
			got, err := TreeElement(rows, shape.ShardLevel(), shard)
			require.NoError(t, err)
			require.Equal(t, want, got)
			shards = append(shards, want)
		}
		same, err := TreeOfShards(shape, shards)
		require.NoError(t, err)
		require.Equal(t, root, same)
		stored, err := TreeRoot(rows)
		require.NoError(t, err)
		require.Equal(t, root, stored)
	})
}

// TestTreeHasTheLastLeaf: 16,777,216 leaves, and one change touches one group a level.
func TestTreeHasTheLastLeaf(t *testing.T) {
	t.Parallel()
	rows := MemoryRows{}
	root, err := UpdateTree(rows, 0, []Placed{{TreeLeaves - 1, uintElement(7)}})
	require.NoError(t, err)
	require.Len(t, rows, TreeDepth)
	require.NotEqual(t, EmptyTree(), root)
	back, err := UpdateTree(rows, 0, []Placed{{TreeLeaves - 1, EmptyLeaf()}})
	require.NoError(t, err)
	require.Equal(t, EmptyTree(), back)
	empty, err := TreeRoot(MemoryRows{})
	require.NoError(t, err)
	require.Equal(t, EmptyTree(), empty)
}

func TestTreeRefuses(t *testing.T) {
	t.Parallel()
	over := Element(fr.Modulus().FillBytes(make([]byte, 32)))
	for name, c := range map[string]struct {
		elements []Placed
		want     error
	}{
		"a leaf twice":          {[]Placed{{3, Element{}}, {3, Element{}}}, ErrTreeOrder},
		"leaves out of order":   {[]Placed{{3, Element{}}, {2, Element{}}}, ErrTreeOrder},
		"before the first":      {[]Placed{{-1, Element{}}}, ErrTreeOrder},
		"behind the last":       {[]Placed{{TreeLeaves, Element{}}}, ErrTreeOrder},
		"a hash with two forms": {[]Placed{{0, over}}, ErrElement},
	} {
		_, err := UpdateTree(MemoryRows{}, 0, c.elements)
		require.ErrorIs(t, err, c.want, name)
	}
	_, err := UpdateTree(MemoryRows{}, 2, []Placed{{TreeLeaves / 16, Element{}}})
	require.ErrorIs(t, err, ErrTreeOrder, "of a higher level there are fewer")
}

// BenchmarkTree changes leaves of a tree in memory: one alone, and a shard at once.
func BenchmarkTree(b *testing.B) {
	for name, n := range map[string]int{"one": 1, "shard": 1024} {
		b.Run(name, func(b *testing.B) {
			rows := MemoryRows{}
			changes := make([]Placed, n)
			for i := 0; b.Loop(); i++ {
				for k := range changes {
					changes[k] = Placed{i%1024*1024 + k, uintElement(uint64(i))}
				}
				if _, err := UpdateTree(rows, 0, changes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
