package ucum

import "math/big"

// through applies an affine map to d.
func (d Decimal) through(a affine) Decimal {
	number := a.apply(d.rat())
	switch {
	case !d.measured:
		return Decimal{number: number}
	case a.plus.Sign() == 0 && number.Sign() != 0:
		return measuredTo(number, d.significant())
	}
	return Decimal{number: number, measured: true, place: d.place + nearest(a.times)}
}

// nearest returns the power of ten nearest to |r|, which is not 0: half of what the
// square of it, times ten, begins with.
func nearest(r *big.Rat) int {
	square := new(big.Rat).Mul(r, r)
	return leading(square.Mul(square, new(big.Rat).SetInt(ten))) >> 1
}

// along applies one direction of a curve to d.
func (d Decimal) along(f func(*big.Float) (*big.Float, error), logarithmic, forward bool) (Decimal, error) {
	y, err := f(float(d.rat()))
	if err != nil {
		return Decimal{}, err
	}
	number, _ := y.Rat(nil)
	switch {
	case !d.measured:
		return Decimal{number: number}, nil
	case logarithmic && forward:
		return Decimal{number: number, measured: true, place: -d.significant()}, nil
	case logarithmic:
		return measuredTo(number, max(1, -d.place)), nil
	}
	return measuredTo(number, d.significant()), nil
}
