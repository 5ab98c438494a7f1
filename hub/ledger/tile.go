package ledger

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a hash of the RFC 6962 tree, 32 bytes. It prints as base64.
type Hash = tlog.Hash

// Shape of the tree's files, fixed by C2SP tlog-tiles.
const (
	tileHeight = 8               // levels of the tree in one tile
	tileWidth  = 1 << tileHeight // hashes in a full tile, entries in a full bundle

	bundleLevel = -1 // the tlog.Tile level that stands for an entry bundle

	// maxPath bounds a tile path: int64 has 19 digits, that is 7 path elements.
	maxPath = len("tile/entries/") + 7*len("x000/") + len(".p/255")
)

// MaxEntry is the size of the largest entry in bytes; a bundle has 16 bits for it.
const MaxEntry = 1<<16 - 1

// maxFile is the size in bytes of the largest file a log can have: a full
// bundle of the largest entries.
const maxFile = tileWidth * (2 + MaxEntry)

// checkpointPath is the path of the signed checkpoint, the one file that changes.
const checkpointPath = "checkpoint"

var errTilePath = errors.New("ledger: malformed tile path")

// hashTile returns the tile n of a level with its first width hashes.
func hashTile(level int, n int64, width int) tlog.Tile {
	return tlog.Tile{H: tileHeight, L: level, N: n, W: width}
}

// tilePath returns the C2SP path of a tile or entry bundle:
// tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>].
func tilePath(t tlog.Tile) string {
	rest := strings.TrimPrefix(t.Path(), "tile/8/")
	if bundle, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + bundle
	}
	return "tile/" + rest
}

// parseTilePath is the inverse of tilePath. It accepts only the one spelling
// that tilePath writes.
func parseTilePath(path string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > maxPath || strings.HasPrefix(rest, "data/") {
		return tlog.Tile{}, errTilePath
	}
	if bundle, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + bundle
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil || t.H != tileHeight || t.L > 63 || t.N < 0 {
		return tlog.Tile{}, errTilePath
	}
	return t, nil
}

// widthIn returns how many hashes of tile n of a level (or entries of bundle n)
// a tree of the given size has, 0 to 256.
func widthIn(size int64, level int, n int64) int {
	if level == bundleLevel {
		level = 0
	}
	if level*tileHeight >= 63 {
		return 0
	}
	have := size >> (level * tileHeight)
	if n > have>>tileHeight { // compared before multiplying: n may be anything
		return 0
	}
	return int(min(have-n<<tileHeight, tileWidth))
}

// filesOf yields the tiles and bundles of a tree of the given size, each bundle
// before the tile of its hashes, leaves before the levels above.
func filesOf(size int64) iter.Seq[tlog.Tile] {
	return func(yield func(tlog.Tile) bool) {
		for level := 0; level*tileHeight < 63 && size>>(level*tileHeight) > 0; level++ {
			for n := int64(0); ; n++ {
				w := widthIn(size, level, n)
				if w == 0 {
					break
				}
				if level == 0 && !yield(hashTile(bundleLevel, n, w)) {
					return
				}
				if !yield(hashTile(level, n, w)) {
					return
				}
			}
		}
	}
}

// hashesOf splits the bytes of a tile of the given width.
func hashesOf(data []byte, width int) ([]Hash, error) {
	if len(data) != width*tlog.HashSize {
		return nil, fmt.Errorf("%d bytes, want %d", len(data), width*tlog.HashSize)
	}
	hashes := make([]Hash, width)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes, nil
}

// fold returns the RFC 6962 hash over a range of the tree that starts on the
// boundary of its highest tile. levels[L] are the hashes that the range has
// in its last, partial tile of level L; a full tile is its own range of one
// level. It returns the empty tree's hash for an empty range.
func fold(levels ...[]Hash) Hash {
	var root Hash
	started := false
	for _, hashes := range levels {
		// The tail of a tile of width w is a subtree of the lowest bit of w.
		for w := len(hashes); w > 0; {
			k := w & -w
			left := subtree(hashes[w-k : w])
			if started {
				root = tlog.NodeHash(left, root)
			} else {
				root, started = left, true
			}
			w -= k
		}
	}
	if !started {
		root, _ = tlog.TreeHash(0, nil)
	}
	return root
}

// subtree returns the hash over a power of two of sibling hashes.
func subtree(hashes []Hash) Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}
