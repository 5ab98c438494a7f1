package analysis

import "math"

// packed returns the place of (i, j), j <= i, in the lower triangle of a symmetric
// matrix, row after row; the triangle of n rows has packed(n, 0) places.
func packed(i, j int) int { return i*(i+1)/2 + j }

// collinear is the share of a column's squares below which the part that the columns
// before it do not explain counts as none. R finds such columns by a tolerance of 1e-11
// on the columns themselves; of sums of squares half the digits are there, so this is
// 1e-6 squared. The rounding errors of exactly dependent columns are about 1e-15.
const collinear = 1e-12

// cholesky is a decomposition L·Lᵀ of a symmetric matrix, less the columns that are
// linear combinations of the ones before them.
type cholesky struct {
	n       int
	lower   []float64 // packed
	aliased []bool
	rank    int
}

// decompose decomposes the packed lower triangle of a positive semidefinite matrix of n
// rows. A column that those before it determine is left out, as R's pivoting does.
func decompose(a []float64, n int) cholesky {
	c := cholesky{n: n, lower: make([]float64, len(a)), aliased: make([]bool, n)}
	for i := range n {
		for j := range i + 1 {
			if c.aliased[j] {
				continue
			}
			v := a[packed(i, j)]
			for k := range j {
				v -= c.lower[packed(i, k)] * c.lower[packed(j, k)]
			}
			switch {
			case j < i:
				c.lower[packed(i, j)] = v / c.lower[packed(j, j)]
			case v > collinear*a[packed(i, i)]: // false for a column of zeros
				c.lower[packed(i, i)] = math.Sqrt(v)
				c.rank++
			default:
				c.aliased[i] = true
			}
		}
		if c.aliased[i] {
			clear(c.lower[packed(i, 0) : packed(i, i)+1])
		}
	}
	return c
}

// solve returns x with A·x = b, 0 in the columns left out.
func (c cholesky) solve(b []float64) []float64 {
	x := c.forward(b)
	for i := c.n - 1; i >= 0; i-- {
		if c.aliased[i] {
			continue
		}
		for k := i + 1; k < c.n; k++ {
			x[i] -= c.lower[packed(k, i)] * x[k] // x[k] is 0 if k is left out
		}
		x[i] /= c.lower[packed(i, i)]
	}
	return x
}

// forward returns y with L·y = b, 0 in the columns left out.
func (c cholesky) forward(b []float64) []float64 {
	y := make([]float64, c.n)
	for i := range c.n {
		if c.aliased[i] {
			continue
		}
		v := b[i]
		for k := range i {
			v -= c.lower[packed(i, k)] * y[k]
		}
		y[i] = v / c.lower[packed(i, i)]
	}
	return y
}

// quadratic returns bᵀ·A⁻¹·b, over the columns that were not left out.
func (c cholesky) quadratic(b []float64) float64 {
	sum := 0.0
	for _, v := range c.forward(b) {
		sum += v * v
	}
	return sum
}
