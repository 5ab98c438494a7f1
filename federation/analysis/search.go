package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Parts that a bin is cut into in one round. The fewest are 4 bits of a number's 64, so
// that no search takes more than 2 + 16 rounds.
const (
	mostParts   = 256
	fewestParts = 16
)

// search finds quantiles of columns by counting. Each round counts the values in the parts
// of the bins that hold a wanted one, and keeps the parts that do: no value is ever told,
// only how many there are. Parts of fewer persons than may be shown are joined.
type search struct {
	values        []Column // numeric
	by            *Column  // factor or logical, nil for none
	probabilities []float64
	least         int64 // persons that a bin must hold to be cut
}

func (s search) validate() error {
	for _, p := range s.probabilities {
		if !(0 <= p && p <= 1) {
			return errors.New("a probability must be from 0 to 1")
		}
	}
	if s.least < 0 {
		return errors.New("the least cell must not be below 0")
	}
	if most := MaxNumbers / 2 / fewestParts; 2*len(s.probabilities)*len(s.values)*s.groups() > most {
		return fmt.Errorf("more than %d quantiles over all columns and groups", most/2)
	}
	return nil
}

// groups is how many there are of each column: everybody, then each level.
func (s search) groups() int {
	if s.by == nil {
		return 1
	}
	return 1 + len(s.by.levels())
}

// searchState is how far a search has come.
type searchState struct {
	N    []int64 `json:"n,omitempty"` // values by column and group, the group fastest
	Bins []bin   `json:"bins,omitempty"`
}

// bin is a range of values that holds one that is wanted.
type bin struct {
	Series int     `json:"series"` // place in N
	Low    float64 `json:"low"`    // both ends are in it
	High   float64 `json:"high"`
	Below  int64   `json:"below"` // values of the series that are lower
	Count  int64   `json:"count"` // values in it

	// Closed bins are not cut: any part of them would hold too few.
	Closed bool `json:"closed,omitempty"`
}

// open reports whether a bin is to be cut.
func (s search) open(b bin) bool { return !b.Closed && b.Low < b.High && b.Count >= max(s.least, 1) }

func (s search) numbers(state searchState) int {
	if state.N == nil {
		return len(s.values) * s.groups()
	}
	n := 0
	for _, cuts := range s.cuts(state) {
		n += len(cuts)
	}
	return n
}

// column returns what a series is of.
func (s search) column(series int) Column { return s.values[series/s.groups()] }

// cuts returns, for each bin, the least value of each of its parts; none if it is closed.
func (s search) cuts(state searchState) [][]float64 {
	open := 0
	for _, b := range state.Bins {
		if s.open(b) {
			open++
		}
	}
	out := make([][]float64, len(state.Bins))
	for i, b := range state.Bins {
		if !s.open(b) {
			continue
		}
		parts := min(mostParts, MaxNumbers/2/open) // the rest is for who searches besides other things
		if s.least > 1 {
			parts = fewestParts // whatever else is asked, so that two questions cut alike
		}
		out[i] = cut(b, parts, b.Low == s.column(b.Series).Low && b.High == s.column(b.Series).High)
	}
	return out
}

// cut divides a bin: evenly by value if it is whole, otherwise evenly by the floating
// point numbers in it, which ends at a single one however small it is.
func cut(b bin, parts int, whole bool) []float64 {
	first := ordinal(b.Low)
	count := ordinal(b.High) - first + 1
	var cuts []float64
	if whole && count > 1<<32 {
		width := b.High/float64(parts) - b.Low/float64(parts)
		for i := range parts {
			cuts = append(cuts, b.Low+float64(width*float64(i))) // converted, so that no processor fuses the two
		}
		if slices.IsSorted(cuts) && cuts[1] > b.Low && cuts[parts-1] <= b.High {
			return slices.Compact(cuts)
		}
		cuts = nil
	}
	width := count/uint64(parts) + 1
	for at := uint64(0); at < count; at += width {
		cuts = append(cuts, fromOrdinal(first+at))
	}
	return cuts
}

// ordinal numbers the floating point numbers in their order; 0 and -0 are one.
func ordinal(v float64) uint64 {
	b := math.Float64bits(v)
	if b>>63 == 1 {
		return ^b + 1
	}
	return b | 1<<63
}

func fromOrdinal(n uint64) float64 {
	if n>>63 == 1 {
		return math.Float64frombits(n &^ (1 << 63))
	}
	return math.Float64frombits(^(n - 1))
}

// add counts the values of a frame, from number at on.
func (s search) add(state searchState, f *Frame, sums *Sums, at int) {
	cuts := s.cuts(state)
	places, bins := make([]int, len(cuts)), make(map[int][]int) // the first number of a bin; the bins of a series
	for i, c := range cuts {
		places[i] = at
		at += len(c)
		if len(c) > 0 {
			bins[state.Bins[i].Series] = append(bins[state.Bins[i].Series], i)
		}
	}
	count := func(series int, v float64) {
		if state.N == nil {
			sums.Add(at+series, 1)
			return
		}
		for _, i := range bins[series] {
			if state.Bins[i].Low <= v && v <= state.Bins[i].High {
				after := sort.Search(len(cuts[i]), func(k int) bool { return cuts[i][k] > v })
				sums.Add(places[i]+after-1, 1)
			}
		}
	}
	var by []float64
	if s.by != nil {
		by = f.Values(s.by.Name)
	}
	for j, c := range s.values {
		for i, v := range f.Values(c.Name) {
			if math.IsNaN(v) {
				continue
			}
			count(j*s.groups(), v)
			if by != nil && !math.IsNaN(by[i]) {
				count(j*s.groups()+1+int(by[i]), v)
			}
		}
	}
}

