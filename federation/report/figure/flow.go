package figure

import "strings"

// Flow is how persons go through the rules of a study: a box for those who remain, and
// beside it one for those who leave.
type Flow struct {
	Title string // for those who cannot see it
	Steps []Stage
}

// Stage is a box with, of all but the first, those who left before it.
type Stage struct {
	Remain string // for example "Entered: n = 120"
	Leave  string // may be empty
}

const boxWide = 250.0

// Draw draws the boxes from top to bottom.
func (p Flow) Draw() *Figure {
	f := &Figure{title: p.Title, width: 2*margin + 2*boxWide + 40}
	y, mid := margin, margin+boxWide/2
	for i, s := range p.Steps {
		if i > 0 {
			above := y
			if s.Leave != "" {
				lines := wrap(s.Leave)
				high := boxHigh(lines)
				right := margin + boxWide + 40
				f.boxed(right, above+14, lines)
				f.line(black, 1, point{mid, above + 14 + high/2}, point{right - 5, above + 14 + high/2})
				f.arrow(black, point{mid, above + 14 + high/2}, point{right, above + 14 + high/2})
				y += 28 + high
			} else {
				y += 32
			}
			f.line(black, 1, point{mid, above}, point{mid, y - 5})
			f.arrow(black, point{mid, above}, point{mid, y})
		}
		lines := wrap(s.Remain)
		f.boxed(margin, y, lines)
		y += boxHigh(lines)
	}
	f.height = y + margin
	return f
}

func boxHigh(lines []string) float64 { return 16 + 16*float64(len(lines)) }

func (f *Figure) boxed(left, top float64, lines []string) {
	f.box(black, left, top, left+boxWide, top+boxHigh(lines))
	for i, l := range lines {
		f.text(left+boxWide/2, top+20+16*float64(i), middle, l)
	}
}

// wrap breaks a text into lines that fit a box; a word that does not is cut.
func wrap(text string) []string {
	const room = boxWide - 16
	var lines []string
	line := ""
	for _, word := range strings.Fields(printable(text)) {
		for widthOf(word, false) > room {
			n := len([]rune(word))
			for n > 1 && widthOf(string([]rune(word)[:n]), false) > room {
				n--
			}
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines = append(lines, string([]rune(word)[:n]))
			word = string([]rune(word)[n:])
		}
		switch longer := line + " " + word; {
		case line == "":
			line = word
		case widthOf(longer, false) > room:
			lines, line = append(lines, line), word
		default:
			line = longer
		}
	}
	return append(lines, line)
}
