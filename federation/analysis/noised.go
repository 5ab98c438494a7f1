package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// GridPlaces are the binary places of the grid that noise, and what it is added to, lie on:
// a sum that is finer than its noise would show in the digits below.
const GridPlaces = 20

const gridUnit = 1 << GridPlaces

// Noised is a method of one sum in the form to which noise can be added. What a person adds
// is clipped to the range that the question declares, lies on the grid, and moves a number
// by 1 at most, so that how private an answer is follows from [Noised.Moves] and the noise
// alone.
type Noised interface {
	Iteration

	// Moves returns how many numbers of a site's vector one person can move: the vector
	// costs as much as so many counts.
	Moves() int

	// Blur adds a draw, in units of 2^-GridPlaces, to each number of a site's vector.
	Blur(words []uint64, draw func() (int64, error)) error

	// Counted returns how many persons a vector or a sum of vectors counts, with its noise.
	Counted(words []uint64) (int64, error)

	// Under returns the method with the standard deviation of the noise in the sum, which
	// its result takes into account.
	Under(sd float64) Iteration
}

// Public returns the method of a question that is answered in rounds under the limits that
// hub and trial have made public: in a form that takes noise if they ask for it and there
// is one. A site that asks for noise where they do not would send other sums than the rest.
func Public(a query.Analysis, limits disclosure.Policy) (Iteration, error) {
	if limits.Noise != "" && slices.Contains(NoisedKinds(), a.Kind) {
		return WithNoise(a, limits.MinCell)
	}
	return InRounds(a, limits.MinCell)
}

// NoisedKinds are the methods over columns that have a form for noise. Of the others the sums
// of a step depend on those before, without a bound, or are over sets that are larger for
// some persons than for others.
func NoisedKinds() []query.AnalysisKind {
	return []query.AnalysisKind{query.CrossTab, query.Histogram, query.Describe, query.Characterize, query.Incidence, query.Prevalence}
}

// WithNoise returns the form for noise of a method; see [NoisedKinds] and, for least,
// [InRounds].
func WithNoise(a query.Analysis, least int) (Noised, error) {
	plain, err := inRounds(a, least)
	if err != nil {
		return nil, err
	}
	m := noised{Iteration: plain}
	switch method := plain.(interface{ method() any }).method().(type) {
	case crossTab:
		m.noisedSums = method.noised()
	case histogram:
		m.noisedSums = method.noised()
	case rates:
		m.noisedSums = method.noised()
	case describe:
		m.noisedSums = method.noised(int64(least))
	case characterize:
		m.noisedSums = method.noised()
	default:
		return nil, fmt.Errorf("analysis: no noise for %q", a.Kind)
	}
	if n := m.numbers(); n > MaxNumbers {
		return nil, fmt.Errorf("analysis: %d sums with noise, at most %d", n, MaxNumbers)
	}
	return m, nil
}

// split is a way in which every row of a frame falls into one part. Of each part the rows
// are counted, and numbers between -1 and 1 added up.
type split struct {
	parts, numbers int

	// of returns what part of the split a row of a frame is in, and its numbers.
	of func(f *Frame) func(row int) (part int, numbers []float64)
}

func (s split) width() int { return 1 + s.numbers }

// noisedSums are the sums of a method with noise.
type noisedSums struct {
	splits []split

	// result makes the method's result of the parts of each split. noise is the standard
	// deviation of each number.
	result func(splits [][]blurred, noise float64) (any, error)
}

// blurred is what is known of a part: a count and sums, each with noise.
type blurred struct {
	n    float64
	sums []float64
}

func (m noisedSums) numbers() int {
	n := 0
	for _, s := range m.splits {
		n += s.parts * s.width()
	}
	return n
}

// noised is a method with noise. What it reads of a person, and by what the gate judges
// it, is as without.
type noised struct {
	Iteration
	noisedSums
	sd float64
}

