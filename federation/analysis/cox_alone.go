package analysis

import (
	"errors"
	"maps"
	"slices"
)

// alone is the partial likelihood of one site's rows, over its own event times, with
// covariates centred and scaled as those of all sites.
type alone struct {
	c cox
	s coxState // without Times if nobody has the event
	f *Frame
}

// alone returns the likelihood of a site's rows on the scale of a state.
func (c cox) alone(s coxState, f *Frame) (alone, error) {
	c.MinAtRisk, c.spare = 0, 0
	a := alone{c: c, s: coxState{Center: s.Center, Scale: s.Scale, Offset: s.Offset}, f: f}
	rows, err := c.rows(f)
	if err != nil {
		return a, err
	}
	counts := make(map[int]int64)
	for i := range f.Len() {
		t, _, _, ok := rows(i)
		if !ok {
			continue
		}
		a.s.N++
		if t.event {
			counts[t.group*c.grid.points()+t.stop]++
		}
	}
	if len(counts) == 0 {
		return a, nil
	}
	t := tally{Places: slices.Sorted(maps.Keys(counts))}
	for _, place := range t.Places {
		t.Counts = append(t.Counts, counts[place])
	}
	a.s.Times, err = c.times(t)
	return a, err
}

// at returns the derivatives at coefficients; false if a risk set has no weight there.
func (a alone) at(coefficients []float64) (coxSum, bool, error) {
	s := a.c.begin(a.s, coefficients)
	for s.Left > 0 {
		sums := Sums{numbers: make([]number, a.c.Numbers(s))}
		if err := a.c.Site(s, a.f, &sums); err != nil {
			return coxSum{}, false, err
		}
		if sums.broken {
			return coxSum{}, false, nil
		}
		numbers := make([]float64, sums.Len())
		for i, n := range sums.numbers {
			numbers[i] = n.float()
		}
		var err error
		s, err = a.c.take(s, numbers)
		if no := NoResult(""); errors.As(err, &no) {
			return coxSum{}, false, nil
		}
		if err != nil {
			return coxSum{}, false, err
		}
	}
	return s.Sum, true, nil
}

// over returns the score and the information at coefficients, over the rows, nil if there
// are none.
func (a alone) over(coefficients []float64) ([]float64, error) {
	sum, ok, err := a.at(coefficients)
	if err != nil || !ok {
		return nil, err
	}
	out := slices.Concat(sum.Gradient, sum.Information)
	for i := range out {
		out[i] /= float64(a.s.N)
	}
	return out, nil
}
