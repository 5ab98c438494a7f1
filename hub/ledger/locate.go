package ledger

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Locating damage. A hash of the tree is known in several ways: from the tile that
// lists it, from the entries below it, and from the tile one level below, whose own
// hashes may be in doubt in turn. The signed root decides: the one choice of hashes
// that folds to it is the truth (another would be a SHA-256 collision), and
// whatever differs from the truth is damaged. So the search goes down from the
// root, and into each child with the hash that is now known to be true.

const (
	// maxChoices bounds the combinations tried for one tile, or for the tiles of the
	// right edge together.
	maxChoices = 1 << 12

	// maxBelow bounds the combinations of a child that its parent considers.
	maxBelow = 1 << 5

	// maxSingly is how many hashes or entries of one file are reported one by one.
	maxSingly = 16
)

// locate fills the report with the places that differ from the signed root.
func (s *scan) locate(ctx context.Context) error {
	s.report.Damage = nil
	var edge []tlog.Tile
	for level := 0; level*tileHeight < 63 && s.checkpoint.Size>>(level*tileHeight) > 0; level++ {
		n := s.checkpoint.Size >> (level * tileHeight) >> tileHeight
		if w := widthIn(s.checkpoint.Size, level, n); w > 0 {
			edge = append(edge, hashTile(level, n, w))
		}
	}
	return s.resolve(ctx, edge, &s.checkpoint.Root)
}

// doubt is one tile while its true hashes are looked for.
type doubt struct {
	tile    tlog.Tile
	stored  []Hash     // as in the tile, nil if the file is unusable
	damage  *Damage    // why it is unusable
	bundle  bundleFile // of a tile of level 0
	choices [][]Hash   // candidates for each hash, without repeats
}

