package linkage

import (
	"iter"
	"strconv"
)

// pairsOf yields the pairs of neighboring letters of a value: of words with a mark
// before the first and after the last letter, of numbers with their place, so that 12
// at the end is not 12 at the beginning.
func pairsOf(f Field, value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		placed := f == BirthDate || f == Postcode || f == HouseNumber
		if f == BirthDate {
			value = digitsOf(value)
		}
		last, place := rune('_'), 0
		for _, r := range value + "_" {
			gram := string([]rune{last, r})
			if placed {
				gram = strconv.Itoa(place) + gram
			}
			if !yield(gram) {
				return
			}
			last = r
			place++
		}
	}
}
