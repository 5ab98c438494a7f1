package figure

import (
	"image/color"
	"math"
	"strconv"
)

// Curves are survival curves with their confidence bands and, below them, how many persons
// are at risk.
type Curves struct {
	Title string  // for those who cannot see it
	Time  string  // what the horizontal axis is
	Share string  // what the vertical axis is
	Note  string  // a line in the plot, for example a test; may be empty
	End   float64 // of follow-up; the last step's time if that is later
	Arms  []Arm
}

// Arm is one curve.
type Arm struct {
	Name  string // may be empty if there is one
	N     int64  // at risk from the beginning, before anybody leaves; 0 for those of the first step
	Steps []Step // in the order of time

	// More says that there were events after the last step, too few to be shown. Otherwise
	// the curve stays where it is to the end of follow-up.
	More bool
}

// Step is a curve from one time to the next.
type Step struct {
	Time     float64 // 0 or later
	AtRisk   int64   // just before it
	Leave    int64   // events and censored, until just after it
	Censored bool    // somebody left without an event
	Share    float64 // from then on, 0 to 1

	Low, High float64 // limits of Share; no number for none
}

// Draw draws the curves.
func (p Curves) Draw() *Figure {
	const width, height = 640.0, 330.0
	names, last := []string{}, p.End
	for _, a := range p.Arms {
		names = append(names, a.Name)
		if n := len(a.Steps); n > 0 {
			last = max(last, a.Steps[n-1].Time)
		}
	}
	if last == 0 {
		last = 1
	}
	left := margin + max(58, widest(false, names...)+26)
	x := axis{low: 0, high: last, from: left, to: left + width - 120}
	ticks := x.dayTicks(8)
	y := axis{low: 0, high: 1, from: margin + height, to: margin + 8}
	f := &Figure{title: p.Title, width: x.to + margin + 12}
	for i, a := range p.Arms {
		f.band(x, y, a, colorOf(i))
	}
	for i, a := range p.Arms {
		f.steps(x, y, a, i)
	}
	f.upright(y, left, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}, p.Share)
	f.legend(x, y, p)
	below := f.across(x, y.from, ticks, p.Time)
	f.height = f.atRisk(x, below+26, ticks, p.Arms) + margin
	return f
}

func colorOf(i int) color.NRGBA { return palette[i%len(palette)] }

// corners returns the stairs of a curve from its beginning, and its limits' where there are
// any, until they end.
func corners(x, y axis, a Arm, of func(Step) float64) []point {
	points := []point{{x.at(0), y.at(1)}}
	for _, s := range a.Steps {
		v := of(s)
		before := points[len(points)-1]
		if math.IsNaN(v) {
			return append(points, point{x.at(s.Time), before.y})
		}
		points = append(points, point{x.at(s.Time), before.y}, point{x.at(s.Time), y.at(v)})
	}
	return points
}

// dayTicks returns up to about most times from 0, in days, as many apart as a week, a month
// or a year has, or as is round.
func (a axis) dayTicks(most int) []float64 {
	for _, step := range []float64{1, 2, 7, 14, 30, 60, 90, 180, 365, 730, 1825} {
		if least := a.high / float64(most); least > 0.5 && least <= step {
			var list []float64
			for t := 0.0; t <= a.high*(1+1e-9); t += step {
				list = append(list, t)
			}
			return list
		}
	}
	return a.ticks(most)
}

func (f *Figure) band(x, y axis, a Arm, c color.NRGBA) {
	low := corners(x, y, a, func(s Step) float64 { return s.Low })
	high := corners(x, y, a, func(s Step) float64 { return s.High })
	if len(low) == 1 || len(low) != len(high) {
		return
	}
	c.A = 38
	for i := len(low) - 1; i >= 0; i-- {
		high = append(high, low[i])
	}
	f.area(c, high...)
}

func (f *Figure) steps(x, y axis, a Arm, i int) {
	c := colorOf(i)
	points := corners(x, y, a, func(s Step) float64 { return s.Share })
	last := points[len(points)-1]
	end := point{x.to, last.y}
	switch {
	case len(a.Steps) == 0 && a.N == 0: // of nobody
	case a.More:
		f.dashed(c, 1, []float64{1, 3}, last, end)
	default:
		points = append(points, end)
	}
	f.dashed(c, 1.8, dashes[i%len(dashes)], points...)
	for _, s := range a.Steps {
		if s.Censored {
			px, py := x.at(s.Time), y.at(s.Share)
			f.line(c, 1, point{px, py - 4}, point{px, py + 4})
		}
	}
}

// legend names the curves where they leave the most room: at the top right, since they fall.
func (f *Figure) legend(x, y axis, p Curves) {
	wide, rows := widthOf(p.Note, false), 0
	for _, a := range p.Arms {
		if a.Name != "" {
			wide, rows = max(wide, 34+widthOf(a.Name, false)), rows+1
		}
	}
	if p.Note != "" {
		rows++
	}
	if rows == 0 {
		return
	}
	left, at := x.to-wide-8, y.to+12
	f.area(color.NRGBA{255, 255, 255, 215}, point{left - 6, y.to - 4}, point{x.to, y.to - 4}, point{x.to, at + 19*float64(rows) - 12}, point{left - 6, at + 19*float64(rows) - 12})
	for i, a := range p.Arms {
		if a.Name == "" {
			continue
		}
		f.dashed(colorOf(i), 1.8, dashes[i%len(dashes)], point{left, at - 4}, point{left + 26, at - 4})
		f.text(left+34, at, start, a.Name)
		at += 19
	}
	if p.Note != "" {
		f.text(left, at, start, p.Note)
	}
}

// atRisk writes how many persons are at risk at each tick, and returns its last base line.
func (f *Figure) atRisk(x axis, top float64, ticks []float64, arms []Arm) float64 {
	f.heading(margin, top, start, "Number at risk")
	for i, a := range arms {
		top += 19
		name := a.Name
		if name == "" {
			name = "All"
		}
		f.write(margin, top, start, name, false, colorOf(i))
		for _, t := range ticks {
			text := "–"
			if n, known := a.at(t); known {
				text = strconv.FormatInt(n, 10)
			}
			f.text(x.at(t), top, middle, text)
		}
	}
	return top
}

// at returns how many are at risk just before a time. It is not known after the last step,
// unless nobody is left.
func (a Arm) at(t float64) (n int64, known bool) {
	if t == 0 && a.N > 0 {
		return a.N, true
	}
	var left int64
	for _, s := range a.Steps {
		if s.Time >= t {
			return s.AtRisk, true
		}
		left = s.AtRisk - s.Leave
	}
	return left, left == 0
}
