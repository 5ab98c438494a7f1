package linkage

import (
	"math/bits"
	"unicode/utf8"
)

// prefixWeight is how much each of the first four equal letters adds (Winkler 1990).
const prefixWeight = 0.1

// JaroWinkler returns how similar two strings are, from 0 to 1 for equal ones. Of each
// at most the first 64 letters are compared. ASCII costs no allocation.
//
// Source: Winkler, "String Comparator Metrics and Enhanced Decision Rules in the
// Fellegi-Sunter Model of Record Linkage" (1990), without its rule for the similarity
// above which the prefix counts.
func JaroWinkler(a, b string) float64 {
	if a == b {
		return 1
	}
	if isASCII(a) && isASCII(b) {
		a, b = a[:min(len(a), maxValue)], b[:min(len(b), maxValue)]
		return withPrefix(jaro(a, b), a, b)
	}
	x, y := narrow(a, b)
	return withPrefix(jaro(x, y), x, y)
}

// withPrefix raises the similarity of words that begin alike.
func withPrefix(jaro float64, a, b string) float64 {
	prefix := 0
	for prefix < min(4, len(a), len(b)) && a[prefix] == b[prefix] {
		prefix++
	}
	return jaro + float64(prefix)*prefixWeight*(1-jaro)
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// jaro compares at most 64 bytes below 128 of each. A bit stands for a place, so that
// all places of a letter are looked at in one step.
func jaro(x, y string) float64 {
	if x == "" || y == "" {
		return 0
	}
	var places [utf8.RuneSelf]uint64
	for j := range len(y) {
		places[y[j]] |= 1 << j
	}
	window := max(max(len(x), len(y))/2-1, 0)
	var inX, inY uint64 // letters that have found their like
	for i := range len(x) {
		reach := uint64(1)<<(i+window+1) - 1 // all ones from 64 places on
		if i > window {
			reach &^= 1<<(i-window) - 1
		}
		if free := places[x[i]] & reach &^ inY; free != 0 {
			inX |= 1 << i
			inY |= free & -free
		}
	}
	if inX == 0 {
		return 0
	}
	m, moved := float64(bits.OnesCount64(inX)), 0
	for inX != 0 {
		if x[bits.TrailingZeros64(inX)] != y[bits.TrailingZeros64(inY)] {
			moved++
		}
		inX, inY = inX&(inX-1), inY&(inY-1)
	}
	return (m/float64(len(x)) + m/float64(len(y)) + (m-float64(moved)/2)/m) / 3
}

// narrow gives each letter of two strings a number below 128, so that they can be
// compared as bytes: two words of 64 letters have no more.
func narrow(a, b string) (x, y string) {
	var letters []rune
	of := func(text string) string {
		var out []byte
		for _, r := range text {
			if len(out) == maxValue {
				break
			}
			at := 0
			for at < len(letters) && letters[at] != r {
				at++
			}
			if at == len(letters) {
				letters = append(letters, r)
			}
			out = append(out, byte(at))
		}
		return string(out)
	}
	return of(a), of(b)
}

// isOneSlip reports whether one typing error makes a of b: a letter too many, too few
// or wrong, or two neighbors exchanged. It compares bytes.
func isOneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || a == b {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if a[i+1:] == b[i+1:] {
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
