package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// CrossTab crosses two or three factors and tests whether the first two are independent:
// with χ² and Fisher's test, or, within the levels of a third, with that of Cochran,
// Mantel and Haenszel. It takes one sum. Its result is a *[query.ContingencyTable].
//
// Source: Agresti, "Categorical Data Analysis", 2nd edition (2002), sections 3.2, 3.5,
// 6.3 and 7.5.3; the limits of the common odds ratio are those of Robins, Breslow and
// Greenland, Biometrics 42 (1986).
type CrossTab struct {
	Factors []Column // two or three, factor or logical

	// MinCell is the least number of persons, besides 0, that a cell of the pooled table
	// may show; a smaller one leaves the question without an answer, since the tests would
	// give it away. 0 and 1 ask for nothing.
	MinCell int64
}

// New checks the table and returns it as a method.
func (m CrossTab) New() (Iteration, error) {
	if len(m.Factors) != 2 && len(m.Factors) != 3 {
		return nil, errors.New("crosstab: name two or three factors")
	}
	if m.MinCell < 0 {
		return nil, errors.New("crosstab: the least cell must not be below 0")
	}
	cells := 1
	for _, c := range m.Factors {
		if err := categorical(c); err != nil {
			return nil, fmt.Errorf("crosstab: %w", err)
		}
		cells *= len(c.levels())
	}
	if cells > MaxCells {
		return nil, fmt.Errorf("crosstab: more than %d cells", MaxCells)
	}
	return Iterate(crossTab{m, cells}), nil
}

// categorical reports an error unless a column has levels.
func categorical(c Column) error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.Kind == Numeric {
		return fmt.Errorf("column %s: it must be a factor or logical", c.Name)
	}
	return nil
}

type crossTab struct {
	CrossTab
	cells int
}

// oneRound is the state of a method that takes one sum.
type oneRound struct{}

func (m crossTab) Columns() []Column    { return m.Factors }
func (m crossTab) Parameters() int      { return 1 }
func (m crossTab) Start() oneRound      { return oneRound{} }
func (m crossTab) Numbers(oneRound) int { return m.cells }

func (m crossTab) Site(_ oneRound, f *Frame, sums *Sums) error {
	cells := make([]int, f.Len())
	for _, c := range m.Factors {
		for i, v := range f.Values(c.Name) {
			cells[i] = cells[i]*len(c.levels()) + int(v)
		}
	}
	for _, cell := range cells {
		sums.Add(cell, 1)
	}
	return nil
}

func (m crossTab) Next(_ oneRound, pooled Pooled) (oneRound, any, error) {
	counts, err := countsOf(pooled.Numbers, pooled.Rows)
	if err != nil {
		return oneRound{}, nil, err
	}
	if slices.ContainsFunc(counts, func(n int64) bool { return 0 < n && n < m.MinCell }) {
		return oneRound{}, nil, NoResult(fmt.Sprintf("a cell of the table holds fewer than %d persons: join levels", m.MinCell))
	}
	r := &query.ContingencyTable{N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted), Counts: counts}
	for _, c := range m.Factors {
		r.Factors = append(r.Factors, query.TableFactor{Name: c.Name, Levels: c.levels()})
	}
	if len(m.Factors) == 2 {
		testTable(r, shape(counts, len(m.Factors[1].levels())))
	} else {
		testLayers(r, m.layers(counts))
	}
	return oneRound{}, r, nil
}

// countsOf returns pooled numbers that are counts of all rows, each in one place.
func countsOf(numbers []float64, rows int64) ([]int64, error) {
	counts, total := make([]int64, len(numbers)), int64(0)
	for i, v := range numbers {
		if v != math.Trunc(v) || v < 0 || v > float64(rows) {
			return nil, ErrInconsistent
		}
		counts[i] = int64(v)
		total += counts[i]
	}
	if total != rows {
		return nil, ErrInconsistent
	}
	return counts, nil
}

// shape cuts counts into rows.
func shape(counts []int64, width int) [][]float64 {
	var table [][]float64
	for row := range slices.Chunk(counts, width) {
		values := make([]float64, width)
		for j, n := range row {
			values[j] = float64(n)
		}
		table = append(table, values)
	}
	return table
}

// margins returns the sums of a table's rows and columns, and of all.
func margins(table [][]float64) (rows, columns []float64, total float64) {
	rows, columns = make([]float64, len(table)), make([]float64, len(table[0]))
	for i, row := range table {
		for j, v := range row {
			rows[i] += v
			columns[j] += v
			total += v
		}
	}
	return rows, columns, total
}

// occupied returns the table without the rows and columns that hold nobody.
func occupied(table [][]float64) [][]float64 {
	rows, columns, _ := margins(table)
	var out [][]float64
	for i, row := range table {
		if rows[i] == 0 {
			continue
		}
		var kept []float64
		for j, v := range row {
			if columns[j] > 0 {
				kept = append(kept, v)
			}
		}
		out = append(out, kept)
	}
	return out
}

// testTable tests a table of two factors.
func testTable(r *query.ContingencyTable, table [][]float64) {
	table = occupied(table)
	if len(table) < 2 || len(table[0]) < 2 {
		r.Warnings = append(r.Warnings, "no test: a factor has fewer than two levels that somebody has")
		return
	}
	small := len(table) == 2 && len(table[0]) == 2
	r.ChiSquared = pearson(table, false)
	if small {
		r.Yates = pearson(table, true)
	}
	p, exact := 0.0, r.N <= fisherPersons
	switch {
	case exact && small:
		h := newHypergeometric(table)
		p, r.OddsRatio = h.pValue(), h.oddsRatio()
	case exact:
		p, exact = fisher(table)
	}
	if !exact {
		r.Warnings = append(r.Warnings, "no test of Fisher: there are too many tables with these margins")
		return
	}
	r.Fisher = &query.Significance{P: p}
}

// pearson is Pearson's test, with R's form of Yates's correction: at most 0.5, and no
// more than the cells differ from what is expected.
func pearson(table [][]float64, correct bool) *query.Significance {
	rows, columns, total := margins(table)
	correction := 0.0
	if correct {
		correction = math.Min(0.5, math.Abs(table[0][0]-rows[0]/total*columns[0]))
	}
	statistic := 0.0
	for i, row := range table {
		for j, v := range row {
			expected := rows[i] / total * columns[j]
			d := math.Abs(v-expected) - correction
			statistic += d * d / expected
		}
	}
	df := float64((len(rows) - 1) * (len(columns) - 1))
	return &query.Significance{Statistic: &statistic, DF: &df, P: chiSquaredAbove(statistic, df)}
}
