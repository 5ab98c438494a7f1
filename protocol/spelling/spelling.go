// Package spelling finds the name that somebody meant who misspelled one.
//
// It knows no list of its own: whoever refuses a name hands in those that would do.
package spelling

import (
	"strings"
	"unicode/utf8"
)

// Nearest returns the known name that is closest to one that is not known, the first of
// those that are equally close, or "" if none is near: more than a third of the name would
// have to change. Capitals do not count.
//
// Near is by the number of letters to insert, delete, replace or swap with a neighbour.
//
// Source: Damerau, "A technique for computer detection and correction of spelling errors"
// (1964), as optimal string alignment.
func Nearest[S ~string](name string, known ...S) string {
	size := utf8.RuneCountInString(name)
	if size > longest {
		return "" // nobody means that
	}
	found, least := "", max(1, size/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(string(k))); d < least {
			found, least = string(k), d
		}
	}
	return found
}

// Hint returns " (did you mean …?)" for a refusal, "" if no known name is near.
func Hint[S ~string](name string, known ...S) string {
	if near := Nearest(name, known...); near != "" {
		return " (did you mean " + near + "?)"
	}
	return ""
}

// longest is how many letters of a name are compared.
const longest = 64

// distance is the optimal string alignment of two texts. Three rows of the table are kept:
// a swap looks two back.
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	before, last, row := make([]int, len(to)+1), make([]int, len(to)+1), make([]int, len(to)+1)
	for j := range row {
		last[j] = j
	}
	for i := range from {
		row[0] = i + 1
		for j := range to {
			cost := 1
			if from[i] == to[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(to)]
}
