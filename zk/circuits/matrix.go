package circuits

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// wordBits is how many bitmap bits one field element carries: whole bytes, and
// far enough below the group order that packing never wraps.
const wordBits = 248

// words packs bit i of a bitmap into bit i%248 of element i/248.
func words(bitmap []bool) []fr.Element {
	packed := make([]fr.Element, (len(bitmap)+wordBits-1)/wordBits)
	for w := range packed {
		chunk := bitmap[w*wordBits : min(len(bitmap), (w+1)*wordBits)]
		var buf [32]byte
		for i, set := range chunk {
			if set {
				buf[31-i/8] |= 1 << (i % 8)
			}
		}
		packed[w].SetBytes(buf[:])
	}
	return packed
}

// commitBitmap is sponge(31; salt, words). Matrix columns and used bitmaps are
// committed alike, so that a circuit over columns of data can take either.
func commitBitmap(salt fr.Element, bitmap []bool) fr.Element {
	return sponge(TagBitmap, append([]fr.Element{salt}, words(bitmap)...))
}

// matrix is the native form of "who permits scope j": one bitmap a scope.
type matrix struct {
	bitmaps [scopes][]bool
	salts   [scopes]fr.Element
	levels  [scopeDepth + 1][]fr.Element // commitments, then their parents, up to the root; nil before hash
}

// newMatrix fills in the bitmaps; consents beyond the list are empty slots. It hashes
// nothing: an answer needs the bitmaps, only its proof the commitments to them.
func newMatrix(shardSize int, consents []Consent, w Window, salts [scopes]fr.Element) *matrix {
	m := &matrix{salts: salts}
	for j := range m.bitmaps {
		m.bitmaps[j] = make([]bool, shardSize)
		for i, c := range consents {
			m.bitmaps[j][i] = c.Attributes.permitsThroughout(w) && c.Attributes.Mask>>j&1 == 1
		}
	}
	return m
}

// hash fills in the levels and returns m.
func (m *matrix) hash() *matrix {
	m.levels[0] = make([]fr.Element, scopes)
	for j := range m.levels[0] {
		m.levels[0][j] = commitBitmap(m.salts[j], m.bitmaps[j])
	}
	for l := range scopeDepth {
		below := m.levels[l]
		m.levels[l+1] = make([]fr.Element, len(below)/4)
		for i := range m.levels[l+1] {
			m.levels[l+1][i] = compress([width]fr.Element(below[4*i : 4*i+4]))
		}
	}
	return m
}

func (m *matrix) root() fr.Element { return m.levels[scopeDepth][0] }

// siblings returns, level by level, the four children among which the path from
// column j to the root passes.
func (m *matrix) siblings(j consent.Scope) (path [scopeDepth][width]fr.Element) {
	for l := range path {
		first := int(j) >> (2 * l) &^ 3
		path[l] = [width]fr.Element(m.levels[l][first : first+4])
	}
	return path
}

// emptyMatrix is the matrix of the defined empty shard: nobody in it, salts 0.
func emptyMatrix(shardSize int) *matrix {
	return newMatrix(shardSize, nil, Window{}, [scopes]fr.Element{}).hash()
}

// MatrixDigest returns the digest over the matrix roots of one access proof, in
// shard order. Fewer roots than the shape has shards are padded with the empty
// shard. Hub and auditors compute it from the roots on the ledger.
func MatrixDigest(s Shape, roots []Element) (Element, error) {
	return shardDigest(s, TagMatrixDigest, "matrix digest: root", roots, func() fr.Element {
		return emptyMatrix(s.ShardSize).root()
	})
}

// UsedCommitment returns the salted commitment to the slots of one shard that
// an answer used. A later circuit over data columns takes it as its selection.
func UsedCommitment(s Shape, used []int, salt Element) (Element, error) {
	bitmap, err := usedBitmap(s.ShardSize, used)
	if err != nil {
		return Element{}, fmt.Errorf("used commitment: %w", err)
	}
	x, err := toField(salt)
	if err != nil {
		return Element{}, fmt.Errorf("used commitment: salt: %w", err)
	}
	return fromField(commitBitmap(x, bitmap)), nil
}

// UsedDigest returns the digest over the used commitments of one access proof,
// padded like [MatrixDigest].
func UsedDigest(s Shape, commitments []Element) (Element, error) {
	return shardDigest(s, TagUsedDigest, "used digest: commitment", commitments, func() fr.Element {
		return commitBitmap(fr.Element{}, make([]bool, s.ShardSize))
	})
}

func shardDigest(s Shape, tag Tag, what string, list []Element, empty func() fr.Element) (Element, error) {
	if err := s.Validate(); err != nil {
		return Element{}, err
	}
	if len(list) > s.Shards {
		return Element{}, fmt.Errorf("%s %d: the shape has %d shards", what, s.Shards, s.Shards)
	}
	xs, err := toFields(what, list)
	if err != nil {
		return Element{}, err
	}
	if len(xs) < s.Shards {
		for pad := empty(); len(xs) < s.Shards; {
			xs = append(xs, pad)
		}
	}
	return fromField(sponge(tag, xs)), nil
}

// usedBitmap sets the listed slots; the list must ascend.
func usedBitmap(shardSize int, used []int) ([]bool, error) {
	bitmap := make([]bool, shardSize)
	last := -1
	for _, i := range used {
		if i < 0 || i >= shardSize {
			return nil, fmt.Errorf("slot %d is not in a shard of %d", i, shardSize)
		}
		if i <= last {
			return nil, fmt.Errorf("slot %d is out of order or repeated", i)
		}
		bitmap[i], last = true, i
	}
	return bitmap, nil
}
