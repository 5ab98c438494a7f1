package figure

import "image/color"

// Histogram is how values spread: a bar for each range, as high as its density, so that its
// area is the share of the values.
type Histogram struct {
	Title string // for those who cannot see it
	Value string // what the horizontal axis is
	Bins  []Bin  // in order, each beginning where the one before ends
}

// Bin is a range of values.
type Bin struct {
	Low, High float64
	Density   float64
}

// Draw draws the histogram.
func (p Histogram) Draw() *Figure {
	const width, height = 480.0, 300.0
	highest := 0.0
	for _, b := range p.Bins {
		highest = max(highest, b.Density)
	}
	if highest == 0 {
		highest = 1
	}
	y := axis{low: 0, high: highest, from: margin + height, to: margin + 8}
	ticks := y.roundUp(6)
	left := margin + widest(false, names(ticks)...) + 36
	x := axis{low: 0, high: 1, from: left + 8, to: left + width}
	if n := len(p.Bins); n > 0 {
		x.low, x.high = p.Bins[0].Low, p.Bins[n-1].High
	}
	f := &Figure{title: p.Title, width: x.to + margin + 12}
	for _, b := range p.Bins {
		l, r, top := x.at(b.Low), x.at(b.High), y.at(b.Density)
		f.area(color.NRGBA{R: 158, G: 202, B: 225, A: 255}, point{l, y.from}, point{l, top}, point{r, top}, point{r, y.from})
		f.line(palette[0], 1, point{l, y.from}, point{l, top}, point{r, top}, point{r, y.from})
	}
	f.upright(y, left, ticks, "Density")
	f.height = f.across(x, y.from, x.ticks(8), p.Value) + margin
	return f
}
