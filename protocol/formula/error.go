package formula

import (
	"strings"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Error says what is wrong with a formula, and where. It is a [problem.Error] too, whose
// text repeats nothing of the formula.
type Error struct {
	At int // the byte, from 0; the formula's length if it ends too early

	text    string
	problem *problem.Error
}

func (p *parser) fail(at int, public string) error {
	return &Error{At: at, text: p.text, problem: problem.New(problem.Invalid, public)}
}

func (e *Error) Error() string { return e.problem.Error() }
func (e *Error) Unwrap() error { return e.problem }

// Pointer returns the formula in a line and, in the next, a caret below the place. It is for
// whoever wrote the formula.
func (e *Error) Pointer() string {
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return ' '
		}
		return r
	}, e.text)
	before := utf8.RuneCountInString(e.text[:min(e.At, len(e.text))])
	return line + "\n" + strings.Repeat(" ", before) + "^"
}
