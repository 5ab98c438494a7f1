package analysis

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// PCA finds the principal components of numeric columns as R's prcomp does. Its result is
// a *[query.PrincipalComponents]. It has no scores, which are about one person each.
//
// The first round finds the columns' means and standard deviations, the second takes the
// squares and products of the columns that are centred and scaled by them. R decomposes
// the rows themselves; of sums of squares half the digits are there, so components whose
// variance is below [collinear] of the whole are left out.
//
// Source: R, help page of prcomp; Jolliffe, "Principal Component Analysis", 2nd edition
// (2002), chapter 1.
type PCA struct {
	Values []Column // numeric, two or more

	// Scale gives each column the variance 1 first: prcomp's scale. = TRUE.
	Scale bool
}

// New checks the columns and returns the method.
func (m PCA) New() (Iteration, error) {
	if len(m.Values) < 2 {
		return nil, errors.New("pca: values: name two columns or more")
	}
	for _, c := range m.Values {
		if err := numeric(c); err != nil {
			return nil, fmt.Errorf("pca: values: %w", err)
		}
	}
	if _, err := NewFrame(m.Values); err != nil {
		return nil, fmt.Errorf("pca: values: %w", err)
	}
	return Iterate(pca{m}), nil
}

type pca struct{ PCA }

func (m pca) Columns() []Column { return m.Values }

// Parameters are the means, variances and covariances, which the loadings and standard
// deviations of all components give back.
func (m pca) Parameters() int      { return len(m.Values) + packed(len(m.Values), 0) }
func (m pca) Start() describeState { return describeState{} }

func (m pca) Numbers(s describeState) int {
	p := len(m.Values)
	if s.Center == nil {
		return 3 * p
	}
	return p + packed(p, 0)
}

func (m pca) Site(s describeState, f *Frame, sums *Sums) error {
	p := len(m.Values)
	if s.Center == nil {
		for j, c := range m.Values {
			addScaled(c, f.Values(c.Name), sums, 3*j)
		}
		return nil
	}
	if len(s.Center) != p || len(s.Scale) != p {
		return errors.New("pca: the state is of other columns")
	}
	u := make([]float64, p)
	for row := range f.Len() {
		for j, c := range m.Values {
			u[j] = (f.Values(c.Name)[row] - s.Center[j]) / s.Scale[j]
			sums.Add(j, u[j])
			for k := range j + 1 {
				sums.Add(p+packed(j, k), u[j]*u[k])
			}
		}
	}
	return nil
}

func (m pca) Next(s describeState, pooled Pooled) (describeState, any, error) {
	if s.Center == nil {
		if pooled.Rows < 2 {
			return s, nil, NoResult("there are fewer than two persons without a missing value")
		}
		next := describeState{Center: make([]float64, len(m.Values)), Scale: make([]float64, len(m.Values))}
		for j, c := range m.Values {
			next.Center[j], next.Scale[j] = scaleOf(c, pooled.Numbers[3*j:])
		}
		return next, nil, nil
	}
	r := &query.PrincipalComponents{N: pooled.Rows, LeftOut: query.Omitting(pooled.Omitted)}
	covariance, err := m.covariance(s, pooled, r)
	if err != nil {
		return s, nil, err
	}
	return s, r, componentsOf(covariance, r)
}

// covariance returns the matrix to decompose, and says in the result how the columns were
// centred and scaled.
func (m pca) covariance(s describeState, pooled Pooled, r *query.PrincipalComponents) (*mat.SymDense, error) {
	p, n := len(m.Values), float64(pooled.Rows)
	means, products := pooled.Numbers[:p], pooled.Numbers[p:]
	units := make([]float64, p)
	for j, c := range m.Values {
		mean, square := means[j]/n, products[packed(j, j)]/n
		variance := (square - mean*mean) * n / (n - 1)
		if variance <= cancelled*square || s.Scale[j] <= leastSpread*(c.High/2-c.Low/2) {
			variance = 0
		}
		column := query.ScaledColumn{Name: c.Name, Center: s.Center[j] + s.Scale[j]*mean}
		units[j] = s.Scale[j]
		if m.Scale {
			if variance == 0 {
				return nil, NoResult("cannot rescale a constant column to unit variance: " + c.Name)
			}
			column.Scale = ptr(s.Scale[j] * math.Sqrt(variance))
			units[j] = 1 / math.Sqrt(variance)
		}
		if variance == 0 {
			units[j] = 0
		}
		r.Columns = append(r.Columns, column)
	}
	out := mat.NewSymDense(p, nil)
	for j := range p {
		for k := range j + 1 {
			together := (products[packed(j, k)]/n - means[j]/n*means[k]/n) * n / (n - 1)
			out.SetSym(j, k, units[j]*units[k]*together)
		}
	}
	return out, nil
}

// componentsOf decomposes a covariance matrix, by the singular values of its root: of a matrix
// itself an eigenvalue has no digits left that is 1e16 times smaller than the largest.
func componentsOf(covariance *mat.SymDense, r *query.PrincipalComponents) error {
	whole := mat.Trace(covariance)
	if !(whole > 0) {
		return NoResult("no column varies")
	}
	root, rank := triangleOf(covariance)
	var parts mat.SVD
	if !parts.Factorize(root, mat.SVDThinU) {
		return NoResult("the covariance matrix could not be decomposed")
	}
	var vectors mat.Dense
	parts.UTo(&vectors)
	sum := 0.0
	for k, sd := range parts.Values(nil)[:rank] { // which fall
		sum += sd * sd
		r.Components = append(r.Components, query.PrincipalComponent{
			SD: sd, Proportion: sd * sd / whole, Cumulative: sum / whole, Loadings: signed(mat.Col(nil, k, &vectors)),
		})
	}
	return nil
}

// triangleOf returns the lower triangle L with L·Lᵀ the matrix, and its rank: a column that those
// before it determine adds none.
func triangleOf(covariance *mat.SymDense) (*mat.Dense, int) {
	n, rank := covariance.SymmetricDim(), 0
	lower := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range i + 1 {
			v := covariance.At(i, j)
			for k := range j {
				v -= lower.At(i, k) * lower.At(j, k)
			}
			switch pivot := lower.At(j, j); {
			case j < i && pivot > 0:
				lower.Set(i, j, v/pivot)
			case j == i && v > collinear*covariance.At(i, i):
				lower.Set(i, i, math.Sqrt(v))
				rank++
			}
		}
	}
	return lower, rank
}

// signed returns the vector or its opposite, so that the first of its largest numbers, up
// to rounding, is positive.
func signed(v []float64) []float64 {
	largest := 0.0
	for _, x := range v {
		largest = math.Max(largest, math.Abs(x))
	}
	for _, x := range v {
		if math.Abs(x) < (1-stateTolerance)*largest {
			continue
		}
		if x < 0 {
			for i := range v {
				v[i] = 0 - v[i]
			}
		}
		break
	}
	return v
}