func (m noised) Moves() int {
	n := 0
	for _, s := range m.splits {
		n += s.width()
	}
	return n
}

func (m noised) Under(sd float64) Iteration {
	m.sd = sd
	return m
}

func (m noised) Start() (State, error) { return State("{}"), nil }

func (m noised) Words(State) (int, error) { return rowWords + numberWords*m.numbers(), nil }

// Site returns a site's vector, without noise. It holds no number of rows: all that it
// says is said with noise.
func (m noised) Site(_ State, f *Frame) ([]uint64, error) {
	sums := &Sums{numbers: make([]number, m.numbers())}
	at := 0
	for _, s := range m.splits {
		of := s.of(f)
		for row := range f.Len() {
			part, values := of(row)
			if part < 0 || part >= s.parts || len(values) != s.numbers {
				return nil, errors.New("analysis: a row is in no part of a split")
			}
			sums.Add(at+part*s.width(), 1)
			for i, v := range values {
				sums.Add(at+part*s.width()+1+i, onGrid(v))
			}
		}
		at += s.parts * s.width()
	}
	if sums.broken {
		return nil, ErrNumber
	}
	return encodeSums(0, 0, sums.numbers), nil
}

// onGrid clips a number to -1 to 1 and rounds it to the grid.
func onGrid(v float64) float64 {
	return math.RoundToEven(max(-1, min(1, v))*gridUnit) / gridUnit
}

// Blur is described at [Noised].
func (m noised) Blur(words []uint64, draw func() (int64, error)) error {
	if len(words) != rowWords+numberWords*m.numbers() {
		return fmt.Errorf("blur: %d words, want %d", len(words), rowWords+numberWords*m.numbers())
	}
	for i := rowWords; i < len(words); i += numberWords {
		k, err := draw()
		if err != nil {
			return err
		}
		n := numberOf(words[i : i+numberWords]).plus(toNumber(float64(k >> GridPlaces))).plus(toNumber(float64(k&(gridUnit-1)) / gridUnit))
		if !n.fits() {
			return ErrNumber
		}
		limbs := n.limbs()
		copy(words[i:], limbs[:])
	}
	return nil
}

// Counted is described at [Noised].
func (m noised) Counted(words []uint64) (int64, error) {
	splits, err := m.parts(words, MaxSites)
	if err != nil {
		return 0, err
	}
	return sumOf(splits[0]).count(0), nil
}

// Next makes the result of the only sum.
func (m noised) Next(_ State, sum []uint64, sites int) (Step, error) {
	splits, err := m.parts(sum, sites)
	if err != nil {
		return Step{}, err
	}
	result, err := m.result(splits, m.sd)
	if err != nil {
		return Step{}, err
	}
	return final(result)
}

// parts returns the parts of each split.
func (m noised) parts(sum []uint64, sites int) ([][]blurred, error) {
	pooled, err := pool(sum, m.numbers(), sites)
	if err != nil {
		return nil, err
	}
	splits := make([][]blurred, len(m.splits))
	at := pooled.Numbers
	for i, s := range m.splits {
		for range s.parts {
			splits[i] = append(splits[i], blurred{at[0], at[1:s.width()]})
			at = at[s.width():]
		}
	}
	return splits, nil
}

// count is the number of persons of a part: whole and not negative, and nobody where noise
// leaves fewer than least. The gate of every site sees to it that a part which a table shows
// holds nobody there or as many as that.
func (p blurred) count(least int64) int64 {
	n := int64(math.Round(p.n))
	if n < max(least, 0) {
		return 0
	}
	return n
}

// plus adds up two parts.
func (p blurred) plus(q blurred) blurred {
	out := blurred{n: p.n + q.n, sums: slices.Clone(p.sums)}
	for i, v := range q.sums {
		out.sums[i] += v
	}
	return out
}

// scaled returns a column's value relative to the middle of its range: -1 to 1.
func scaled(c Column, v float64) float64 {
	middle, half := middleOf(c)
	return (v - middle) / half
}