// resolve finds the true hashes of tiles that together fold to root, reports what
// differs and goes down into the children. root is nil if it is not known.
func (s *scan) resolve(ctx context.Context, tiles []tlog.Tile, root *Hash) error {
	doubts := make([]*doubt, len(tiles))
	for i, t := range tiles {
		d, err := s.doubt(ctx, t)
		if err != nil {
			return err
		}
		doubts[i] = d
	}
	truth := choose(doubts, root)
	var altered string // what to say of a tile in which nothing is in doubt
	if root != nil {
		altered = "agrees with the entries, but not with the signed root: both were altered"
		if len(tiles) > 1 {
			altered += ", here or in another tile of the right edge"
		}
	}
	for i, d := range doubts {
		if s.full() {
			s.report.Truncated = true // not looked at
			return nil
		}
		if truth == nil {
			s.reportUnknown(d, altered)
		} else {
			s.reportKnown(d, truth[i])
		}
		if d.tile.L == 0 {
			continue
		}
		for j := range d.choices {
			var known *Hash
			switch {
			case truth != nil:
				known = &truth[i][j]
			case len(d.choices[j]) == 1: // every way to know it agrees
				known = &d.choices[j][0]
			}
			child := hashTile(d.tile.L-1, d.tile.N*tileWidth+int64(j), tileWidth)
			if !s.clean(child, known) {
				if err := s.resolve(ctx, []tlog.Tile{child}, known); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// clean reports whether all files at and below a full tile agree with each other
// and with the true hash.
func (s *scan) clean(t tlog.Tile, known *Hash) bool {
	above := s.computed[t.L+1]
	if known == nil || t.N >= int64(len(above)) || above[t.N] != *known {
		return false
	}
	for suspect := range s.suspect {
		if suspect.L <= t.L && suspect.N>>(tileHeight*(t.L-suspect.L)) == t.N {
			return false
		}
	}
	return true
}

// doubt reads a tile again and collects the candidates for its hashes.
func (s *scan) doubt(ctx context.Context, t tlog.Tile) (*doubt, error) {
	d := &doubt{tile: t, choices: make([][]Hash, t.W)}
	var err error
	if d.stored, d.damage, err = s.readTile(ctx, t); err != nil {
		return nil, err
	}
	var computed []Hash
	if t.L == 0 {
		if d.bundle, err = s.readBundle(ctx, t); err != nil {
			return nil, err
		}
		computed = d.bundle.hashes(t.W)
	} else if end := t.N*tileWidth + int64(t.W); end <= int64(len(s.computed[t.L])) {
		computed = s.computed[t.L][end-int64(t.W) : end]
	}
	for j := range d.choices {
		if computed != nil && computed[j] != (Hash{}) {
			d.add(j, computed[j])
		}
		if d.stored != nil {
			d.add(j, d.stored[j])
		}
		if t.L > 0 && len(d.choices[j]) != 1 {
			below, err := s.doubt(ctx, hashTile(t.L-1, t.N*tileWidth+int64(j), tileWidth))
			if err != nil {
				return nil, err
			}
			combine([]*doubt{below}, maxBelow, func(levels [][]Hash) bool {
				d.add(j, fold(levels...))
				return true
			})
		}
	}
	return d, nil
}

func (d *doubt) add(j int, h Hash) {
	for _, c := range d.choices[j] {
		if c == h {
			return
		}
	}
	d.choices[j] = append(d.choices[j], h)
}

// choose returns the choice of candidates that folds to root, per tile, or nil if
// there is none, or too many to try.
func choose(doubts []*doubt, root *Hash) (truth [][]Hash) {
	if root == nil {
		return nil
	}
	combine(doubts, maxChoices, func(levels [][]Hash) bool {
		if fold(levels...) == *root {
			truth = levels
		}
		return truth == nil
	})
	return truth
}

// combine calls try with each combination of candidates until it returns false.
// If there are more than limit, as when a whole file is garbage, each tile takes
// all its candidates from the same source instead. It does nothing if that is
// still too many or a hash has no candidate. try may keep the slice only if it
// returns false.
func combine(doubts []*doubt, limit int, try func(levels [][]Hash) bool) {
	levels := make([][]Hash, len(doubts))
	for i, d := range doubts {
		levels[i] = make([]Hash, len(d.choices))
		for j, c := range d.choices {
			if len(c) == 0 {
				return
			}
			levels[i][j] = c[0]
		}
	}
	digits, total := digitsOf(doubts, false)
	if total > limit {
		digits, total = digitsOf(doubts, true)
	}
	if total > limit {
		return
	}
	for k := range total {
		for _, g := range digits { // k written with one digit per group
			for _, j := range g.hashes {
				c := doubts[g.tile].choices[j]
				levels[g.tile][j] = c[min(k%g.base, len(c)-1)]
			}
			k /= g.base
		}
		if !try(levels) {
			return
		}
	}
}

// digit is a group of hashes in doubt that take their candidates together.
type digit struct {
	tile   int
	hashes []int
	base   int // the largest number of candidates of one of them
}

// digitsOf returns the hashes in doubt, each on its own or grouped by tile, and
// how many combinations that gives, or a number over every limit.
func digitsOf(doubts []*doubt, grouped bool) (digits []digit, total int) {
	total = 1
	for i, d := range doubts {
		group := digit{tile: i, base: 1}
		for j, c := range d.choices {
			switch {
			case len(c) < 2:
			case grouped:
				group.hashes = append(group.hashes, j)
				group.base = max(group.base, len(c))
			default:
				digits = append(digits, digit{i, []int{j}, len(c)})
				total = min(total*len(c), maxChoices+1)
			}
		}
		if group.base > 1 {
			digits = append(digits, group)
			total = min(total*group.base, maxChoices+1)
		}
	}
	return digits, total
}

// reportKnown reports what differs from the true hashes of a tile: hashes in the
// tile and, at level 0, entries.
func (s *scan) reportKnown(d *doubt, truth []Hash) {
	if d.damage != nil {
		s.add(*d.damage)
	}
	var bad []int
	for j, h := range d.stored {
		if h != truth[j] {
			bad = append(bad, j)
		}
	}
	s.reportHashes(d, bad, "the hash does not follow from the signed root")
	if d.tile.L > 0 {
		return
	}
	bad = nil
	computed := d.bundle.hashes(d.tile.W)
	for j := range truth {
		if computed[j] != truth[j] {
			bad = append(bad, j)
		}
	}
	s.reportEntries(d, bad, "the entry is not the one that the signed root covers")
}

// reportUnknown reports a tile whose true hashes cannot be told.
func (s *scan) reportUnknown(d *doubt, altered string) {
	if d.damage != nil {
		s.add(*d.damage)
	}
	var bad []int
	for j, c := range d.choices {
		if len(c) != 1 {
			bad = append(bad, j)
		}
	}
	switch {
	case len(bad) == 0 && altered != "":
		s.add(Damage{Path: tilePath(d.tile), Entry: -1, Reason: altered})
	case d.tile.L == 0:
		s.reportEntries(d, bad, "the entry contradicts its hash in "+tilePath(d.tile)+", and the signed root does not tell which is wrong")
	default:
		s.reportHashes(d, bad, "the hash contradicts the files below it, and the signed root does not tell which is wrong")
	}
}

// reportHashes reports hashes of a tile, as one damage if they are many.
func (s *scan) reportHashes(d *doubt, bad []int, reason string) {
	path := tilePath(d.tile)
	if len(bad) > maxSingly {
		first, last := int64(bad[0]), int64(bad[len(bad)-1])
		s.add(Damage{
			Path: path, Entry: -1, Offset: first * tlog.HashSize, Length: (last - first + 1) * tlog.HashSize,
			Reason: fmt.Sprintf("%d hashes: %s", len(bad), reason),
		})
		return
	}
	for _, j := range bad {
		damage := Damage{Path: path, Entry: -1, Offset: int64(j) * tlog.HashSize, Length: tlog.HashSize, Reason: reason}
		if d.tile.L == 0 {
			damage.Entry = d.tile.N*tileWidth + int64(j)
		}
		s.add(damage)
	}
}

// reportEntries reports entries of a bundle. When the framing is broken all
// entries after the break look wrong; then only the break is reported.
func (s *scan) reportEntries(d *doubt, bad []int, reason string) {
	b := d.bundle
	if b.damage != nil {
		damage := *b.damage
		if len(bad) > 0 && b.size > 0 {
			damage.Entry = d.tile.N*tileWidth + int64(bad[0])
			damage.Offset = b.offset(bad[0]) - 2
			damage.Length = b.size - damage.Offset
			damage.Reason = fmt.Sprintf("the lengths of the entries are wrong from here on (%s)", damage.Reason)
		}
		s.add(damage)
		return
	}
	if len(bad) > maxSingly {
		first, last := bad[0], bad[len(bad)-1]
		s.add(Damage{
			Path: b.path, Entry: d.tile.N*tileWidth + int64(first),
			Offset: b.offset(first), Length: b.offset(last) + int64(len(b.entries[last])) - b.offset(first),
			Reason: fmt.Sprintf("%d entries from this one on: %s", len(bad), reason),
		})
		return
	}
	for _, j := range bad {
		s.add(Damage{
			Path: b.path, Entry: d.tile.N*tileWidth + int64(j),
			Offset: b.offset(j), Length: int64(len(b.entries[j])), Reason: reason,
		})
	}
}

// offset returns where the bytes of entry j begin.
func (b bundleFile) offset(j int) int64 {
	at := int64(2)
	for _, entry := range b.entries[:min(j, len(b.entries))] {
		at += 2 + int64(len(entry))
	}
	return at
}

// list reports the suspect tiles when there are too many to look into.
func (s *scan) list() {
	paths := make([]string, 0, len(s.suspect))
	for t := range s.suspect {
		paths = append(paths, tilePath(t))
	}
	slices.Sort(paths)
	for _, path := range paths {
		s.add(Damage{Path: path, Entry: -1, Reason: "missing, or contradicts the entries; too much is damaged to look closer"})
	}
}

func (s *scan) full() bool {
	return len(s.report.Damage) >= maxDamage
}

func (s *scan) add(d Damage) {
	if s.full() {
		s.report.Truncated = true
		return
	}
	s.report.Damage = append(s.report.Damage, d)
}
