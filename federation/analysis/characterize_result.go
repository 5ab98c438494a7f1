package analysis

import (
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// result writes the table.
func (m characterize) result(s characterizeState, pooled Pooled) *query.Characterization {
	counts := s.Counts
	return m.table(s.N, pooled.Rows-s.N[0], func(variable, group int) query.VariateGroup {
		c := m.Variables[variable]
		if c.Kind == Numeric {
			return m.ofNumber(s, slices.IndexFunc(m.values, c.same), group)
		}
		levels := counts[:len(c.levels())]
		counts = counts[len(levels):]
		return ofFactor(levels, s.N[group])
	})
}

// table writes the table of persons by group, and of variables in groups, which are asked
// for in order.
func (m characterize) table(n []int64, omitted int64, of func(variable, group int) query.VariateGroup) *query.Characterization {
	r := &query.Characterization{N: n[0], LeftOut: query.Omitting(omitted)}
	if m.Arm != nil {
		r.Arm = m.Arm.Name
		for g, level := range m.Arm.levels() {
			r.Arms = append(r.Arms, query.ArmSize{Level: level, N: n[1+g]})
		}
	}
	for i, c := range m.Variables {
		v := query.Variate{Name: c.Name, Levels: c.levels()}
		var groups []query.VariateGroup
		for g := range n {
			groups = append(groups, of(i, g))
		}
		for _, g := range groups {
			v.Withheld = v.Withheld || m.hidden(g)
		}
		if !v.Withheld {
			v.All, v.Arms = &groups[0], groups[1:]
			if len(v.Arms) == 2 {
				v.Difference = difference(v.Arms[0], v.Arms[1])
			}
		}
		r.Variables = append(r.Variables, v)
	}
	return r
}

func (m characterize) hidden(g query.VariateGroup) bool {
	hidden := m.small(g.N) || m.small(g.Missing)
	for _, n := range g.Counts {
		hidden = hidden || m.small(n)
	}
	return hidden
}

func (m characterize) ofNumber(s characterizeState, number, group int) query.VariateGroup {
	moment := s.Moments[number].All
	if group > 0 {
		moment = s.Moments[number].Groups[group-1].Moment
	}
	return query.VariateGroup{
		N: moment.N, Missing: s.N[group] - moment.N, Mean: moment.Mean, SD: moment.SD,
		Quartiles: m.search.quantiles(s.Search, number*m.search.groups()+group),
	}
}

func ofFactor(counts []int64, persons int64) query.VariateGroup {
	g := query.VariateGroup{Counts: counts, Shares: make([]*float64, len(counts))}
	for _, n := range counts {
		g.N += n
	}
	g.Missing = persons - g.N
	for i, n := range counts {
		if g.N > 0 {
			g.Shares[i] = ptr(float64(n) / float64(g.N))
		}
	}
	return g
}

// difference is the standardized mean difference, nil if there is nothing to
// standardize by.
func difference(a, b query.VariateGroup) *float64 {
	if a.N == 0 || b.N == 0 {
		return nil
	}
	if a.Counts == nil {
		if a.SD == nil || b.SD == nil {
			return nil
		}
		return finite((*a.Mean - *b.Mean) / math.Sqrt((*a.SD**a.SD+*b.SD**b.SD)/2))
	}
	var first, second []float64 // shares of the levels that somebody has
	for i := range a.Counts {
		if a.Counts[i]+b.Counts[i] > 0 {
			first, second = append(first, *a.Shares[i]), append(second, *b.Shares[i])
		}
	}
	if len(first) < 2 {
		return nil
	}
	// One level follows from the others.
	first, second = first[1:], second[1:]
	apart, covariance := make([]float64, len(first)), make([]float64, packed(len(first), 0))
	for i := range first {
		apart[i] = first[i] - second[i]
		for j := range i {
			covariance[packed(i, j)] = -(first[i]*first[j] + second[i]*second[j]) / 2
		}
		covariance[packed(i, i)] = (first[i]*(1-first[i]) + second[i]*(1-second[i])) / 2
	}
	c := decompose(covariance, len(first))
	if c.rank < len(first) {
		return nil
	}
	d := math.Sqrt(c.quadratic(apart))
	if len(first) == 1 {
		d = math.Copysign(d, apart[0])
	}
	return &d
}
