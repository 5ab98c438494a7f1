package figure

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/vector"
)

// scale is how many pixels of a PNG are a point, 3.125: 300 to the inch, as journals want.
const scale = 300.0 / 96

// PNG writes the figure with 300 pixels to the inch.
func (f *Figure) PNG(out io.Writer) error {
	c := &canvas{image.NewRGBA(image.Rect(0, 0, int(math.Ceil(f.width*scale)), int(math.Ceil(f.height*scale))))}
	draw.Draw(c.img, c.img.Bounds(), image.White, image.Point{}, draw.Src)
	for _, m := range f.marks {
		m.png(c)
	}
	return png.Encode(out, c.img)
}

// canvas is the image that is painted on.
type canvas struct{ img *image.RGBA }

// outline is closed paths in points. Their lines may be curved.
type outline struct {
	paths    [][]segment
	min, max point
}

// segment is a line to its last point, or a curve by one or two control points before it.
type segment []point

func (o *outline) add(path []segment) {
	if len(o.paths) == 0 {
		o.min, o.max = point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	}
	o.paths = append(o.paths, path)
	for _, s := range path {
		for _, p := range s {
			o.min = point{min(o.min.x, p.x), min(o.min.y, p.y)}
			o.max = point{max(o.max.x, p.x), max(o.max.y, p.y)}
		}
	}
}

// polygon adds an area in one sense of rotation, so that areas that overlap add up.
func (o *outline) polygon(points []point) {
	doubled := 0.0
	for i, p := range points {
		q := points[(i+1)%len(points)]
		doubled += p.x*q.y - q.x*p.y
	}
	path := make([]segment, len(points))
	for i := range points {
		if doubled < 0 {
			path[i] = segment{points[len(points)-1-i]}
		} else {
			path[i] = segment{points[i]}
		}
	}
	o.add(path)
}

// fill paints what the outline encloses.
func (c *canvas) fill(o outline, paint color.NRGBA) {
	if len(o.paths) == 0 {
		return
	}
	bounds := image.Rect(
		int(math.Floor(o.min.x*scale)), int(math.Floor(o.min.y*scale)),
		int(math.Ceil(o.max.x*scale))+1, int(math.Ceil(o.max.y*scale))+1)
	r := vector.NewRasterizer(bounds.Dx(), bounds.Dy())
	at := func(p point) (x, y float32) {
		return float32(p.x*scale - float64(bounds.Min.X)), float32(p.y*scale - float64(bounds.Min.Y))
	}
	for _, path := range o.paths {
		for i, s := range path {
			x, y := at(s[len(s)-1])
			switch {
			case i == 0:
				r.MoveTo(x, y)
			case len(s) == 1:
				r.LineTo(x, y)
			case len(s) == 2:
				bx, by := at(s[0])
				r.QuadTo(bx, by, x, y)
			default:
				bx, by := at(s[0])
				cx, cy := at(s[1])
				r.CubeTo(bx, by, cx, cy, x, y)
			}
		}
		r.ClosePath()
	}
	r.Draw(c.img, bounds, image.NewUniform(paint), image.Point{})
}

func (s shape) png(c *canvas) {
	if s.fill != nil {
		var o outline
		o.polygon(s.points)
		c.fill(o, *s.fill)
	}
	if s.stroke == nil {
		return
	}
	var o outline
	runs := [][]point{s.points}
	longer := s.width / 2 // ends are square, and so are corners
	if s.dash != nil {
		runs, longer = cut(s.points, s.dash), 0
	}
	for _, run := range runs {
		for i := 1; i < len(run); i++ {
			o.bar(run[i-1], run[i], s.width, longer)
		}
	}
	c.fill(o, *s.stroke)
}

// bar adds a straight stroke, longer at either end.
func (o *outline) bar(a, b point, width, longer float64) {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length == 0 {
		return
	}
	ux, uy := (b.x-a.x)/length, (b.y-a.y)/length
	a, b = point{a.x - longer*ux, a.y - longer*uy}, point{b.x + longer*ux, b.y + longer*uy}
	dx, dy := -uy*width/2, ux*width/2
	o.polygon([]point{{a.x + dx, a.y + dy}, {b.x + dx, b.y + dy}, {b.x - dx, b.y - dy}, {a.x - dx, a.y - dy}})
}

// cut returns the parts of a line that a pattern of dashes and gaps leaves.
func cut(points []point, pattern []float64) [][]point {
	var runs [][]point
	at, left, on := 0, pattern[0], true
	run := []point{points[0]}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		for {
			length := math.Hypot(b.x-a.x, b.y-a.y)
			if length <= left {
				left -= length
				run = append(run, b)
				break
			}
			a = point{a.x + (b.x-a.x)*left/length, a.y + (b.y-a.y)*left/length}
			if on {
				runs = append(runs, append(run, a))
			}
			at = (at + 1) % len(pattern)
			run, left, on = []point{a}, pattern[at], !on
		}
	}
	if on {
		runs = append(runs, run)
	}
	return runs
}
