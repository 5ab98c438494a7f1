package figure

import (
	"math"
	"strconv"
)

// axis is where values stand along an axis.
type axis struct {
	low, high float64 // values at the ends
	from, to  float64 // where the ends are drawn
	log       bool
}

// at returns where a value is drawn.
func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks returns up to about most round values from low to high, both included.
func (a axis) ticks(most int) []float64 {
	if a.log {
		return a.logTicks(most)
	}
	step := roundStep((a.high - a.low) / float64(most))
	var list []float64
	for i := math.Ceil(a.low/step - 1e-9); i*step <= a.high+1e-9*step; i++ {
		list = append(list, i*step+0) // not -0
	}
	return list
}

// roundUp ends an axis from 0 at a tick, and returns the ticks.
func (a *axis) roundUp(most int) []float64 {
	step := roundStep(a.high / float64(most))
	a.high = step * math.Ceil(a.high/step-1e-9)
	return a.ticks(most + 1)
}

// roundStep returns the least of 1, 2 and 5 times a power of ten that is not below step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks takes 1, 2, 5, or 1, 3, or 1 of each decade, or of every few of them, as many fit.
// An axis of less than a decade that has hardly one of these gets round values.
func (a axis) logTicks(most int) []float64 {
	list := a.decadeTicks(most)
	if few := 3; len(list) < few && a.high < 10*a.low {
		return axis{low: a.low, high: a.high}.ticks(max(most-1, few))
	}
	return list
}

func (a axis) decadeTicks(most int) []float64 {
	first, last := math.Floor(math.Log10(a.low)), math.Ceil(math.Log10(a.high))
	for _, digits := range [][]float64{{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8}, {1, 1.5, 2, 3, 5}, {1, 2, 5}, {1, 3}, {1}} {
		if list := a.decades(first, last, 1, digits); len(list) <= most {
			return list
		}
	}
	return a.decades(first, last, math.Ceil((last-first)/float64(most)), []float64{1})
}

func (a axis) decades(first, last, step float64, digits []float64) []float64 {
	var list []float64
	for e := math.Floor(first/step) * step; e <= last; e += step { // 1 is among them
		for _, d := range digits {
			if v := d * math.Pow(10, e); v >= a.low*(1-1e-9) && v <= a.high*(1+1e-9) {
				list = append(list, v)
			}
		}
	}
	return list
}

// names writes ticks, with a power of ten where that is shorter.
func names(ticks []float64) []string {
	texts := make([]string, len(ticks))
	for i, v := range ticks {
		texts[i] = name(v)
	}
	return texts
}

func name(v float64) string {
	if size := math.Abs(v); v != 0 && (size >= 1e7 || size < 1e-4) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(math.Round(v*1e9)/1e9, 'f', -1, 64)
}

// across draws a horizontal axis below a plot, with its title, and returns where the title
// stands.
func (f *Figure) across(a axis, y float64, ticks []float64, title string) float64 {
	f.line(black, 1, point{a.from, y}, point{a.to, y})
	for i, text := range names(ticks) {
		x := a.at(ticks[i])
		f.line(black, 1, point{x, y}, point{x, y + 5})
		f.text(x, y+18, middle, text)
	}
	if title == "" {
		return y + 18
	}
	f.text((a.from+a.to)/2, y+38, middle, title)
	return y + 38
}

// upright draws a vertical axis left of a plot, with its title.
func (f *Figure) upright(a axis, x float64, ticks []float64, title string) {
	f.line(black, 1, point{x, a.from}, point{x, a.to})
	texts := names(ticks)
	for i, text := range texts {
		y := a.at(ticks[i])
		f.line(black, 1, point{x - 5, y}, point{x, y})
		f.text(x-9, y+4, end, text)
	}
	at := point{x - 9 - widest(false, texts...) - 12, (a.from + a.to) / 2}
	f.marks = append(f.marks, label{at: at, text: printable(title), size: textSize, anchor: middle, color: black, turned: true})
}
