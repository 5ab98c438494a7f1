// Package figure draws the figures of a publication: [Forest] plots, survival [Curves] with
// the persons at risk below them, a [Histogram], and the [Flow] of persons through a
// study's rules.
//
// Each of them is plain data with a Draw method that returns a [Figure], which writes itself
// as SVG or PNG. The same data gives the same bytes: nothing is read but what is handed in,
// and fonts are part of the program. Sizes are in points of 1/96 inch, as CSS has them.
// What a figure means, and what of it may be shown, is decided by the caller.
package figure

import (
	"image/color"
	"math"
	"strings"
)

// Figure is a drawing of lines, areas and text, in the order in which they cover each other.
type Figure struct {
	title         string // for those who cannot see it
	width, height float64
	marks         []mark
}

// mark is a shape or a label.
type mark interface {
	svg(out *strings.Builder)
	png(out *canvas)
}

// The colors: black, a gray for what is beside the point, and those that people who see few colors can tell apart.
//
// Source: Okabe and Ito, "Color Universal Design" (2008).
var (
	black = color.NRGBA{A: 255}
	gray  = color.NRGBA{R: 90, G: 90, B: 90, A: 255}

	palette = []color.NRGBA{
		{R: 0, G: 114, B: 178, A: 255},
		{R: 213, G: 94, B: 0, A: 255},
		{R: 0, G: 158, B: 115, A: 255},
		{R: 204, G: 121, B: 167, A: 255},
		{R: 86, G: 180, B: 233, A: 255},
		{R: 230, G: 159, B: 0, A: 255},
	}
	dashes = [][]float64{nil, {6, 3}, {2, 2.5}, {9, 3, 2, 3}} // for those who print in black
)

// point is a place; y grows downwards.
type point struct{ x, y float64 }

// shape is a line through points or, if it is filled, the area that they enclose.
type shape struct {
	points []point
	fill   *color.NRGBA
	stroke *color.NRGBA
	width  float64 // of the stroke
	dash   []float64
}

// label is a line of text at its base line.
type label struct {
	at     point
	text   string
	size   float64
	bold   bool
	anchor anchor
	color  color.NRGBA
	turned bool // by a quarter, to be read from below
}

type anchor int

const (
	start anchor = iota
	middle
	end
)

// textSize is that of all text.
const textSize = 12.0

func (f *Figure) line(c color.NRGBA, width float64, points ...point) {
	f.marks = append(f.marks, shape{points: points, stroke: &c, width: width})
}

func (f *Figure) dashed(c color.NRGBA, width float64, dash []float64, points ...point) {
	f.marks = append(f.marks, shape{points: points, stroke: &c, width: width, dash: dash})
}

func (f *Figure) area(c color.NRGBA, points ...point) {
	f.marks = append(f.marks, shape{points: points, fill: &c})
}

// box is a rectangle with an outline.
func (f *Figure) box(c color.NRGBA, left, top, right, bottom float64) {
	f.line(c, 1, point{left, top}, point{right, top}, point{right, bottom}, point{left, bottom}, point{left, top})
}

// text writes words in black at a base line.
func (f *Figure) text(x, y float64, a anchor, words string) { f.write(x, y, a, words, false, black) }

func (f *Figure) heading(x, y float64, a anchor, words string) {
	f.write(x, y, a, words, true, black)
}

func (f *Figure) write(x, y float64, a anchor, words string, bold bool, c color.NRGBA) {
	f.marks = append(f.marks, label{at: point{x, y}, text: shortened(words), size: textSize, bold: bold, anchor: a, color: c})
}

// arrow is a head that points along a line from one point to another, at its end.
func (f *Figure) arrow(c color.NRGBA, from, to point) {
	length := math.Hypot(to.x-from.x, to.y-from.y)
	ux, uy := (to.x-from.x)/length, (to.y-from.y)/length
	const long, wide = 6.0, 3.0
	f.area(c, to,
		point{to.x - long*ux - wide*uy, to.y - long*uy + wide*ux},
		point{to.x - long*ux + wide*uy, to.y - long*uy - wide*ux})
}

// shortened keeps a name to what fits beside a plot.
func shortened(text string) string {
	const longest = 60 // characters
	if runes := []rune(printable(text)); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return printable(text)
}

// printable replaces what no drawing can show: control characters and broken UTF-8.
func printable(text string) string {
	runes := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	for i, r := range runes {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
			runes[i] = '\uFFFD'
		}
	}
	return string(runes)
}
