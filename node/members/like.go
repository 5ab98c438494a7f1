package members

import (
	"regexp"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// escaped are backslashes before a quote, which circe-be drops.
var escaped = regexp.MustCompile(`\\*'`)

// pattern is the pattern of PostgreSQL's LIKE that a filter stands for. Text is not escaped:
// its %, _ and \ keep their meaning there.
func pattern(f cohort.TextFilter) (like string, negated bool) {
	op, negated := strings.CutPrefix(f.Op, "!")
	like = escaped.ReplaceAllString(f.Text, "'")
	if op == "endsWith" || op == "contains" {
		like = "%" + like
	}
	if op == "startsWith" || op == "contains" {
		like += "%"
	}
	return like, negated
}

// piece is a part of a pattern.
type piece struct {
	char rune
	kind pieceKind
}

type pieceKind uint8

const (
	letter pieceKind = iota
	anyLetter
	anyText
)

// pieces takes a pattern apart. A backslash at the end stands for itself.
func pieces(like string) []piece {
	var list []piece
	runes := []rune(like)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && i+1 < len(runes):
			i++
			list = append(list, piece{char: runes[i]})
		case r == '_':
			list = append(list, piece{kind: anyLetter})
		case r == '%':
			if len(list) == 0 || list[len(list)-1].kind != anyText {
				list = append(list, piece{kind: anyText})
			}
		default:
			list = append(list, piece{char: r})
		}
	}
	return list
}

// matches reports whether the whole text has the form of the pattern, with regard to case.
func matches(list []piece, text string) bool {
	runes := []rune(text)
	p, t := 0, 0
	again, from := -1, 0 // the last piece that stands for any text, and where it was tried to end
	for t < len(runes) {
		switch {
		case p < len(list) && list[p].kind == anyText:
			again, from = p, t
			p++
		case p < len(list) && (list[p].kind == anyLetter || list[p].char == runes[t]):
			p++
			t++
		case again >= 0:
			from++
			p, t = again+1, from
		default:
			return false
		}
	}
	for p < len(list) && list[p].kind == anyText {
		p++
	}
	return p == len(list)
}
