package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Describe gives the moments of numeric columns up to the fourth, over all and by the
// levels of a factor, and the covariance and correlation of each two. Its result is a
// *[query.Description].
//
// The first round finds the columns' means and standard deviations, the second takes sums
// of powers of the columns that are centred and scaled by them, which keeps the digits
// that raw powers lose.
type Describe struct {
	Values []Column // numeric

	// By is a factor or logical column that makes groups, nil for none.
	By *Column

	// Pairwise takes each column, and each pair, over those who have it, R's
	// use = "pairwise.complete.obs"; otherwise whoever misses a value is left out.
	Pairwise bool
}

// New checks the columns and returns the method.
func (m Describe) New() (Iteration, error) {
	if len(m.Values) == 0 {
		return nil, errors.New("describe: name a column")
	}
	for _, c := range m.Values {
		if err := numeric(c); err != nil {
			return nil, fmt.Errorf("describe: %w", err)
		}
	}
	d := describe{Describe: m, groups: 1}
	if m.By != nil {
		if err := categorical(*m.By); err != nil {
			return nil, fmt.Errorf("describe: %w", err)
		}
		d.groups += len(m.By.levels())
	}
	if _, err := NewFrame(d.Columns()); err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if n := d.Numbers(describeState{Center: []float64{}}); n > MaxNumbers {
		return nil, fmt.Errorf("describe: %d sums for so many columns and groups, at most %d", n, MaxNumbers)
	}
	return Iterate(d), nil
}

// numeric reports an error unless a column holds numbers whose squares are in range.
func numeric(c Column) error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.Kind != Numeric {
		return fmt.Errorf("column %s: it must be numeric", c.Name)
	}
	if math.Max(-c.Low, c.High) > maxMean {
		return fmt.Errorf("column %s: it must lie within %g", c.Name, maxMean)
	}
	return nil
}

type describe struct {
	Describe
	groups int  // everybody, then each level of By
	alone  bool // leaves the pairs out
}

// describeState says what the columns are centred and scaled by; nothing at first.
type describeState struct {
	Center []float64 `json:"center,omitempty"`
	Scale  []float64 `json:"scale,omitempty"`
}

// powers of a column are from 0 to 4.
const powers = 5

// Places of a pair's numbers.
const (
	pairNumber = iota // persons with both
	pairFirst
	pairSecond
	pairFirstSquare
	pairSecondSquare
	pairProduct
	pairSums
)

func (m describe) Columns() []Column {
	columns := append([]Column{}, m.Values...)
	if m.By != nil {
		columns = append(columns, *m.By)
	}
	return columns
}

func (m describe) Parameters() int      { return 2 * len(m.Values) * max(1, m.groups-1) }
func (m describe) Power() float64       { return 4 } // the kurtosis
func (m describe) KeepsMissing() bool   { return m.Pairwise }
func (m describe) Start() describeState { return describeState{} }

// Views are each column by group, and each two columns.
func (m describe) Views() [][]Column {
	var by []Column
	if m.By != nil {
		by = []Column{*m.By}
	}
	var views [][]Column
	for i, v := range m.Values {
		views = append(views, append([]Column{v}, by...))
		for _, other := range m.Values[i+1:] {
			views = append(views, []Column{v, other})
		}
	}
	return views
}

func (m describe) Numbers(s describeState) int {
	p := len(m.Values)
	if s.Center == nil {
		return 3 * p
	}
	if m.alone {
		return p * m.groups * powers
	}
	return p*m.groups*powers + packed(p-1, 0)*pairSums
}

func (m describe) Site(s describeState, f *Frame, sums *Sums) error {
	return m.add(s, f, sums, 0)
}

// add adds a site's numbers, from number at on.
func (m describe) add(s describeState, f *Frame, sums *Sums, at int) error {
	if s.Center == nil {
		for j, c := range m.Values {
			addScaled(c, f.Values(c.Name), sums, at+3*j)
		}
		return nil
	}
	if len(s.Center) != len(m.Values) || len(s.Scale) != len(m.Values) {
		return errors.New("describe: the state is of other columns")
	}
	scaled := make([][]float64, len(m.Values))
	for j, c := range m.Values {
		for _, v := range f.Values(c.Name) {
			scaled[j] = append(scaled[j], (v-s.Center[j])/s.Scale[j])
		}
		m.addPowers(f, j, scaled[j], sums, at)
	}
	if m.alone {
		return nil
	}
	for i := range scaled {
		for j := range i {
			addPair(scaled[j], scaled[i], sums, at+m.pair(j, i))
		}
	}
	return nil
}

