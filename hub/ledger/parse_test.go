package ledger

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/testonly"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// Known answers of Certificate Transparency's reference implementation, as kept in
// transparency-dev/merkle (Apache-2.0).
func TestFoldGivesKnownRoots(t *testing.T) {
	t.Parallel()
	var leaves []Hash
	for size, want := range testonly.RootHashes() {
		got := fold(leaves)
		require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got[:]), "size %d", size)
		if size < len(testonly.LeafInputs()) {
			leaves = append(leaves, tlog.RecordHash(testonly.LeafInputs()[size]))
		}
	}
}

func TestTilePathAgreesWithTessera(t *testing.T) {
	t.Parallel()
	require.Equal(t, "tile/0/x001/x234/067", tilePath(hashTile(0, 1234067, tileWidth)), "the example of C2SP tlog-tiles")
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.IntRange(-1, 63).Draw(t, "level")
		n := rapid.Int64Range(0, 1<<62).Draw(t, "n")
		width := rapid.IntRange(1, tileWidth).Draw(t, "width")
		want := layout.EntriesPath(uint64(n), uint8(width))
		if level >= 0 {
			want = layout.TilePath(uint64(level), uint64(n), uint8(width))
		}
		tile := hashTile(level, n, width)
		require.Equal(t, want, tilePath(tile))
		parsed, err := parseTilePath(want)
		require.NoError(t, err)
		require.Equal(t, tile, parsed)
	})
}

func TestWidthInAgreesWithTessera(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<62).Draw(t, "size")
		level := rapid.IntRange(0, 7).Draw(t, "level")
		last := size >> (8 * level) >> 8
		require.EqualValues(t, layout.PartialTileSize(uint64(level), uint64(last), uint64(size)), widthIn(size, level, last))
		require.Zero(t, widthIn(size, level, last+rapid.Int64Range(1, 1<<62).Draw(t, "beyond")))
		if last > 0 {
			require.Equal(t, tileWidth, widthIn(size, level, rapid.Int64Range(0, last-1).Draw(t, "before")))
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, path := range []string{
		"tile/0/000", "tile/63/x999/x999/999.p/255", "tile/entries/x001/234", "tile/entries/000.p/1",
		"tile/data/000", "tile/8/0/000", "tile/0/x9/000", "tile/0/" + strings.Repeat("x999/", 9) + "999", "tile/entries/data/000", "",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := parseTilePath(path)
		if err != nil {
			return
		}
		require.Equal(t, path, tilePath(tile), "one spelling for each file")
		require.True(t, tile.N >= 0 && tile.L >= bundleLevel && tile.L <= 63 && tile.W >= 1 && tile.W <= tileWidth)
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte{}, 0)
	f.Add(appendEntry(appendEntry(nil, []byte("one")), nil), 2)
	f.Add([]byte{0, 3, 'o', 'n'}, 1)
	f.Add([]byte{0, 1, 'a', 9}, 1)
	f.Fuzz(func(t *testing.T, bundle []byte, count int) {
		if count < 0 || count > tileWidth {
			return
		}
		entries, err := splitBundle(bundle, count)
		var again []byte
		for _, entry := range entries {
			again = appendEntry(again, entry)
		}
		require.True(t, bytes.HasPrefix(bundle, again))
		if err == nil {
			require.Len(t, entries, count)
			require.Len(t, again, len(bundle))
		} else {
			require.ErrorContains(t, err, "of the bundle")
		}
	})
}

func FuzzReceipt(f *testing.F) {
	f.Add("c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n")
	f.Add("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 9223372036854775807\n" + Hash{}.String() + "\n\nx\n\n— y z\n")
	f.Add("c2sp.org/tlog-proof@v1\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReceipt([]byte(text))
		if err != nil {
			return
		}
		again, err := ParseReceipt(r.Marshal())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