// next takes a step, and reports whether it was the last.
func (s search) next(state searchState, numbers []float64) (searchState, bool, error) {
	for _, v := range numbers {
		if v < 0 || v != math.Trunc(v) || v > MaxPersons {
			return state, false, ErrInconsistent
		}
	}
	next := searchState{N: state.N}
	if state.N == nil {
		for series, v := range numbers {
			c := s.column(series)
			next.N = append(next.N, int64(v))
			if v > 0 && len(s.probabilities) > 0 {
				next.Bins = append(next.Bins, bin{Series: series, Low: c.Low, High: c.High, Count: int64(v)})
			}
		}
		return next, !slices.ContainsFunc(next.Bins, s.open), nil
	}
	for i, cuts := range s.cuts(state) {
		b := state.Bins[i]
		if len(cuts) == 0 {
			next.Bins = append(next.Bins, b)
			continue
		}
		below, parts := b.Below, make([]bin, len(cuts))
		for k, low := range cuts {
			parts[k] = bin{Series: b.Series, Low: low, High: b.High, Below: below, Count: int64(numbers[k])}
			if k+1 < len(cuts) {
				parts[k].High = fromOrdinal(ordinal(cuts[k+1]) - 1)
			}
			below += parts[k].Count
		}
		if below != b.Below+b.Count {
			return state, false, ErrInconsistent
		}
		for _, part := range s.joined(parts) {
			if s.wanted(part, state.N[b.Series]) {
				next.Bins = append(next.Bins, part)
			}
		}
		numbers = numbers[len(cuts):]
	}
	return next, !slices.ContainsFunc(next.Bins, s.open), nil
}

// joined returns parts without those of a few. Parts that stand together and hold fewer each,
// with the empty ones between and around them, become closed bins of as many as may be shown or
// more. If all of them hold fewer, the bin reaches into the part before, or else after, as far
// as it takes: that many values are told to lie in both. It comes before that part, which says
// more of its values.
func (s search) joined(parts []bin) []bin {
	var closed, enough []bin
	for first := 0; first < len(parts); first++ {
		if parts[first].Count >= max(s.least, 1) {
			enough = append(enough, parts[first])
			continue
		}
		end, few := first, int64(0)
		for ; end < len(parts) && parts[end].Count < s.least; end++ {
			few += parts[end].Count
		}
		b := bin{Series: parts[first].Series, Low: parts[first].Low, Below: parts[first].Below, Closed: true}
		switch {
		case few == 0:
		case few < s.least && first > 0:
			closed = append(closed, bin{Series: b.Series, Low: parts[first-1].Low, High: parts[end-1].High, Below: b.Below + few - s.least, Count: s.least, Closed: true})
		case few < s.least:
			b.High, b.Count = parts[end].High, s.least
			closed = append(closed, b)
		default:
			for k, part := range parts[first:end] {
				b.High, b.Count, few = part.High, b.Count+part.Count, few-part.Count
				if b.Count >= s.least && few >= s.least {
					closed = append(closed, b)
					b.Low, b.Below, b.Count = parts[first+k+1].Low, b.Below+b.Count, 0
				}
			}
			closed = append(closed, b)
		}
		first = max(first, end-1)
	}
	return append(closed, enough...)
}

// position returns where a quantile of n sorted values lies: between two of them, counted
// from 0, and by what share after the first, as R's type 7 has it.
func position(p float64, n int64) (first, second int64, share float64) {
	index := 1 + float64(float64(n-1)*p) // as R adds, so that shares agree to the last bit
	return int64(math.Floor(index)) - 1, int64(math.Ceil(index)) - 1, index - math.Floor(index)
}

// wanted reports whether a bin holds a value that a quantile is made of.
func (s search) wanted(b bin, n int64) bool {
	return slices.ContainsFunc(s.probabilities, func(p float64) bool {
		first, second, _ := position(p, n)
		return b.holds(first) || b.holds(second)
	})
}

func (b bin) holds(rank int64) bool { return b.Below <= rank && rank < b.Below+b.Count }

// quantiles returns what was found of a column and group.
func (s search) quantiles(state searchState, series int) []query.Quantile {
	out := make([]query.Quantile, len(s.probabilities))
	at := func(rank int64) bin {
		return state.Bins[slices.IndexFunc(state.Bins, func(b bin) bool { return b.Series == series && b.holds(rank) })]
	}
	for i, p := range s.probabilities {
		out[i].P = p
		n := state.N[series]
		if n == 0 {
			continue
		}
		first, second, share := position(p, n)
		a, b := at(first), at(second)
		low, high := between(a.Low, b.Low, share), between(a.High, b.High, share)
		if a.Low == a.High && b.Low == b.High {
			out[i].Value = &low
		} else {
			out[i].Low, out[i].High = &low, &high
		}
	}
	return out
}

// between is R's interpolation.
func between(a, b, share float64) float64 {
	if share == 0 || a == b {
		return a
	}
	return float64((1-share)*a) + float64(share*b)
}