// addScaled adds up how many values there are, and their first two powers, relative to
// the range of the column.
func addScaled(c Column, values []float64, sums *Sums, at int) {
	middle, half := middleOf(c)
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		z := (v - middle) / half
		sums.Add(at, 1)
		sums.Add(at+1, z)
		sums.Add(at+2, z*z)
	}
}

// middleOf returns the middle of a column's range and half its width.
func middleOf(c Column) (middle, half float64) {
	return c.Low/2 + c.High/2, c.High/2 - c.Low/2
}

// scaleOf returns the mean and the standard deviation of a column from what addScaled
// added; the latter is above 0.
func scaleOf(c Column, numbers []float64) (center, scale float64) {
	middle, half := middleOf(c)
	if numbers[0] == 0 {
		return middle, half
	}
	mean := numbers[1] / numbers[0]
	variance := numbers[2]/numbers[0] - mean*mean
	return middle + half*mean, half * math.Max(math.Sqrt(math.Max(variance, 0)), leastSpread)
}

func (m describe) addPowers(f *Frame, column int, values []float64, sums *Sums, at int) {
	var by []float64
	if m.By != nil {
		by = f.Values(m.By.Name)
	}
	for i, u := range values {
		if math.IsNaN(u) {
			continue
		}
		addPowers(u, sums, at+m.group(column, 0))
		if by != nil && !math.IsNaN(by[i]) {
			addPowers(u, sums, at+m.group(column, 1+int(by[i])))
		}
	}
}

func addPowers(u float64, sums *Sums, at int) {
	power := 1.0
	for k := range powers {
		sums.Add(at+k, power)
		power *= u
	}
}

func addPair(first, second []float64, sums *Sums, at int) {
	for i, u := range first {
		v := second[i]
		if math.IsNaN(u) || math.IsNaN(v) {
			continue
		}
		sums.Add(at+pairNumber, 1)
		sums.Add(at+pairFirst, u)
		sums.Add(at+pairSecond, v)
		sums.Add(at+pairFirstSquare, u*u)
		sums.Add(at+pairSecondSquare, v*v)
		sums.Add(at+pairProduct, u*v)
	}
}

// group is the place of the first number of a column's group.
func (m describe) group(column, group int) int { return (column*m.groups + group) * powers }

// pair is the place of the first number of a pair.
func (m describe) pair(first, second int) int {
	return len(m.Values)*m.groups*powers + packed(second-1, first)*pairSums
}

func (m describe) Next(s describeState, pooled Pooled) (describeState, any, error) {
	if s.Center == nil {
		return m.scale(pooled.Numbers), nil, nil
	}
	r := &query.Description{N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Columns: m.columns(s, pooled.Numbers)}
	for i, second := range m.Values {
		for j, first := range m.Values[:i] {
			r.Pairs = append(r.Pairs, pairOf(first.Name, second.Name, pooled.Numbers[m.pair(j, i):], s.Scale[j], s.Scale[i]))
		}
	}
	return s, r, nil
}

// scale ends the first round.
func (m describe) scale(numbers []float64) describeState {
	next := describeState{Center: make([]float64, len(m.Values)), Scale: make([]float64, len(m.Values))}
	for j, c := range m.Values {
		next.Center[j], next.Scale[j] = scaleOf(c, numbers[3*j:])
	}
	return next
}

// columns describes each column from the numbers of the second round.
func (m describe) columns(s describeState, numbers []float64) []query.ColumnDescription {
	var out []query.ColumnDescription
	for j, c := range m.Values {
		d := query.ColumnDescription{Name: c.Name, All: momentOf(numbers[m.group(j, 0):], s.Center[j], s.Scale[j])}
		if m.By != nil {
			for g, level := range m.By.levels() {
				d.Groups = append(d.Groups, query.Grouped{Level: level, Moment: momentOf(numbers[m.group(j, 1+g):], s.Center[j], s.Scale[j])})
			}
		}
		if len(d.Groups) == 2 {
			d.Welch = welch(d.Groups[0].Moment, d.Groups[1].Moment)
		}
		out = append(out, d)
	}
	return out
}
