package analysis

import (
	"fmt"
	"math"
)

// counted ends a round of counts; the last one makes Times.
func (c cox) counted(s coxState, pooled Pooled) (coxState, error) {
	counts := pooled.Numbers
	if s.Tally.Taken == 0 {
		counts = pooled.Numbers[:len(pooled.Numbers)-c.moments()]
		if err := c.scale(&s, pooled.Numbers[len(counts):], pooled.Rows); err != nil {
			return s, err
		}
	}
	var err error
	if s.Tally, err = s.Tally.plus(counts, s.N); err != nil || s.Tally.Taken < c.size() {
		return s, err
	}
	if s.Times, err = c.times(s.Tally); err != nil {
		return s, err
	}
	if err := c.inRounds(s.Times); err != nil {
		return s, err
	}
	if err := c.enough(s); err != nil {
		return s, err
	}
	s.Tally, s.Groups = tally{}, nil
	if c.guarded() {
		return s, nil
	}
	return c.begin(s, make([]float64, c.p)), nil
}

// ended puts after the last event time of each stratum that enough persons outlast a time
// without events, and begins.
func (c cox) ended(s coxState, pooled Pooled) (coxState, error) {
	var times []coxTime
	for i, t := range s.Times {
		times = append(times, t)
		if i+1 < len(s.Times) && s.Times[i+1].Group == t.Group {
			continue
		}
		n := pooled.Numbers[t.Group]
		if n != math.Trunc(n) || n < 0 || n > float64(s.N) {
			return s, ErrInconsistent
		}
		if n >= float64(c.MinAtRisk) {
			times = append(times, coxTime{Group: t.Group, First: t.Last + 1, Last: t.Last + 1})
		}
	}
	s.Times = times
	return c.begin(s, make([]float64, c.p)), nil
}

// scale takes what covariates are centred and scaled by from the sums of the first round.
// One that hardly varies within its declared range, or not at all, takes no part.
func (c cox) scale(s *coxState, sums []float64, rows int64) error {
	n := sums[coxRows]
	if n != math.Trunc(n) || n < 0 || n > float64(rows) {
		return ErrInconsistent
	}
	if n == 0 {
		return NoResult("there is nobody without a missing value")
	}
	s.N, s.Offset = int64(n), sums[coxOffset]/n
	var all int64
	for _, v := range sums[coxMoments+2*c.p : coxMoments+2*c.p+c.groups()] {
		if v != math.Trunc(v) || v < 0 || v > n {
			return ErrInconsistent
		}
		s.Groups = append(s.Groups, int64(v))
		all += int64(v)
	}
	if all != s.N {
		return ErrInconsistent
	}
	s.Center, s.Scale = make([]float64, c.p), make([]float64, c.p)
	for j := range c.p {
		middle, half := c.bounds(j)
		mean, square := sums[coxMoments+2*j]/n, sums[coxMoments+2*j+1]/n
		s.Center[j] = middle + half*mean
		if spread := math.Sqrt(max(square-mean*mean, 0)); spread > 4*leastSpread {
			s.Scale[j] = half * spread
		}
	}
	return nil
}

// times returns the event times, neighbors in a stratum merged until each has as many
// events as asked for. What is left at the end goes with the last.
func (c cox) times(t tally) ([]coxTime, error) {
	var out []coxTime
	least, points := int64(max(c.MinAtRisk, 1)), c.grid.points()
	for i, place := range t.Places {
		group, point := place/points, place%points
		last := len(out) - 1
		if last < 0 || out[last].Group != group || out[last].Events >= least {
			first := point
			if c.guarded() && (last < 0 || out[last].Group != group) {
				first = 0
			}
			out = append(out, coxTime{Group: group, First: first})
			last++
		}
		out[last].Last = point
		out[last].Events += t.Counts[i]
		if end := i+1 == len(t.Places) || t.Places[i+1]/points != group; end && out[last].Events < least {
			if last == 0 || out[last-1].Group != group {
				return nil, NoResult(c.few(group))
			}
			out[last-1].Last = point
			out[last-1].Events += out[last].Events
			out = out[:last]
		}
	}
	if len(out) == 0 {
		return nil, NoResult("there are no events")
	}
	return out, nil
}

// inRounds refuses times that a step would take too many rounds for.
func (c cox) inRounds(times []coxTime) error {
	rounds := 0
	for s := (coxState{Times: times, Left: len(times)}); s.Left > 0; rounds++ {
		at, _ := c.layout(s)
		if len(at) == 0 || rounds == maxCoxRounds {
			return NoResult(fmt.Sprintf("%d event times are too many for %d covariates: make the width of the grid larger, or minAtRisk", len(times), c.p))
		}
		s.Left -= len(at)
	}
	return nil
}

// enough refuses where the sums of all persons less those of others would be about a few.
func (c cox) enough(s coxState) error {
	censored, idle := s.N, s.N
	for i, t := range s.Times {
		censored -= t.Events
		if i == 0 || s.Times[i-1].Group != t.Group {
			idle -= s.Groups[t.Group]
		}
	}
	switch least := int64(c.MinAtRisk); {
	case censored < 0 || idle < 0:
		return ErrInconsistent
	case !c.guarded():
		return nil
	case 0 < censored && censored < least:
		return NoResult(fmt.Sprintf("there are fewer than %d persons without an event: make the horizon of the grid smaller", c.MinAtRisk))
	case 0 < idle && idle < least:
		return NoResult(fmt.Sprintf("the strata without events have fewer than %d persons: use strata that have more", c.MinAtRisk))
	}
	return nil
}

// few says that a stratum has fewer events than the least.
func (c cox) few(group int) string {
	if len(c.strata) == 0 {
		return fmt.Sprintf("there are fewer than %d events", c.MinAtRisk)
	}
	return fmt.Sprintf("the stratum %s has fewer than %d events: leave it out, or use strata that have more", c.name(group), c.MinAtRisk)
}
