package report

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textWriter makes text for a terminal.
type textWriter struct {
	strings.Builder
	begun bool
}

func writeText(out io.Writer, blocks []block) error {
	var w textWriter
	for _, b := range blocks {
		b.text(&w)
	}
	_, err := io.WriteString(out, w.String())
	return err
}

// part leaves a line between blocks.
func (w *textWriter) part() {
	if w.begun {
		w.line("")
	}
	w.begun = true
}

// line writes a line without blanks at its end.
func (w *textWriter) line(text string) {
	_, _ = w.WriteString(strings.TrimRight(text, " ") + "\n") // it cannot fail
}

func (l lines) text(w *textWriter) {
	if len(l) == 0 {
		return
	}
	w.part()
	for _, text := range l {
		w.line(visible(text))
	}
}

func (f facts) text(w *textWriter) {
	if len(f) == 0 {
		return
	}
	w.part()
	width := 0
	for _, fact := range f {
		width = max(width, widthOf(fact[0]))
	}
	for _, fact := range f {
		w.line(padded(visible(fact[0]), width, true) + "  " + visible(fact[1]))
	}
}

func (t *table) text(w *textWriter) {
	w.part()
	if t.title != "" {
		w.line(visible(t.title))
	}
	widths := make([]int, len(t.head))
	for _, cells := range append([][]string{t.head}, t.rows...) {
		for i, cell := range cells {
			widths[i] = max(widths[i], widthOf(cell))
		}
	}
	for _, cells := range append([][]string{t.head}, t.rows...) {
		var b strings.Builder
		for i, cell := range cells {
			if i > 0 {
				b.WriteByte(' ')
			}
			if i > 0 && i < t.words {
				b.WriteByte(' ')
			}
			b.WriteString(padded(visible(cell), widths[i], t.left(i)))
		}
		w.line(b.String())
	}
	for _, text := range t.foot {
		w.line(visible(text))
	}
}

func widthOf(text string) int { return utf8.RuneCountInString(visible(text)) }

func padded(text string, width int, left bool) string {
	room := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	if left {
		return text + room
	}
	return room + text
}

// visible replaces what would steer a terminal: control characters, and those that turn the
// direction of writing.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, text)
}
