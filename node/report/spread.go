package report

import (
	"cmp"
	"math"
	"slices"
)

// weighted is a number and how often it occurs, 1 or more.
type weighted struct {
	number float64
	rows   int64
}

// sample are numbers in ascending order, each once.
type sample []weighted

// total returns how many values the sample has.
func (s sample) total() (n int64) {
	for _, w := range s {
		n += w.rows
	}
	return n
}

// at returns the value of rank i, 1 for the smallest.
func (s sample) at(i int64) float64 {
	for _, w := range s {
		if i -= w.rows; i <= 0 {
			return w.number
		}
	}
	return math.NaN()
}

// rank returns the value of a rank that may lie between two: their mean.
func (s sample) rank(r float64) float64 {
	low := s.at(int64(math.Floor(r)))
	if r == math.Floor(r) {
		return low
	}
	return (low + s.at(int64(math.Ceil(r)))) / 2
}

// median returns the median of a sample with values.
func (s sample) median() float64 { return s.rank((float64(s.total()) + 1) / 2) }

// hinges returns the lower and the upper hinge, the medians of both halves, each with
// the median itself. Source: Tukey, "Exploratory Data Analysis" (1977), as fivenum of
// R computes them.
func (s sample) hinges() (lower, upper float64) {
	n := float64(s.total())
	depth := math.Floor((n+3)/2) / 2
	return s.rank(depth), s.rank(n + 1 - depth)
}

// consistent makes the MAD of a normal distribution its standard deviation: 1 over its
// third quartile. It is the constant of R's mad.
const consistent = 1.4826

// mad returns the median absolute deviation from center, times [consistent].
func (s sample) mad(center float64) float64 {
	far := make(sample, 0, len(s))
	for _, w := range s {
		far = append(far, weighted{math.Abs(w.number - center), w.rows})
	}
	slices.SortFunc(far, func(a, b weighted) int { return cmp.Compare(a.number, b.number) })
	return consistent * far.median()
}

// outside counts the values below low and above high.
func (s sample) outside(low, high float64) (below, above int64) {
	for _, w := range s {
		switch {
		case w.number < low:
			below += w.rows
		case w.number > high:
			above += w.rows
		}
	}
	return below, above
}

// bounded returns a range with how much of the sample is outside.
func (s sample) bounded(low, high float64) *Range {
	below, above := s.outside(low, high)
	return &Range{Low: finite(low), High: finite(high), Outside: below + above}
}

// finite is a bound, nil for an infinity, which is none.
func finite(bound float64) *float64 {
	if math.IsInf(bound, 0) {
		return nil
	}
	return &bound
}
