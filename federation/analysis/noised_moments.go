package analysis

import (
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// noised adds up each column's values and squares, by group, and the products of each two:
// of those who miss nothing in one split, or in one for each column and pair. The last
// part of a split are those who are left out.
func (m describe) noised(least int64) noisedSums {
	groups := max(1, m.groups-1)
	group := func(f *Frame) func(row int) int { // groups for a group that is missing
		if m.By == nil {
			return func(int) int { return 0 }
		}
		by := f.Values(m.By.Name)
		return func(row int) int {
			if math.IsNaN(by[row]) {
				return groups
			}
			return int(by[row])
		}
	}
	if !m.Pairwise {
		s := split{parts: groups + 1, numbers: 2*len(m.Values) + packed(len(m.Values)-1, 0)}
		s.of = func(f *Frame) func(int) (int, []float64) {
			of, values := group(f), scaledColumns(f, m.Values)
			return func(row int) (int, []float64) {
				out := make([]float64, s.numbers)
				for j := range m.Values {
					u := values[j][row]
					if math.IsNaN(u) || of(row) == groups {
						return groups, make([]float64, s.numbers)
					}
					out[2*j], out[2*j+1] = u, u*u
					for i := range j {
						out[2*len(m.Values)+packed(j-1, i)] = u * values[i][row]
					}
				}
				return of(row), out
			}
		}
		return noisedSums{splits: []split{s}, result: func(splits [][]blurred, noise float64) (any, error) {
			return m.together(splits[0], noise, least), nil
		}}
	}
	var splits []split
	for _, c := range m.Values {
		splits = append(splits, split{parts: groups + 2, numbers: 2, of: func(f *Frame) func(int) (int, []float64) {
			of, values := group(f), scaledColumns(f, []Column{c})[0]
			return func(row int) (int, []float64) {
				if u := values[row]; !math.IsNaN(u) {
					return of(row), []float64{u, u * u}
				}
				return groups + 1, []float64{0, 0}
			}
		}})
	}
	for j := range m.Values {
		for i := range j {
			splits = append(splits, split{parts: 2, numbers: pairSums - 1, of: func(f *Frame) func(int) (int, []float64) {
				values := scaledColumns(f, []Column{m.Values[i], m.Values[j]})
				return func(row int) (int, []float64) {
					u, v := values[0][row], values[1][row]
					if math.IsNaN(u) || math.IsNaN(v) {
						return 1, make([]float64, pairSums-1)
					}
					return 0, []float64{u, v, u * u, v * v, u * v}
				}
			}})
		}
	}
	return noisedSums{splits: splits, result: func(splits [][]blurred, noise float64) (any, error) {
		return m.apart(splits, noise, least), nil
	}}
}

// scaledColumns returns columns relative to the middles of their ranges.
func scaledColumns(f *Frame, columns []Column) [][]float64 {
	out := make([][]float64, len(columns))
	for j, c := range columns {
		for _, v := range f.Values(c.Name) {
			out[j] = append(out[j], scaled(c, v))
		}
	}
	return out
}

const noisedWarning = "numbers have noise: limits and tests of means allow for it, those of variances, covariances and correlations do not; there is no skewness and no kurtosis"

// together describes columns that are summed over the same persons.
func (m describe) together(parts []blurred, noise float64, least int64) *query.Description {
	last := len(parts) - 1
	r := &query.Description{LeftOut: query.Omitting(parts[last].count(0)), Warnings: []string{noisedWarning}}
	all := sumOf(parts[:last])
	r.N = all.count(least)
	for j, c := range m.Values {
		of := make([]blurred, last)
		for g, p := range parts[:last] {
			of[g] = blurred{p.n, p.sums[2*j : 2*j+2]}
		}
		r.Columns = append(r.Columns, m.column(c, of, last, noise, least))
		for i := range j {
			sums := []float64{all.n, all.sums[2*i], all.sums[2*j], all.sums[2*i+1], all.sums[2*j+1], all.sums[2*len(m.Values)+packed(j-1, i)]}
			r.Pairs = append(r.Pairs, m.noisedPair(i, j, sums, least))
		}
	}
	return r
}

// apart describes columns that are each summed over those who have it.
func (m describe) apart(splits [][]blurred, noise float64, least int64) *query.Description {
	everybody := sumOf(splits[0])
	r := &query.Description{N: everybody.count(least), Warnings: []string{noisedWarning}}
	for j, c := range m.Values {
		with := splits[j][:len(splits[j])-1]
		r.Columns = append(r.Columns, m.column(c, with, len(with)-1, noise, least))
	}
	at := splits[len(m.Values):]
	for j := range m.Values {
		for i := range j {
			r.Pairs = append(r.Pairs, m.noisedPair(i, j, append([]float64{at[0][0].n}, at[0][0].sums...), least))
			at = at[1:]
		}
	}
	return r
}

// column describes a column over all parts, and over each of the first so many.
func (m describe) column(c Column, parts []blurred, groups int, noise float64, least int64) query.ColumnDescription {
	d := query.ColumnDescription{Name: c.Name, All: noisedMoment(c, sumOf(parts), noise*math.Sqrt(float64(len(parts))), least)}
	if m.By == nil {
		return d
	}
	for g, level := range m.By.levels() {
		d.Groups = append(d.Groups, query.Grouped{Level: level, Moment: noisedMoment(c, parts[g], noise, least)})
	}
	if groups == 2 {
		d.Welch = welch(d.Groups[0].Moment, d.Groups[1].Moment)
	}
	return d
}

func (m describe) noisedPair(i, j int, sums []float64, least int64) query.Pair {
	first, second := m.Values[i], m.Values[j]
	if (blurred{n: sums[0]}).count(least) < 2 {
		return query.Pair{First: first.Name, Second: second.Name}
	}
	_, firstHalf := middleOf(first)
	_, secondHalf := middleOf(second)
	return pairOf(first.Name, second.Name, sums, firstHalf, secondHalf)
}

func sumOf(parts []blurred) blurred {
	all := parts[0]
	for _, p := range parts[1:] {
		all = all.plus(p)
	}
	return all
}

// noisedMoment gives mean and variance of a column from a count, and the sums of values and
// squares relative to its range, each with noise of a standard deviation. What noise
// makes impossible is absent: a variance of 0 or less.
func noisedMoment(c Column, p blurred, noise float64, least int64) query.Moment {
	m := query.Moment{N: p.count(least)}
	if m.N == 0 {
		return m
	}
	middle, half := middleOf(c)
	mean, square := max(-1, min(1, p.sums[0]/p.n)), p.sums[1]/p.n
	m.Mean, m.NoiseSD = ptr(middle+half*mean), ptr(half*noise*meanNoise(mean)/p.n)
	if second := square - mean*mean; m.N > 1 && second > 0 {
		m.Variance = ptr(half * half * min(second, 1) * p.n / (p.n - 1))
		m.SD = ptr(math.Sqrt(*m.Variance))
		m.VarianceNoiseSD = ptr(half * half * noise * varianceNoise(mean, square) / p.n)
	}
	return m
}

// meanNoise and varianceNoise are by how much noise in the count and in the sums of values
// and squares, of a standard deviation of n each, moves their mean and variance: to the
// first order, and in the unit of the values.
func meanNoise(mean float64) float64 { return math.Hypot(1, mean) }

func varianceNoise(mean, square float64) float64 {
	return math.Hypot(math.Hypot(1, 2*mean), 2*mean*mean-square)
}

// noised counts the arms, and of each variable its levels in them, or adds up its values
// and squares. The last part of a split are those whose arm is missing; those who miss a
// variable are a level more.
func (m characterize) noised() noisedSums {
	arms := max(1, m.search.groups()-1)
	inArm := func(width, numbers int, of func(f *Frame) func(row int) (int, []float64)) split {
		s := split{parts: arms*width + 1, numbers: numbers}
		s.of = func(f *Frame) func(int) (int, []float64) {
			inside := of(f)
			var arm []float64
			if m.Arm != nil {
				arm = f.Values(m.Arm.Name)
			}
			return func(row int) (int, []float64) {
				part, values := inside(row)
				switch {
				case arm == nil:
					return part, values
				case math.IsNaN(arm[row]):
					return arms * width, make([]float64, numbers)
				}
				return int(arm[row])*width + part, values
			}
		}
		return s
	}
	splits := []split{inArm(1, 0, func(*Frame) func(int) (int, []float64) {
		return func(int) (int, []float64) { return 0, nil }
	})}
	for _, c := range m.Variables {
		if c.Kind == Numeric {
			splits = append(splits, inArm(2, 2, func(f *Frame) func(int) (int, []float64) {
				values := scaledColumns(f, []Column{c})[0]
				return func(row int) (int, []float64) {
					if u := values[row]; !math.IsNaN(u) {
						return 0, []float64{u, u * u}
					}
					return 1, []float64{0, 0}
				}
			}))
			continue
		}
		levels := len(c.levels())
		splits = append(splits, inArm(levels+1, 0, func(f *Frame) func(int) (int, []float64) {
			values := f.Values(c.Name)
			return func(row int) (int, []float64) {
				if v := values[row]; !math.IsNaN(v) {
					return int(v), nil
				}
				return levels, nil
			}
		}))
	}
	return noisedSums{splits: splits, result: func(splits [][]blurred, noise float64) (any, error) {
		n := make([]int64, m.search.groups())
		for arm, p := range splits[0][:arms] {
			n[0] += p.count(m.MinCell)
			if m.Arm != nil {
				n[1+arm] = p.count(m.MinCell)
			}
		}
		r := m.table(n, splits[0][arms].count(0), func(variable, group int) query.VariateGroup {
			return m.noisedGroup(m.Variables[variable], splits[1+variable], group, noise)
		})
		r.Warnings = []string{"numbers have noise, those of a variable of their own, so that they need not add up; there are no quartiles, and standardized differences take the numbers for exact"}
		return r, nil
	}}
}

// noisedGroup is a variable in one group: 0 for all, then the arms.
func (m characterize) noisedGroup(c Column, parts []blurred, group int, noise float64) query.VariateGroup {
	width := 2
	if c.Kind != Numeric {
		width = len(c.levels()) + 1
	}
	parts = parts[:len(parts)-1]
	if group > 0 {
		parts = parts[(group-1)*width : group*width]
	}
	sums := make([]blurred, width) // over the arms
	for i, p := range parts {
		if i < width {
			sums[i] = p
		} else {
			sums[i%width] = sums[i%width].plus(p)
		}
	}
	missing := sums[width-1].count(m.MinCell)
	if c.Kind != Numeric {
		counts := make([]int64, width-1)
		persons := missing
		for i := range counts {
			counts[i] = sums[i].count(m.MinCell)
			persons += counts[i]
		}
		return ofFactor(counts, persons)
	}
	moment := noisedMoment(c, sums[0], noise*math.Sqrt(float64(len(parts)/width)), m.MinCell)
	return query.VariateGroup{N: moment.N, Missing: missing, Mean: moment.Mean, SD: moment.SD, NoiseSD: moment.NoiseSD}
}
