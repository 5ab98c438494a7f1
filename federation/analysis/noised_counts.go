package analysis

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// noised counts the cells, and those who are in none.
func (m crossTab) noised() noisedSums {
	return noisedSums{
		splits: []split{{parts: m.cells + 1, of: func(f *Frame) func(int) (int, []float64) {
			return func(row int) (int, []float64) {
				cell := 0
				for _, c := range m.Factors {
					v := f.Values(c.Name)[row]
					if math.IsNaN(v) {
						return m.cells, nil
					}
					cell = cell*len(c.levels()) + int(v)
				}
				return cell, nil
			}
		}}},
		result: func(splits [][]blurred, noise float64) (any, error) {
			_, result, err := m.Next(oneRound{}, pooledCounts(splits[0], m.MinCell))
			if r, found := result.(*query.ContingencyTable); found {
				r.Warnings = append(r.Warnings, fmt.Sprintf(
					"each count has noise of standard deviation %.3g at most, and is 0 where that leaves fewer than %d persons; the tests take counts for exact, so true p-values are larger and intervals wider",
					noise, m.MinCell))
			}
			return result, err
		},
	}
}

// pooledCounts are what a method without noise makes its result of: counts of parts, of which
// the last is of those who are left out.
func pooledCounts(parts []blurred, least int64) Pooled {
	last := len(parts) - 1
	p := Pooled{Omitted: parts[last].count(0)}
	for _, part := range parts[:last] {
		n := part.count(least)
		p.Numbers, p.Rows = append(p.Numbers, float64(n)), p.Rows+n
	}
	return p
}

// noised counts the bins, both sides of them, and those without a value.
func (m histogram) noised() noisedSums {
	sides := len(m.Breaks) + 1
	return noisedSums{
		splits: []split{{parts: sides + 1, of: func(f *Frame) func(int) (int, []float64) {
			values := f.Values(m.Value.Name)
			return func(row int) (int, []float64) {
				if math.IsNaN(values[row]) {
					return sides, nil
				}
				return m.Bin(values[row]), nil
			}
		}}},
		result: func(splits [][]blurred, _ float64) (any, error) {
			pooled := pooledCounts(splits[0], 0)
			if outside := &pooled.Numbers[sides-1]; int64(pooled.Numbers[0]+*outside) < m.MinCell {
				pooled.Rows -= int64(pooled.Numbers[0] + *outside)
				pooled.Numbers[0], *outside = 0, 0
			}
			_, result, err := m.Next(oneRound{}, pooled)
			return result, err
		},
	}
}

// noised counts those with and without the property in each group, or of an incidence adds
// up events and time; the last part are those who are left out.
func (m rates) noised() noisedSums {
	s := split{parts: 2*m.groups() + 1}
	if m.time != nil {
		s = split{parts: m.groups() + 1, numbers: 2}
	}
	s.of = func(f *Frame) func(int) (int, []float64) {
		events := f.Values(m.events.Name)
		var time, by []float64
		if m.time != nil {
			time = f.Values(m.time.Name)
		}
		if m.by != nil {
			by = f.Values(m.by.Name)
		}
		return func(row int) (int, []float64) {
			out := make([]float64, s.numbers)
			group := 0
			if by != nil && !math.IsNaN(by[row]) {
				group = int(by[row])
			}
			switch {
			case math.IsNaN(events[row]), by != nil && math.IsNaN(by[row]), time != nil && math.IsNaN(time[row]):
				return s.parts - 1, out
			case time == nil:
				return 2*group + int(events[row]), out
			}
			out[0], out[1] = math.Round(events[row])/m.most(), time[row]/m.time.High
			return group, out
		}
	}
	return noisedSums{splits: []split{s}, result: m.noisedResult}
}

// most is how many events a person may have.
func (m rates) most() float64 {
	if m.events.Kind == Numeric {
		return m.events.High
	}
	return 1
}

func (m rates) noisedResult(splits [][]blurred, noise float64) (any, error) {
	parts := splits[0]
	pooled := Pooled{Omitted: parts[len(parts)-1].count(0), Numbers: make([]float64, m.Numbers(oneRound{}))}
	for g := range m.groups() {
		var n, events, time float64
		if m.time == nil {
			without, with := parts[2*g].count(0), parts[2*g+1].count(0)
			n, events = float64(without+with), float64(with)
		} else {
			n = float64(parts[g].count(0))
			events, time = math.Round(max(0, parts[g].sums[0]*m.most())), max(0, parts[g].sums[1])
		}
		groups := []int{0}
		if m.by != nil {
			groups = append(groups, 1+g)
		}
		for _, at := range groups {
			of := pooled.Numbers[at*rateNumbers:]
			of[ratePersons] += n
			of[rateEvents] += events
			of[rateTime] += time
		}
		pooled.Rows += int64(n)
	}
	m.least = 0 // what noise makes small says nothing of who is few
	_, result, err := m.Next(oneRound{}, pooled)
	if r, found := result.(*query.Rates); found {
		r.All = m.blur(r.All, noise*math.Sqrt(float64(m.groups())))
		for i := range r.Groups {
			r.Groups[i].Rate = m.blur(r.Groups[i].Rate, noise)
		}
	}
	return result, err
}

// blur gives a rate limits that have room for the noise, of that standard deviation, in the
// numbers it is made of: normal ones, as neither Garwood's nor those of a share have.
func (m rates) blur(r query.Rate, noise float64) query.Rate {
	if r.Estimate == nil {
		return r
	}
	p, of := *r.Estimate, float64(r.N)
	chance, highest, sd := p*(1-p)/of, 1.0, noise*math.Hypot(1-p, p)/of
	if r.Time != nil {
		of = *r.Time
		chance, highest, sd = p/of, math.Inf(1), noise*math.Hypot(m.most(), p*m.time.High)/of
	}
	width := normalLimit * math.Sqrt(chance+sd*sd)
	r.Exact, r.Wilson = nil, nil
	r.NoiseSD, r.Noised = &sd, &query.Limits{Lower: max(0, p-width), Upper: min(highest, p+width)}
	return r
}
