package report

import (
	"fmt"
	"math"
	"strconv"
)

// Sizes of plots, in units of their view box.
const (
	barWidth, barHeight, barGap = 640.0, 26.0, 14.0
	plotWidth, plotHeight       = 640.0, 130.0
)

// segment is a part of a bar.
type segment struct {
	X, Y, Width float64
	Class       string
	Label       string // fits into the segment, or is empty
}

// bars are a bar for each category, of its checks by result.
type bars struct {
	Height   float64
	Segments []segment
	Names    []segment // where each bar's name stands
}

// barPlot draws the sums of a report. The widest category fills the plot.
func barPlot(sums []Sum) bars {
	most := 1
	for _, s := range sums {
		most = max(most, s.Passed+s.Failed+s.Empty)
	}
	const left = 120.0
	var b bars
	for i, s := range sums {
		y := float64(i) * (barHeight + barGap)
		b.Names = append(b.Names, segment{Y: y + barHeight/2 + 5, Label: string(s.Category)})
		x := left
		for _, part := range []struct {
			n           int
			class, name string
		}{{s.Failed, "failed", "failed"}, {s.Passed, "passed", "passed"}, {s.Empty, "empty", "no rows"}} {
			if part.n == 0 {
				continue
			}
			width := (barWidth - left) * float64(part.n) / float64(most)
			label := fmt.Sprintf("%d %s", part.n, part.name)
			if !fits(label, width) {
				label = strconv.Itoa(part.n)
			}
			if !fits(label, width) {
				label = ""
			}
			b.Segments = append(b.Segments, segment{X: x, Y: y, Width: width, Class: part.class, Label: label})
			x += width
		}
		b.Height = y + barHeight
	}
	return b
}

// fits reports whether a label can stand in a segment, with 8 units for a letter.
func fits(label string, width float64) bool { return float64(len(label))*8+12 <= width }

// column is a bin of a histogram.
type column struct{ X, Y, Width, Height float64 }

// line is a vertical line at a value.
type line struct {
	X     float64
	Class string
}

// tick is a number under the axis.
type tick struct {
	X    float64
	Text string
}

// histogram is a distribution as it is drawn.
type histogram struct {
	Columns []column
	Lines   []line
	Ticks   []tick
	Box     column // from quartile to quartile
	Median  float64
	Usual   column // where values are plausible, of no width if that is not known
}

// plot draws d, which has bins.
func (d Distribution) plot() histogram {
	from, to := d.Bins[0].From, d.Bins[len(d.Bins)-1].To
	most := int64(1)
	for _, b := range d.Bins {
		most = max(most, b.Rows)
	}
	x := func(v float64) float64 { return plotWidth * (v - from) / (to - from) }
	inside := func(v float64) bool { return v >= from && v <= to }
	var h histogram
	for _, b := range d.Bins {
		height := (plotHeight - 16) * float64(b.Rows) / float64(most)
		if b.Rows > 0 {
			height = math.Max(height, 1.5) // a single row is seen
		}
		h.Columns = append(h.Columns, column{x(b.From) + 0.5, plotHeight - height, math.Max(x(b.To)-x(b.From)-1, 0.5), height})
	}
	h.Box = column{X: x(d.Spread.Lower), Y: 2, Width: x(d.Spread.Upper) - x(d.Spread.Lower), Height: 8}
	h.Median = x(d.Spread.Median)
	if d.Plausible != nil {
		low, high := from, to
		if d.Plausible.Low != nil {
			low = math.Max(low, *d.Plausible.Low)
		}
		if d.Plausible.High != nil {
			high = math.Min(high, *d.Plausible.High)
		}
		if low < high {
			h.Usual = column{X: x(low), Width: x(high) - x(low), Height: plotHeight}
		}
	}
	for _, f := range d.Fences {
		for _, v := range []float64{f.Low, f.High} {
			if inside(v) {
				h.Lines = append(h.Lines, line{x(v), f.Method})
			}
		}
	}
	step := roundStep((to - from) / 6)
	for v := math.Ceil(from/step) * step; v <= to+step/1000; v += step {
		h.Ticks = append(h.Ticks, tick{x(v), short(tidy(v, step))})
	}
	return h
}

// short writes a number for people, with up to 4 significant digits.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a >= 1e6 || a < 1e-3 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := max(0, 3-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		if text[len(text)-1] == '.' {
			text = text[:len(text)-1]
		}
	}
	return text
}

// grouped writes a count with commas.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
