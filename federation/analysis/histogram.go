package analysis

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Histogram counts the values of a column between public breaks. Its result is a
// *[query.FrequencyTable].
type Histogram struct {
	Value  Column    // numeric
	Breaks []float64 // 2 to 1001, rising

	// MinCell is the least number of persons, besides 0, that a bin may show; bins with
	// fewer are joined to their neighbours. 0 and 1 ask for nothing.
	MinCell int64
}

// New checks the histogram and returns it as a method.
func (m Histogram) New() (Iteration, error) {
	if err := numeric(m.Value); err != nil {
		return nil, fmt.Errorf("histogram: %w", err)
	}
	if len(m.Breaks) < 2 || len(m.Breaks) > 1001 || !slices.IsSorted(m.Breaks) || len(slices.Compact(slices.Clone(m.Breaks))) < len(m.Breaks) {
		return nil, errors.New("histogram: 2 to 1001 breaks, each above the one before")
	}
	if first, last := m.Breaks[0], m.Breaks[len(m.Breaks)-1]; !(m.Value.Low <= first && last <= m.Value.High) {
		return nil, errors.New("histogram: the breaks must lie within the column's range")
	}
	if m.MinCell < 0 {
		return nil, errors.New("histogram: the least cell must not be below 0")
	}
	return Iterate(histogram{m}), nil
}

type histogram struct{ Histogram }

func (m histogram) Columns() []Column { return []Column{m.Value} }
func (m histogram) Parameters() int   { return 1 }
func (m histogram) Start() oneRound   { return oneRound{} }

// Numbers are one for the values below the breaks, one a bin, one for those above.
func (m histogram) Numbers(oneRound) int { return len(m.Breaks) + 1 }

func (m histogram) Site(_ oneRound, f *Frame, sums *Sums) error {
	for _, v := range f.Values(m.Value.Name) {
		sums.Add(m.Bin(v), 1)
	}
	return nil
}

// Bin is the number that counts a value: 0 below the breaks, as many as there are above them.
func (m Histogram) Bin(v float64) int {
	if v == m.Breaks[0] {
		return 1
	}
	return sort.SearchFloat64s(m.Breaks, v) // the bin's upper end is in it
}

func (m histogram) Next(_ oneRound, pooled Pooled) (oneRound, any, error) {
	counts, err := countsOf(pooled.Numbers, pooled.Rows)
	if err != nil {
		return oneRound{}, nil, err
	}
	r := &query.FrequencyTable{Name: m.Value.Name, LeftOut: query.Omitting(pooled.Omitted), Outside: counts[0] + counts[len(m.Breaks)]}
	r.N = pooled.Rows - r.Outside
	small := func(n int64) bool { return 0 < n && n < m.MinCell }
	if small(r.Outside) || small(r.N) {
		return oneRound{}, nil, NoResult(fmt.Sprintf("fewer than %d persons lie within the breaks, or outside them", m.MinCell))
	}
	edge := false // whether the last bin ends with few: empty ones go with it, as their border would say where somebody is
	for i, n := range counts[1:len(m.Breaks)] {
		b := query.HistogramBin{Low: m.Breaks[i], High: m.Breaks[i+1], Count: n}
		ends := small(n) || edge && n == 0
		for last := len(r.Bins) - 1; last >= 0; last-- {
			before := r.Bins[last]
			if !small(before.Count) && !(edge && n == 0) && !(small(b.Count) && before.Count == 0) {
				break
			}
			b.Low, b.Count = before.Low, b.Count+before.Count
			r.Bins, edge = r.Bins[:last], false
		}
		r.Bins, edge = append(r.Bins, b), ends
	}
	for len(r.Bins) > 1 && small(r.Bins[len(r.Bins)-1].Count) {
		b, before := r.Bins[len(r.Bins)-1], &r.Bins[len(r.Bins)-2]
		before.High, before.Count = b.High, before.Count+b.Count
		r.Bins = r.Bins[:len(r.Bins)-1]
	}
	for i, b := range r.Bins {
		if b.Count > 0 {
			r.Bins[i].Density = float64(b.Count) / float64(r.N) / (b.High - b.Low)
		}
	}
	return oneRound{}, r, nil
}
