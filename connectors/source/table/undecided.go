package table

import (
	"bytes"
	"regexp"
)

// openLine is a line that [Suggest] leaves for a person.
var openLine = regexp.MustCompile(`(^|\s)#.*\bdecide:`)

// Undecided returns the lines, from 1, of a mapping file that have a comment with "decide:"
// as [Suggest] writes it. A person takes the word out when it is decided; [Parse] does not
// mind it.
func Undecided(text []byte) (lines []int) {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; openLine.Match(line) {
			lines = append(lines, n)
		}
	}
	return lines
}
