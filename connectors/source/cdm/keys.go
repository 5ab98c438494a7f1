package cdm

// maxWords bounds the memory of the keys of a file to some 40 MB.
const maxWords = 1 << 20

// keys is a set of 64-bit keys. Keys that lie together, as those of a numbered table
// do whatever their order, share words: 64 million of them fit.
type keys struct {
	words map[int64]uint64
	most  int // words
}

func newKeys(most int) *keys { return &keys{map[int64]uint64{}, most} }

// add puts k into the set and reports whether it was there. full is true if there is
// no room for it.
func (s *keys) add(k int64) (known, full bool) {
	word, bit := k>>6, uint64(1)<<(k&63)
	bits, ok := s.words[word]
	switch {
	case bits&bit != 0:
		return true, false
	case !ok && len(s.words) >= s.most:
		return false, true
	}
	s.words[word] = bits | bit
	return false, false
}
