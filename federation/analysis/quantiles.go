package analysis

import (
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Quantiles finds quantiles of numeric columns as R's quantile does (type 7), over all and
// by the levels of a factor. Its result is a *[query.QuantileTable].
//
// The first round counts the values, each further one those in the parts of the bins where
// a quantile lies, until the bin is a single number and the quantile exact, or holds fewer
// than MinCell persons and may not be cut: 18 rounds at most, and 3 or 4 where MinCell ends it.
//
// Source: Hyndman and Fan, "Sample quantiles in statistical packages", The American
// Statistician 50 (1996), definition 7.
type Quantiles struct {
	Values []Column // numeric

	// By is a factor or logical column that makes groups, nil for none.
	By *Column

	Probabilities []float64 // 0 to 1

	// MinCell is how many persons a bin must hold to be cut. With 0 or 1 every quantile
	// is exact, and tells somebody's value.
	MinCell int64
}

// New checks the question and returns it as a method.
func (m Quantiles) New() (Iteration, error) {
	if len(m.Values) == 0 || len(m.Probabilities) == 0 {
		return nil, errors.New("quantiles: name a column and a probability")
	}
	for _, c := range m.Values {
		if err := numeric(c); err != nil {
			return nil, fmt.Errorf("quantiles: %w", err)
		}
	}
	if m.By != nil {
		if err := categorical(*m.By); err != nil {
			return nil, fmt.Errorf("quantiles: %w", err)
		}
	}
	q := quantiles{search{m.Values, m.By, m.Probabilities, m.MinCell}}
	if err := q.validate(); err != nil {
		return nil, fmt.Errorf("quantiles: %w", err)
	}
	if _, err := NewFrame(q.Columns()); err != nil {
		return nil, fmt.Errorf("quantiles: %w", err)
	}
	return Iterate(q), nil
}

type quantiles struct{ search }

func (m quantiles) Columns() []Column {
	columns := append([]Column{}, m.values...)
	if m.by != nil {
		columns = append(columns, *m.by)
	}
	return columns
}

func (m quantiles) Parameters() int           { return len(m.values) * len(m.probabilities) }
func (m quantiles) Start() searchState        { return searchState{} }
func (m quantiles) Numbers(s searchState) int { return m.numbers(s) }

func (m quantiles) Site(s searchState, f *Frame, sums *Sums) error {
	m.add(s, f, sums, 0)
	return nil
}

func (m quantiles) Next(s searchState, pooled Pooled) (searchState, any, error) {
	next, done, err := m.next(s, pooled.Numbers)
	if err != nil || !done {
		return next, nil, err
	}
	r := &query.QuantileTable{N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted)}
	for j, c := range m.values {
		series := j * m.groups()
		column := query.ColumnQuantiles{Name: c.Name, All: m.quantiles(next, series)}
		for g := 1; g < m.groups(); g++ {
			column.Groups = append(column.Groups, query.GroupQuantiles{
				Level: m.by.levels()[g-1], N: next.N[series+g], Quantiles: m.quantiles(next, series+g),
			})
		}
		r.Columns = append(r.Columns, column)
	}
	return next, r, nil
}
