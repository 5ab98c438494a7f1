package analysis

import (
	"math"
	"math/big"
)

// gridSums is how many sums on the grid a cell of moments has: those of a value relative to
// the plausible range, from -1 to 1, and of its square.
const gridSums = 2

// column declares the value.
func (m Moments) column() Column { return Column{Kind: Numeric, Low: m.Low, High: m.High} }

// addToGrid adds one person's value and its square.
func (c *Cell) addToGrid(of Column, v float64) {
	u := onGrid(scaled(of, v))
	c.Grid[0] += int64(u * gridUnit)
	c.Grid[1] += int64(onGrid(u*u) * gridUnit)
}

// blur returns the cell with the sums of z and z² that belong to sums on the grid. They are
// taken relative to the middle of the range because noise then costs the least digits.
func (m Moments) blur(n int64, grid []int64) Cell {
	low, high := new(big.Rat).SetFloat64(m.Low), new(big.Rat).SetFloat64(m.High)
	two, scale := big.NewRat(2, 1), new(big.Rat).SetFloat64(m.scale())
	rat := func(a *big.Rat, op func(z, x, y *big.Rat) *big.Rat, b *big.Rat) *big.Rat {
		return op(new(big.Rat), a, b)
	}
	add, mul, quo, sub := (*big.Rat).Add, (*big.Rat).Mul, (*big.Rat).Quo, (*big.Rat).Sub
	middle := rat(rat(rat(low, add, high), quo, two), quo, scale)
	half := rat(rat(rat(high, sub, low), quo, two), quo, scale)
	count, first, second := big.NewRat(n, 1), big.NewRat(grid[0], gridUnit), big.NewRat(grid[1], gridUnit)
	// z = middle + half·u, so Σz = middle·n + half·Σu and Σz² = middle²·n + 2·middle·half·Σu + half²·Σu².
	z := rat(rat(middle, mul, count), add, rat(half, mul, first))
	square := rat(rat(rat(middle, mul, middle), mul, count), add, rat(rat(rat(two, mul, middle), mul, half), mul, first))
	square = rat(square, add, rat(rat(half, mul, half), mul, second))
	return Cell{N: n, Sums: []Sum{sumOfRat(z), sumOfRat(square), {}}}
}

// sumOfRat returns a number to the unit of 2^-63.
func sumOfRat(v *big.Rat) Sum {
	units := new(big.Int).Lsh(v.Num(), 63)
	units.Div(units, v.Denom())
	fine := new(big.Int).And(units, big.NewInt(1<<fineBits-1))
	return Sum{Coarse: units.Rsh(units, fineBits).Int64(), Fine: fine.Int64()}
}

// NoiseSD returns the standard deviations of the noise in a mean and in a standard deviation,
// to the first order, if that in the count and in the sums on the grid is sd. It is nil for
// what is absent.
func (m Moments) NoiseSD(s Summary, sd float64) (mean, deviation *float64) {
	if s.Mean == nil || s.N == 0 {
		return nil, nil
	}
	_, half := middleOf(m.column())
	u := scaled(m.column(), *s.Mean)
	mean = ptr(half * sd * meanNoise(u) / float64(s.N))
	if s.SD != nil && *s.SD > 0 {
		spread := *s.Variance / (half * half)
		deviation = ptr(half * sd * varianceNoise(u, spread+u*u) / float64(s.N) / (2 * math.Sqrt(spread)))
	}
	return mean, deviation
}
