package figure

import (
	"fmt"
	"sync"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// face is a font in outlines. One that many use is safe: what it reads into is theirs.
type face struct {
	font *sfnt.Font
	em   fixed.Int26_6 // its own units
}

var (
	regular = sync.OnceValue(func() face { return parse(liberationsansregular.TTF) })
	strong  = sync.OnceValue(func() face { return parse(liberationsansbold.TTF) })
)

func parse(ttf []byte) face {
	f, err := sfnt.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("figure: font: %v", err)) // it is part of the program
	}
	return face{f, fixed.I(int(f.UnitsPerEm()))}
}

func faceOf(bold bool) face {
	if bold {
		return strong()
	}
	return regular()
}

// glyphs calls each with every glyph and how far from the beginning it stands, in points,
// and returns how wide all are. A character that the font lacks has its empty box.
func (f face) glyphs(text string, size float64, each func(b *sfnt.Buffer, glyph sfnt.GlyphIndex, x float64)) float64 {
	var b sfnt.Buffer
	x := 0.0
	for _, r := range text {
		glyph, err := f.font.GlyphIndex(&b, r)
		if err != nil {
			continue
		}
		if each != nil {
			each(&b, glyph, x)
		}
		if advance, err := f.font.GlyphAdvance(&b, glyph, f.em, font.HintingNone); err == nil {
			x += f.points(advance, size)
		}
	}
	return x
}

func (f face) points(v fixed.Int26_6, size float64) float64 { return float64(v) / float64(f.em) * size }

// widthOf returns how wide a text of the usual size is.
func widthOf(text string, bold bool) float64 {
	return faceOf(bold).glyphs(shortened(text), textSize, nil)
}

// widest returns the greatest width of texts.
func widest(bold bool, texts ...string) float64 {
	w := 0.0
	for _, text := range texts {
		w = max(w, widthOf(text, bold))
	}
	return w
}

func (l label) png(c *canvas) {
	f := faceOf(l.bold)
	shift := -f.glyphs(l.text, l.size, nil) * [...]float64{0, 0.5, 1}[l.anchor]
	var o outline
	f.glyphs(l.text, l.size, func(b *sfnt.Buffer, glyph sfnt.GlyphIndex, x float64) {
		segments, err := f.font.LoadGlyph(b, glyph, f.em, nil)
		if err != nil {
			return // a bitmap glyph; the font has none
		}
		place := func(p fixed.Point26_6) point {
			dx, dy := shift+x+f.points(p.X, l.size), f.points(p.Y, l.size)
			if l.turned {
				dx, dy = dy, -dx
			}
			return point{l.at.x + dx, l.at.y + dy}
		}
		var path []segment
		for _, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				if path != nil {
					o.add(path)
				}
				path = []segment{{place(s.Args[0])}}
			case sfnt.SegmentOpLineTo:
				path = append(path, segment{place(s.Args[0])})
			case sfnt.SegmentOpQuadTo:
				path = append(path, segment{place(s.Args[0]), place(s.Args[1])})
			case sfnt.SegmentOpCubeTo:
				path = append(path, segment{place(s.Args[0]), place(s.Args[1]), place(s.Args[2])})
			}
		}
		if path != nil {
			o.add(path)
		}
	})
	c.fill(o, l.color)
}
