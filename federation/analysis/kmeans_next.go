package analysis

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Next scales the columns, or decides whether to take sums, or moves the centres, or ends.
func (m kmeans) Next(s kmeansState, pooled Pooled) (kmeansState, any, error) {
	switch {
	case s.Center == nil:
		next, err := m.scale(pooled)
		return next, nil, err
	case s.Sums:
		next, err := m.move(s, pooled)
		if err != nil || len(next.Centers) <= m.Steps {
			return next, nil, err
		}
		return next, m.result(next, pooled, false, false), nil
	}
	counts, err := countsOf(pooled.Numbers, pooled.Rows*int64(max(1, len(s.Centers)-1)))
	if err != nil {
		return s, nil, err
	}
	moved, held, err := m.changes(s, counts)
	if err != nil {
		return s, nil, err
	}
	if !moved || held {
		return s, m.result(s, pooled, !moved, held), nil
	}
	s.Sums = true
	return s, nil, nil
}

func (m kmeans) scale(pooled Pooled) (kmeansState, error) {
	s := kmeansState{Centers: [][][]float64{m.Starts}}
	if pooled.Rows < int64(len(m.Starts)) || pooled.Rows == 0 {
		return s, NoResult("more cluster centers than data points")
	}
	n := float64(pooled.Rows)
	for j, c := range m.Values {
		center, scale := scaleOf(c, pooled.Numbers[3*j:])
		if m.Scale {
			if _, half := middleOf(c); scale <= leastSpread*half {
				return s, NoResult("cannot rescale a constant column to unit variance: " + c.Name)
			}
			scale *= math.Sqrt(n / (n - 1))
		}
		s.Center, s.Scale = append(s.Center, center), append(s.Scale, scale)
	}
	return s, nil
}

// changes reports whether the last centres put anybody into another cluster than those
// before, and whether too few persons differ for sums to be taken.
func (m kmeans) changes(s kmeansState, counts []int64) (moved, held bool, err error) {
	k, earlier := len(m.Starts), len(s.Centers)-1
	sizes := make([]int64, k)
	copy(sizes, counts)
	moved = earlier == 0
	if earlier > 0 {
		clear(sizes)
		for i, n := range counts {
			step, from, to := i/(k*k), i/k%k, i%k
			if step == earlier-1 {
				sizes[to] += n
				moved = moved || from != to && n > 0
			}
			held = held || from != to && 0 < n && n < m.MinCell
		}
	}
	for _, n := range sizes {
		switch {
		case n == 0:
			return false, false, NoResult("empty cluster: try a better set of initial centers")
		case n < m.MinCell && earlier == 0:
			return false, false, NoResult(fmt.Sprintf("a starting centre is the nearest of fewer than %d persons", m.MinCell))
		case n < m.MinCell:
			held = true
		}
	}
	return moved, held && moved, nil
}

// move makes the clusters' means the next centres.
func (m kmeans) move(s kmeansState, pooled Pooled) (kmeansState, error) {
	p := len(m.Values)
	last := s.Centers[len(s.Centers)-1]
	next := s
	next.Sums, next.Found = false, nil
	centers := make([][]float64, len(last))
	total := int64(0)
	for i, center := range last {
		numbers := pooled.Numbers[i*(2*p+1):]
		n := numbers[0]
		if !(n >= 1) || n != math.Trunc(n) || n > float64(pooled.Rows) {
			return s, ErrInconsistent
		}
		total += int64(n)
		c := query.Cluster{N: int64(n), Center: make([]float64, p)}
		for j := range p {
			mean, square, unit := numbers[1+j]/n, numbers[1+p+j], m.unit(s, j)
			c.Center[j] = center[j] + unit*mean
			c.WithinSS += unit * unit * math.Max(square-n*mean*mean, 0)
		}
		centers[i] = c.Center
		next.Found = append(next.Found, c)
	}
	if total != pooled.Rows {
		return s, ErrInconsistent
	}
	next.Centers = append(s.Centers[:len(s.Centers):len(s.Centers)], centers)
	return next, nil
}

func (m kmeans) result(s kmeansState, pooled Pooled, converged, held bool) *query.Clusters {
	r := &query.Clusters{
		N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Clusters: s.Found,
		Iterations: len(s.Centers), Converged: converged, Held: held,
	}
	for j, c := range m.Values {
		column := query.ScaledColumn{Name: c.Name, Center: s.Center[j]}
		if m.Scale {
			column.Scale = ptr(s.Scale[j])
		}
		r.Columns = append(r.Columns, column)
		mean := 0.0
		for _, c := range s.Found {
			mean += float64(c.N) / float64(r.N) * c.Center[j]
		}
		for _, c := range s.Found {
			r.BetweenSS += float64(c.N) * (c.Center[j] - mean) * (c.Center[j] - mean)
		}
	}
	for _, c := range s.Found {
		r.WithinSS += c.WithinSS
	}
	r.TotalSS = r.WithinSS + r.BetweenSS
	return r
}
