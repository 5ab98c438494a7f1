package cdm

// maxWords bounds the memory of a set of keys to some 40 MB.
const maxWords = 1 << 20

// keys is a set of 64-bit keys. Keys that lie together, as those of a numbered table
// do whatever their order, share words: 64 million of them fit.
type keys map[int64]uint64

// add puts k into the set. full is true if there was no room for it.
func (s keys) add(k int64) (known, full bool) {
	word, bit := k>>6, uint64(1)<<(k&63)
	bits, ok := s[word]
	switch {
	case bits&bit != 0:
		return true, false
	case !ok && len(s) >= maxWords:
		return false, true
	}
	s[word] = bits | bit
	return false, false
}
