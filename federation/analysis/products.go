package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Products are the numbers that a model makes of a row's numeric columns and adds up, as well as
// their squares: those in the columns of its design matrix, its response, and e to the power of
// its offsets, where the mean is no linear function of them. Each counts as often as the row's
// weight says.
type Products struct {
	list    []product
	names   []string
	offsets product // whose sum is an exponent
	steps   bool    // the mean is a step at some offset: of a logistic model
	weights string  // a column, "" for none
	watch   watch
	by      []string // columns of strata
}

// NewProducts returns those of a model of a question over columns.
func NewProducts(m query.Model, columns []Column) (Products, error) {
	f, err := formula.Parse(m.Formula)
	if err != nil {
		return Products{}, err
	}
	matrix, err := NewMatrix(f, columns)
	if err != nil {
		return Products{}, fmt.Errorf("products: %w", err)
	}
	p := Products{weights: m.Weights, steps: m.Logistic, watch: watchOf(f.Response)}
	for _, s := range f.Strata {
		p.by = append(p.by, s.Columns...)
	}
	for _, c := range matrix.columns {
		p.add(c)
	}
	if r := f.Response; r != nil && r.Function != formula.Surv {
		parts, _, err := codes(*r, columns)
		if err != nil {
			return Products{}, fmt.Errorf("products: %w", err)
		}
		p.add(parts[:1])
	}
	for _, o := range f.Offsets {
		parts, _, err := codes(o, columns)
		if err != nil {
			return Products{}, fmt.Errorf("products: %w", err)
		}
		if m.Linear {
			p.add(parts[:1])
		} else {
			p.offsets = append(p.offsets, parts[0])
		}
	}
	return p, nil
}

// add takes a product without its indicators of levels, which are the same for all rows of a
// combination of levels.
func (p *Products) add(c product) {
	c = slices.DeleteFunc(slices.Clone(c), func(q part) bool { return q.indicator })
	if name := c.String(); len(c) > 0 && !slices.Contains(p.names, name) {
		p.list, p.names = append(p.list, c), append(p.names, name)
	}
}

func (c product) String() string {
	var term formula.Term
	for _, p := range c {
		term = append(term, p.variable)
	}
	return term.String()
}

// LargestShare returns the greatest share, 0 to 1, that one of some rows has in the sum of the
// magnitudes of a product over them, or of the squares of the distances from its mean, and of
// which. Products of columns that the frame is without are left out.
func (p Products) LargestShare(f *Frame, rows []int) (share float64, name string) {
	weights := p.weightsOf(f, rows)
	consider := func(values []float64, of string) {
		if s := largestOf(values, weights); s > share {
			share, name = s, of
		}
	}
	for i, c := range p.list {
		values := c.of(f, rows, func(a, b float64) float64 { return a * b })
		consider(values, p.names[i])
	}
	if exponents := p.offsets.of(f, rows, func(a, b float64) float64 { return a + b }); len(exponents) > 0 {
		most := slices.Max(exponents)
		for i, v := range exponents {
			exponents[i] = math.Exp(v - most)
		}
		consider(exponents, "exp(offset)")
	}
	return share, name
}

// FewAtStep reports whether the estimates of a logistic model may rest on fewer than least rows, as
// those beside whose offset few others lie: elsewhere the mean is 0 or 1 whatever the estimates.
// Each row's offset is taken for the step, but for those with fewer than least rows on a side, who
// are fewer than have the event, or have it not. A row counts by its weight there, at most 1.
func (p Products) FewAtStep(f *Frame, least int) bool {
	all := make([]int, f.Len())
	for i := range all {
		all[i] = i
	}
	offsets := p.offsets.of(f, all, func(a, b float64) float64 { return a + b })
	if !p.steps {
		return false
	}
	slices.Sort(offsets)
	for at := least - 1; at <= len(offsets)-least; at++ {
		persons := 1.0
		for _, way := range []int{-1, 1} {
			for i := at + way; 0 <= i && i < len(offsets) && persons < float64(least); i += way {
				e := math.Exp(-math.Abs(offsets[i] - offsets[at]))
				if persons += 4 * e / ((1 + e) * (1 + e)); e == 0 {
					break
				}
			}
		}
		if persons < float64(least) {
			return true
		}
	}
	return false
}

// weightsOf are those of some rows.
func (p Products) weightsOf(f *Frame, rows []int) []float64 {
	weights := slices.Repeat([]float64{1}, len(rows))
	if column := f.Values(p.weights); column != nil {
		for i, row := range rows {
			weights[i] = column[row]
		}
	}
	return weights
}

// of returns what the parts are together in some rows, nil without any.
func (c product) of(f *Frame, rows []int, join func(a, b float64) float64) []float64 {
	var out []float64
	for k, p := range c {
		column := f.Values(p.column.Name)
		if column == nil {
			return nil
		}
		for i, row := range rows {
			v := transform(p.variable, column[row])
			if k == 0 {
				out = append(out, v)
				continue
			}
			out[i] = join(out[i], v)
		}
	}
	return out
}

// largestOf is the greatest share of a value in the sum of magnitudes, or of squared distances
// from the mean. Values are taken relative to the greatest, whose square might be none. What is
// too great for a number is one row's.
func largestOf(values, weights []float64) float64 {
	most := 0.0
	for _, v := range values {
		most = math.Max(most, math.Abs(v))
	}
	switch {
	case most == 0:
		return 0
	case math.IsInf(most, 0) || math.IsNaN(most):
		return 1
	}
	mean, sum, magnitudes := 0.0, 0.0, make([]float64, len(values))
	for i, v := range values {
		mean, sum = mean+weights[i]*v/most, sum+weights[i]
		magnitudes[i] = weights[i] * math.Abs(v) / most
	}
	mean /= sum
	squares := make([]float64, len(values))
	for i, v := range values {
		squares[i] = weights[i] * (v/most - mean) * (v/most - mean)
	}
	itself := func(v float64) float64 { return v }
	return math.Max(largest(magnitudes, itself), largest(squares, itself))
}
