package linkage

import (
	"iter"
	"strings"
)

// maxBlock is how many pairs of one block are compared. A key that more pairs share,
// such as the address of a home, is no key.
const maxBlock = 4_000_000

// passes are the keys by which pairs are found: records are compared if they have at
// least one in common, so that what a typing error keeps from one pass another finds.
// The empty key is none.
var passes = []func(*Record) string{
	func(r *Record) string { return r.values[NationalID] },
	func(r *Record) string { return r.values[BirthDate] },
	func(r *Record) string { return r.values[Phone] },
	func(r *Record) string { // in order, so that it does not matter which name stands where
		a, b := soundex(r.values[GivenName]), soundex(r.values[FamilyName])
		return both(min(a, b), max(a, b))
	},
	func(r *Record) string { return both(r.values[Postcode], soundex(r.values[FamilyName])) },
	func(r *Record) string { return both(r.values[Postcode], soundex(r.values[GivenName])) },
	func(r *Record) string { return both(r.values[Street], r.values[HouseNumber]) },
	func(r *Record) string { return both(r.values[Street], r.values[Postcode]) },
}

// both joins two parts of a key, and is no key without one of them.
func both(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return a + "\x00" + b
}

// soundex is a word's first letter and the codes of its next three sounds (Russell
// 1918, as the U.S. National Archives apply it). A word with letters other than a to z
// is its own code.
func soundex(word string) string {
	//             abcdefghijklmnopqrstuvwxyz, h and w part nothing
	const sounds = "01230120022455012623010202"
	code, last := make([]byte, 0, 4), byte(0)
	for i := range len(word) {
		c := word[i]
		switch {
		case c == ' ':
			continue
		case c < 'a' || c > 'z':
			return word
		}
		sound := sounds[c-'a']
		switch {
		case len(code) == 0:
			code = append(code, c)
		case sound != '0' && sound != last && len(code) < 4:
			code = append(code, sound)
		}
		if c != 'h' && c != 'w' {
			last = sound
		}
	}
	if len(code) == 0 {
		return ""
	}
	return string(code) + strings.Repeat("0", 4-len(code))
}

// blocks finds pairs of rows that have a key in common.
type blocks struct {
	a, b    [][]uint32 // keys of a row by pass, numbered from 1, 0 for none
	count   []int      // of keys by pass
	within  bool       // a and b are one list
	skipped int        // keys that too many pairs share
}

// keyed is a list of rows with a key for each pass, "" for none.
type keyed struct {
	rows int
	key  func(pass, row int) string
}

func recordKeys(records []Record) *keyed {
	return &keyed{len(records), func(pass, row int) string { return passes[pass](&records[row]) }}
}

// newBlocks prepares the pairs between two lists or, if b is nil, within one.
func newBlocks(passes int, a, b *keyed) *blocks {
	s := &blocks{within: b == nil}
	for pass := range passes {
		numbers := make(map[string]uint32)
		left := a.number(pass, numbers)
		right := left
		if !s.within {
			right = b.number(pass, numbers)
		}
		s.skipped += dropLarge(left, right, len(numbers))
		s.a, s.b, s.count = append(s.a, left), append(s.b, right), append(s.count, len(numbers))
	}
	return s
}

// number gives the keys of a pass numbers, and remembers them in numbers.
func (l *keyed) number(pass int, numbers map[string]uint32) []uint32 {
	keys := make([]uint32, l.rows)
	for row := range keys {
		text := l.key(pass, row)
		if text == "" {
			continue
		}
		n, seen := numbers[text]
		if !seen {
			n = uint32(len(numbers)) + 1
			numbers[text] = n
		}
		keys[row] = n
	}
	return keys
}

// dropLarge takes the keys away that too many pairs share, and returns how many.
func dropLarge(a, b []uint32, keys int) (dropped int) {
	inA, inB := make([]int, keys+1), make([]int, keys+1)
	for _, k := range a {
		inA[k]++
	}
	for _, k := range b {
		inB[k]++
	}
	for k := 1; k <= keys; k++ {
		if inA[k]*inB[k] > maxBlock {
			dropped++
		} else {
			inA[k] = 0
		}
	}
	for _, side := range [][]uint32{a, b} {
		for i, k := range side {
			if k > 0 && inA[k] > 0 {
				side[i] = 0
			}
		}
	}
	return dropped
}

// pairs yields each candidate once; within one list i < j.
func (s *blocks) pairs() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for p := range s.a {
			members := make([][]uint32, s.count[p]+1)
			for j, k := range s.b[p] {
				if k > 0 {
					members[k] = append(members[k], uint32(j))
				}
			}
			for i, k := range s.a[p] {
				if k == 0 {
					continue
				}
				for _, j := range members[k] {
					if s.within && int(j) <= i || s.before(p, i, int(j)) {
						continue
					}
					if !yield(i, int(j)) {
						return
					}
				}
			}
		}
	}
}

// before reports whether a pass before p has the pair.
func (s *blocks) before(p, i, j int) bool {
	for q := range p {
		if k := s.a[q][i]; k > 0 && k == s.b[q][j] {
			return true
		}
	}
	return false
}
