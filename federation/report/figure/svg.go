package figure

import (
	"fmt"
	"html"
	"image/color"
	"io"
	"strconv"
	"strings"
)

// fontFamily starts with the font that PNG has; the others are as wide.
const fontFamily = "'Liberation Sans', Arial, Helvetica, sans-serif"

// SVG writes the figure as SVG 1.1, without scripts and outer resources. It can stand in an
// HTML page as it is.
func (f *Figure) SVG(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" role="img" font-family="%[3]s">`+"\n",
		number(f.width), number(f.height), fontFamily)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(printable(f.title)))
	fmt.Fprintf(&b, `<rect width="%s" height="%s" fill="#ffffff"/>`+"\n", number(f.width), number(f.height))
	for _, m := range f.marks {
		m.svg(&b)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (s shape) svg(b *strings.Builder) {
	name, fill := "polyline", ` fill="none"`
	if s.fill != nil {
		name, fill = "polygon", paint("fill", *s.fill)
	}
	fmt.Fprintf(b, `<%s points="`, name)
	for i, p := range s.points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(number(p.x) + "," + number(p.y))
	}
	b.WriteString(`"` + fill)
	if s.stroke != nil {
		b.WriteString(paint("stroke", *s.stroke) + ` stroke-width="` + number(s.width) + `"`)
		if s.dash == nil {
			b.WriteString(` stroke-linecap="square"`)
		} else {
			b.WriteString(` stroke-dasharray="`)
			for i, d := range s.dash {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(number(d))
			}
			b.WriteString(`"`)
		}
	}
	b.WriteString("/>\n")
}

func (l label) svg(b *strings.Builder) {
	fmt.Fprintf(b, `<text x="%s" y="%s" font-size="%s"`, number(l.at.x), number(l.at.y), number(l.size))
	if l.bold {
		b.WriteString(` font-weight="bold"`)
	}
	if l.anchor != start {
		b.WriteString(` text-anchor="` + [...]string{"start", "middle", "end"}[l.anchor] + `"`)
	}
	if l.turned {
		fmt.Fprintf(b, ` transform="rotate(-90 %s %s)"`, number(l.at.x), number(l.at.y))
	}
	fmt.Fprintf(b, "%s>%s</text>\n", paint("fill", l.color), html.EscapeString(l.text))
}

func paint(attribute string, c color.NRGBA) string {
	text := fmt.Sprintf(` %s="#%02x%02x%02x"`, attribute, c.R, c.G, c.B)
	if c.A < 255 {
		text += fmt.Sprintf(` %s-opacity="%s"`, attribute, number(float64(c.A)/255))
	}
	return text
}

// number writes a coordinate to the hundredth.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}
