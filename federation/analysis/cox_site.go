package analysis

import (
	"math"
	"sort"
)

func (c cox) Site(s coxState, f *Frame, sums *Sums) error {
	if err := c.check(s); err != nil {
		return err
	}
	rows, err := c.rows(f)
	if err != nil {
		return err
	}
	switch {
	case s.Times == nil:
		c.count(s, f.Len(), rows, sums)
		return nil
	case s.Coefficients == nil:
		c.outlast(s, f.Len(), rows, sums)
		return nil
	}
	c.step(s, f.Len(), rows, sums)
	return nil
}

// rows returns a function that reads row i: its time, covariates that stay as they are
// until the next call, and offset; false for a row that is not of use.
func (c cox) rows(f *Frame) (func(i int) (spell, []float64, float64, bool), error) {
	read, err := c.matrix.Reader(f)
	if err != nil {
		return nil, err
	}
	readOffsets, err := c.offsets.Reader(f)
	if err != nil {
		return nil, err
	}
	when := c.reader(f)
	x, offsets := make([]float64, c.p+1), make([]float64, c.offsets.Width())
	return func(i int) (spell, []float64, float64, bool) {
		t, ok := when(i)
		if !ok {
			return t, nil, 0, false
		}
		read(i, x)
		readOffsets(i, offsets)
		offset := 0.0
		for _, o := range offsets {
			offset += o
		}
		return t, x[1:], offset, true
	}, nil
}

// count adds up events by stratum and point, and in the first round the covariates'
// moments relative to the range that the declaration allows.
func (c cox) count(s coxState, n int, rows func(i int) (spell, []float64, float64, bool), sums *Sums) {
	counts := sums.Len()
	if s.Tally.Taken == 0 {
		counts -= c.moments()
	}
	for i := range n {
		t, x, offset, ok := rows(i)
		if !ok {
			continue
		}
		if at := t.group*c.grid.points() + t.stop - s.Tally.Taken; t.event && 0 <= at && at < counts {
			sums.Add(at, 1)
		}
		if s.Tally.Taken > 0 {
			continue
		}
		sums.Add(counts+coxRows, 1)
		sums.Add(counts+coxOffset, offset)
		sums.Add(counts+coxMoments+2*c.p+t.group, 1)
		for j, v := range x {
			if middle, half := c.bounds(j); half > 0 {
				v = (v - middle) / half
				sums.Add(counts+coxMoments+2*j, v)
				sums.Add(counts+coxMoments+2*j+1, v*v)
			}
		}
	}
}

// outlast counts, by stratum, who is under watch after the last event.
func (c cox) outlast(s coxState, n int, rows func(i int) (spell, []float64, float64, bool), sums *Sums) {
	strata := c.groupTimes(s)
	for i := range n {
		t, _, _, ok := rows(i)
		if in := strata[t.group]; ok && in.to > in.from {
			if end := s.Times[in.to-1].Last + 1; t.start < end && end <= t.stop {
				sums.Add(t.group, 1)
			}
		}
	}
}

// bounds returns the middle of what a covariate can be, and how far it can be from it.
func (c cox) bounds(covariate int) (middle, half float64) {
	low, high := c.matrix.Bounds(covariate + 1)
	return low/2 + high/2, high/2 - low/2
}

// Bounds of the logarithm of a risk, R's.
const (
	minLogRisk = -200
	maxLogRisk = 22
)

// step adds up one round of a step.
func (c cox) step(s coxState, n int, rows func(i int) (spell, []float64, float64, bool), sums *Sums) {
	at, numbers := c.layout(s)
	events, from := numbers-c.p-1, s.Left-len(at)
	strata := c.groupTimes(s)
	for i := range n {
		t, x, offset, ok := rows(i)
		if !ok {
			continue
		}
		lin := offset - s.Offset
		for j := range x {
			if s.Scale[j] == 0 {
				x[j] = 0
			} else {
				x[j] = (x[j] - s.Center[j]) / s.Scale[j]
			}
			lin += x[j] * s.Coefficients[j]
		}
		bounded := min(max(lin, minLogRisk), maxLogRisk)
		if s.Left == len(s.Times) && t.event { // as the risk sets have it, else a person beyond the bound is more than likely
			sums.Add(events+c.p, offset-s.Offset+bounded-lin)
			for j, v := range x {
				sums.Add(events+j, v)
			}
		}
		first, last := atRisk(s.Times, strata[t.group], t)
		if first > last {
			continue
		}
		risk := math.Exp(bounded)
		if from <= last && last < s.Left {
			place := at[s.Left-1-last]
			c.add(sums, place, risk, x)
			if t.event && c.tied(s.Times[last]) {
				c.add(sums, place+c.triple(), risk, x)
			}
		}
		if before := first - 1; from <= before && before < s.Left && before >= strata[t.group].from {
			c.add(sums, at[s.Left-1-before], -risk, x)
		}
	}
}

// add adds a person's r, rx and rxx'.
func (c cox) add(sums *Sums, place int, risk float64, x []float64) {
	sums.Add(place, risk)
	place++
	for i := range x {
		rx := risk * x[i]
		sums.Add(place+i, rx)
		for j := range i + 1 {
			sums.Add(place+c.p+packed(i, j), rx*x[j])
		}
	}
}

// stretch is the part of Times that is one stratum's.
type stretch struct{ from, to int }

func (c cox) groupTimes(s coxState) []stretch {
	out := make([]stretch, c.groups())
	for i, t := range s.Times {
		if i == 0 || s.Times[i-1].Group != t.Group {
			out[t.Group].from = i
		}
		out[t.Group].to = i + 1
	}
	return out
}

// atRisk returns the first and the last of the times at which somebody is in the risk set:
// whoever is under watch at the first of merged times, or has the event in them. If first
// is after last there is none.
func atRisk(times []coxTime, in stretch, t spell) (first, last int) {
	first = in.from + firstTime(times[in.from:in.to], func(o coxTime) bool { return o.First > t.start })
	if t.event {
		last = in.from + firstTime(times[in.from:in.to], func(o coxTime) bool { return o.Last >= t.stop })
		return min(first, last), last
	}
	return first, in.from + firstTime(times[in.from:in.to], func(o coxTime) bool { return o.First > t.stop }) - 1
}

// firstTime returns the index of the first time for which is holds, len(times) if for none.
func firstTime(times []coxTime, is func(coxTime) bool) int {
	return sort.Search(len(times), func(i int) bool { return is(times[i]) })
}
