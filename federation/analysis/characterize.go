package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Characterize makes a study's first table: counts and shares of factors, mean, standard
// deviation and quartiles of numbers, over all and by arm, with standardized mean
// differences. Each variable is taken over those who have it. Its result is a
// *[query.Characterization].
//
// Source: Austin, Statistics in Medicine 28 (2009), and for factors of many levels Yang
// and Dalton, "A unified approach to measuring the effect size between two groups using
// SAS", SAS Global Forum 2012.
type Characterize struct {
	Variables []Column

	// Arm is a factor or logical column, nil for none.
	Arm *Column

	// MinCell is the least number of persons, besides 0, that may be shown in a cell. A
	// variable with a smaller one is withheld, and quartiles are bins of at most so many.
	// 0 and 1 ask for nothing.
	MinCell int64
}

// New checks the table and returns it as a method.
func (m Characterize) New() (Iteration, error) {
	if len(m.Variables) == 0 {
		return nil, errors.New("characterize: name a variable")
	}
	c := characterize{Characterize: m}
	for _, v := range m.Variables {
		if v.Kind == Numeric {
			if err := numeric(v); err != nil {
				return nil, fmt.Errorf("characterize: %w", err)
			}
			c.values = append(c.values, v)
		} else {
			c.factors = append(c.factors, v)
		}
	}
	if m.Arm != nil {
		if err := categorical(*m.Arm); err != nil {
			return nil, fmt.Errorf("characterize: %w", err)
		}
	}
	if _, err := NewFrame(c.Columns()); err != nil {
		return nil, fmt.Errorf("characterize: %w", err)
	}
	c.search = search{c.values, m.Arm, []float64{0.25, 0.5, 0.75}, m.MinCell}
	if err := c.search.validate(); err != nil {
		return nil, fmt.Errorf("characterize: %w", err)
	}
	c.moments = describe{Describe: Describe{Values: c.values, By: m.Arm, Pairwise: true}, groups: c.search.groups(), alone: true}
	for _, f := range c.factors {
		c.cells += c.search.groups() * len(f.levels())
	}
	if n := c.Numbers(characterizeState{Describe: describeState{Center: []float64{}}}); n > MaxNumbers/2 || c.cells > MaxNumbers/2 {
		return nil, errors.New("characterize: too many variables and levels for one table")
	}
	return Iterate(c), nil
}

type characterize struct {
	Characterize
	values, factors []Column
	moments         describe
	search          search
	cells           int // of the factors, in all groups
}

// characterizeState is what is known so far: the counts after the first round, the
// moments after the second, and how far the search for quartiles is.
type characterizeState struct {
	Rounds   int           `json:"rounds"`
	Describe describeState `json:"describe"`
	Search   searchState   `json:"search"`

	N       []int64                   `json:"n,omitempty"`      // by group
	Counts  []int64                   `json:"counts,omitempty"` // by factor, group and level
	Moments []query.ColumnDescription `json:"moments,omitempty"`
}

func (m characterize) Columns() []Column {
	columns := append([]Column{}, m.Variables...)
	if m.Arm != nil {
		columns = append(columns, *m.Arm)
	}
	return columns
}

func (m characterize) KeepsMissing() bool { return true }

func (m characterize) Parameters() int          { return m.search.groups() }
func (m characterize) Start() characterizeState { return characterizeState{} }

// Views are the arms, and each variable in them.
func (m characterize) Views() [][]Column {
	var arm []Column
	var views [][]Column
	if m.Arm != nil {
		arm = []Column{*m.Arm}
		views = append(views, arm)
	}
	for _, v := range m.Variables {
		if m.Arm == nil || v.Name != m.Arm.Name {
			views = append(views, append([]Column{v}, arm...))
		}
	}
	return views
}

// Numbers are those of the search, then of the counts in the first round, then of the
// moments in the first two.
func (m characterize) Numbers(s characterizeState) int {
	n := m.search.numbers(s.Search)
	if s.Rounds == 0 {
		n += m.search.groups() + m.cells
	}
	if s.Rounds < 2 {
		n += m.moments.Numbers(s.Describe)
	}
	return n
}

func (m characterize) Site(s characterizeState, f *Frame, sums *Sums) error {
	f, err := m.inArms(f)
	if err != nil {
		return err
	}
	m.search.add(s.Search, f, sums, 0)
	at := m.search.numbers(s.Search)
	if s.Rounds == 0 {
		m.count(f, sums, at)
		at += m.search.groups() + m.cells
	}
	if s.Rounds < 2 {
		return m.moments.add(s.Describe, f, sums, at)
	}
	return nil
}

// inArms returns the rows whose arm is known.
func (m characterize) inArms(f *Frame) (*Frame, error) {
	if m.Arm == nil {
		return f, nil
	}
	_, kept, err := f.Complete([]Column{*m.Arm})
	if err != nil {
		return nil, err
	}
	out := &Frame{columns: f.columns, values: make([][]float64, len(f.columns)), rows: len(kept)}
	for c, values := range f.values {
		for _, row := range kept {
			out.values[c] = append(out.values[c], values[row])
		}
	}
	return out, nil
}

// count adds up the persons of each group and of each level of each factor in it.
func (m characterize) count(f *Frame, sums *Sums, at int) {
	var arm []float64
	if m.Arm != nil {
		arm = f.Values(m.Arm.Name)
	}
	groups := m.search.groups()
	for i := range f.Len() {
		sums.Add(at, 1)
		if arm != nil {
			sums.Add(at+1+int(arm[i]), 1)
		}
	}
	at += groups
	for _, c := range m.factors {
		levels := len(c.levels())
		for i, v := range f.Values(c.Name) {
			if math.IsNaN(v) {
				continue
			}
			sums.Add(at+int(v), 1)
			if arm != nil {
				sums.Add(at+(1+int(arm[i]))*levels+int(v), 1)
			}
		}
		at += groups * levels
	}
}

func (m characterize) Next(s characterizeState, pooled Pooled) (characterizeState, any, error) {
	numbers, rest := pooled.Numbers[:m.search.numbers(s.Search)], pooled.Numbers[m.search.numbers(s.Search):]
	var done bool
	var err error
	if s.Search, done, err = m.search.next(s.Search, numbers); err != nil {
		return s, nil, err
	}
	switch s.Rounds {
	case 0:
		counts := make([]int64, m.search.groups()+m.cells)
		for i, v := range rest[:len(counts)] {
			if v < 0 || v > float64(pooled.Rows) || v != math.Trunc(v) {
				return s, nil, ErrInconsistent
			}
			counts[i] = int64(v)
		}
		s.N, s.Counts = counts[:m.search.groups()], counts[m.search.groups():]
		if slices.ContainsFunc(s.N, m.small) {
			return s, nil, NoResult(fmt.Sprintf("an arm, or all, has fewer than %d persons", m.MinCell))
		}
		s.Describe = m.moments.scale(rest[len(counts):])
		s.Rounds++
		return s, nil, nil
	case 1:
		s.Moments = m.moments.columns(s.Describe, rest)
		s.Rounds++
	}
	if !done {
		return s, nil, nil
	}
	return s, m.result(s, pooled), nil
}

func (m characterize) small(n int64) bool { return 0 < n && n < m.MinCell }
