package figure

import (
	"math"
	"slices"
)

// Forest is a forest plot: a row for each effect with its confidence interval.
type Forest struct {
	Title   string // for those who cannot see it
	Names   string // heading of the rows' names
	Effect  string // what an effect is, for example "Odds ratio"
	Numbers string // heading of the effects in digits, for example "OR (95 % CI)"

	Log  bool    // the axis is logarithmic, and effects are above 0
	None float64 // the effect that is none: 1 for ratios, 0 for differences, no number for neither
	Rows []Effect
}

// Effect is a row of a forest plot.
type Effect struct {
	Name string

	// Estimate lies between Low and High. If it is no number the row has no mark. A limit
	// may be infinite, and of a logarithmic axis 0.
	Estimate, Low, High float64

	Text string // the effect in digits, or why there is none
	P    string // may be empty everywhere

	Pooled bool // drawn as a diamond
}

const (
	margin  = 16.0
	rowHigh = 24.0
)

// Draw draws the plot.
func (p Forest) Draw() *Figure {
	names, texts, ps := []string{}, []string{}, []string{}
	for _, r := range p.Rows {
		names, texts, ps = append(names, r.Name), append(texts, r.Text), append(ps, r.P)
	}
	const plot, gap = 290.0, 22.0
	nameWide := max(widest(false, names...), widthOf(p.Names, true))
	textWide := max(widest(false, texts...), widthOf(p.Numbers, true))
	pWide := widest(false, ps...)
	if pWide > 0 {
		pWide = max(pWide, widthOf("P", true)) + gap
	}
	f := &Figure{title: p.Title, width: 2*margin + nameWide + gap + plot + gap + textWide + pWide}
	top := margin + 14
	f.heading(margin, top, start, p.Names)
	x := p.axis()
	x.from = margin + nameWide + gap
	x.to = x.from + plot
	f.heading(f.width-margin-pWide, top, end, p.Numbers)
	if pWide > 0 {
		f.heading(f.width-margin, top, end, "P")
	}
	f.line(black, 1, point{margin, top + 9}, point{f.width - margin, top + 9})
	bottom := top + 9 + rowHigh*float64(len(p.Rows)) + 8
	if !math.IsNaN(p.None) {
		f.dashed(gray, 1, []float64{4, 3}, point{x.at(p.None), top + 10}, point{x.at(p.None), bottom})
	}
	for i, r := range p.Rows {
		y := top + 9 + rowHigh*(float64(i)+0.5) + 4
		f.write(margin, y+4, start, r.Name, r.Pooled, black)
		f.write(f.width-margin-pWide, y+4, end, r.Text, r.Pooled, black)
		f.write(f.width-margin, y+4, end, r.P, r.Pooled, black)
		if !math.IsNaN(r.Estimate) {
			f.effect(x, y, r)
		}
	}
	f.height = f.across(x, bottom, x.ticks(7), p.Effect) + margin
	return f
}

// effect draws a row's mark; what lies beyond the axis ends in an arrow.
func (f *Figure) effect(x axis, y float64, r Effect) {
	within := func(v float64) float64 { return x.at(min(max(v, x.low), x.high)) }
	low, at, high := within(r.Low), within(r.Estimate), within(r.High)
	if r.Pooled {
		f.area(palette[0], point{low, y}, point{at, y - 7}, point{high, y}, point{at, y + 7})
		return
	}
	f.line(black, 1.4, point{low, y}, point{high, y})
	if r.Low < x.low {
		f.arrow(black, point{at, y}, point{low - 2, y})
	}
	if r.High > x.high {
		f.arrow(black, point{at, y}, point{high + 2, y})
	}
	if r.Estimate >= x.low && r.Estimate <= x.high {
		const half = 4
		f.area(palette[0], point{at - half, y - half}, point{at + half, y - half}, point{at + half, y + half}, point{at - half, y + half})
	}
}

// usual is how wide the interval in the middle is, from the narrowest to the widest: its
// upper limit less the lower one, or by it on a logarithmic axis. 0 is for none.
func (p Forest) usual() float64 {
	var widths []float64
	for _, r := range p.Rows {
		width := r.High - r.Low
		if p.Log {
			width = r.High / r.Low
		}
		if !math.IsNaN(r.Estimate) && !math.IsNaN(width) && !math.IsInf(width, 0) {
			widths = append(widths, width)
		}
	}
	if len(widths) == 0 {
		return 0
	}
	slices.Sort(widths)
	return widths[len(widths)/2]
}

// axis spans all effects with their limits, and no effect. Limits that are far off do not
// stretch it: on a logarithmic axis those beyond 20 times the outermost effects, else those
// further from them than three times what the effects span; but not those of an interval
// that is like the others, or the only one.
func (p Forest) axis() axis {
	low, high := math.Inf(1), math.Inf(-1)
	include := func(v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) && !(p.Log && v <= 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	include(p.None)
	for _, r := range p.Rows {
		include(r.Estimate)
	}
	if low > high { // nothing to show
		return axis{low: 1, high: 10, log: p.Log}
	}
	usual := p.usual()
	near, far := low/max(20, usual), high*max(20, usual)
	if !p.Log {
		span := max(3*(high-low), usual)
		near, far = low-span, high+span
	}
	for _, r := range p.Rows {
		if !math.IsNaN(r.Estimate) {
			include(max(r.Low, near))
			include(min(r.High, far))
		}
	}
	if p.Log {
		room := math.Pow(max(high/low, 1.1), 0.04)
		return axis{low: low / room, high: high * room, log: true}
	}
	room := 0.04 * (high - low)
	if room == 0 {
		room = max(math.Abs(low)/10, 1e-9)
	}
	return axis{low: low - room, high: high + room}
}
