package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/formula"
)

// MaxMatrix bounds the columns of a [Matrix].
const MaxMatrix = 150

// Matrix is a formula's design matrix over declared columns: R's model.matrix with
// treatment contrasts, its columns in R's order and under R's names. It depends on the
// declarations only, so that every site has the same columns, also of levels that it
// has nobody of.
type Matrix struct {
	Names     []string
	Intercept bool // whether the first column is the intercept

	columns []product
}

// product is a column of a design matrix: the product of its parts, 1 without any.
type product []part

// part is a function of a column, or the indicator of a level.
type part struct {
	variable  formula.Variable
	column    Column
	indicator bool
	level     float64
}

// NewMatrix returns the design matrix of the formula's terms.
func NewMatrix(f formula.Formula, columns []Column) (Matrix, error) {
	m := Matrix{Intercept: f.Intercept}
	if f.Intercept {
		m.Names, m.columns = []string{"(Intercept)"}, []product{nil}
	}
	first := !f.Intercept // the first factor of a model without intercept has all its levels
	for i, term := range f.Terms {
		products, names := []product{nil}, []string{""}
		for k, v := range term {
			parts, labels, err := codes(v, columns)
			if err != nil {
				return Matrix{}, err
			}
			if parts[0].indicator {
				if !first && contrasted(f.Terms[:i], term, k) {
					parts, labels = parts[1:], labels[1:]
				}
				first = false
			}
			products, names = cross(products, parts, names, labels)
			if len(m.columns)+len(products) > MaxMatrix {
				return Matrix{}, fmt.Errorf("the formula has more than %d columns, with one for each level of a factor", MaxMatrix)
			}
		}
		m.columns, m.Names = append(m.columns, products...), append(m.Names, names...)
	}
	return m, nil
}

// contrasted reports whether the k-th variable of a term, if a factor, is coded without
// its first level: if what is left of the term without it is nothing, or stands in an
// earlier term.
//
// Source: R, src/library/stats/src/model.c (TermCode), as documented in "Statistical
// Models in S", section 2.4.1.
func contrasted(before []formula.Term, term formula.Term, k int) bool {
	rest := slices.Concat(term[:k], term[k+1:])
	if len(rest) == 0 {
		return true
	}
	return slices.ContainsFunc(before, func(t formula.Term) bool {
		return !slices.ContainsFunc(rest, func(v formula.Variable) bool {
			return !slices.ContainsFunc(t, func(o formula.Variable) bool { return o.String() == v.String() })
		})
	})
}

// codes returns the parts that a variable has columns of: itself, or one for each level.
func codes(v formula.Variable, columns []Column) ([]part, []string, error) {
	c, err := columnOf(v, columns)
	if err != nil {
		return nil, nil, err
	}
	levels := c.levels()
	if levels == nil {
		p := part{variable: v, column: c}
		if low, high := p.bounds(); math.IsNaN(low) || math.IsInf(low, 0) || math.IsInf(high, 0) {
			return nil, nil, fmt.Errorf("%s is not finite in all of the plausible range of the column: narrow the range", v)
		}
		return []part{p}, []string{v.String()}, nil
	}
	var parts []part
	var labels []string
	for i, level := range levels {
		parts = append(parts, part{variable: v, column: c, indicator: true, level: float64(i)})
		labels = append(labels, v.String()+level)
	}
	return parts, labels, nil
}

// columnOf returns the column of a variable that is a function of one.
func columnOf(v formula.Variable, columns []Column) (Column, error) {
	i := slices.IndexFunc(columns, func(c Column) bool { return c.Name == v.Columns[0] })
	if i < 0 {
		return Column{}, fmt.Errorf("the formula names the column %s, which is not declared", v.Columns[0])
	}
	c := columns[i]
	switch {
	case v.Function == formula.Factor && c.Kind == Numeric:
		return c, fmt.Errorf("%s: declare the column as a factor with its levels", v)
	case v.Function != formula.Identity && v.Function != formula.Factor && c.Kind != Numeric:
		return c, fmt.Errorf("%s: the column is not numeric", v)
	}
	return c, nil
}

// levels returns the names of a factor's levels, nil for a number.
func (c Column) levels() []string {
	switch c.Kind {
	case Factor:
		return c.Levels
	case Logical:
		return []string{"FALSE", "TRUE"}
	}
	return nil
}

// cross multiplies columns with parts, the columns' index fastest.
func cross(products []product, parts []part, names, labels []string) ([]product, []string) {
	var out []product
	var outNames []string
	for i, p := range parts {
		for k, c := range products {
			out = append(out, append(slices.Clone(c), p))
			outNames = append(outNames, strings.TrimPrefix(names[k]+":"+labels[i], ":"))
		}
	}
	return out, outNames
}

// endingIn returns the matrix with a column moved to the end.
func (m Matrix) endingIn(column int) Matrix {
	last := append(slices.Delete(slices.Clone(m.columns), column, column+1), m.columns[column])
	names := append(slices.Delete(slices.Clone(m.Names), column, column+1), m.Names[column])
	m.columns, m.Names = last, names
	return m
}

// Width returns the number of columns.
func (m Matrix) Width() int { return len(m.columns) }

// Bounds returns the least and the greatest value that a column can have.
func (m Matrix) Bounds(column int) (low, high float64) {
	low, high = 1, 1
	for _, p := range m.columns[column] {
		a, b := p.bounds()
		ends := []float64{low * a, low * b, high * a, high * b}
		low, high = slices.Min(ends), slices.Max(ends)
	}
	return low, high
}

func (p part) bounds() (low, high float64) {
	if p.indicator {
		return 0, 1
	}
	low, high = transform(p.variable, p.column.Low), transform(p.variable, p.column.High)
	if p.variable.Function == formula.Power && p.variable.Power%2 == 0 {
		if p.column.Low <= 0 && 0 <= p.column.High {
			return 0, max(low, high)
		}
		low, high = min(low, high), max(low, high)
	}
	return low, high
}

// transform applies a variable's function to a number.
func transform(v formula.Variable, x float64) float64 {
	switch v.Function {
	case formula.Log:
		return math.Log(x)
	case formula.Log2:
		return math.Log2(x)
	case formula.Log10:
		return math.Log10(x)
	case formula.Exp:
		return math.Exp(x)
	case formula.Sqrt:
		return math.Sqrt(x)
	case formula.Power:
		out := 1.0
		for range v.Power {
			out *= x
		}
		return out
	}
	return x
}

// Reader returns a function that writes row i of the frame's matrix into out, which has
// Width numbers. The frame must have the declared columns, none missing in the row.
func (m Matrix) Reader(f *Frame) (func(i int, out []float64), error) {
	type source struct {
		part
		values []float64
	}
	sources := make([][]source, len(m.columns))
	for i, c := range m.columns {
		for _, p := range c {
			values := f.Values(p.column.Name)
			if values == nil && f.Len() > 0 {
				return nil, fmt.Errorf("frame: there is no column %s", p.column.Name)
			}
			sources[i] = append(sources[i], source{p, values})
		}
	}
	return func(row int, out []float64) {
		for i, c := range sources {
			x := 1.0
			for _, s := range c {
				switch v := s.values[row]; {
				case !s.indicator:
					x *= transform(s.variable, v)
				case v != s.level:
					x = 0
				}
			}
			out[i] = x
		}
	}, nil
}
