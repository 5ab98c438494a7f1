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
func (d Decimal) along(c *curve, forward bool) (Decimal, error) {
	f := c.inverse
	if forward {
		f = c.forward
	}
	y, err := f(float(d.rat()))
	if err != nil {
		return Decimal{}, err
	}
	number := exactly(y)
	switch {
	case !d.measured:
		return Decimal{number: number}, nil
	case !c.logarithmic():
		return measuredTo(number, d.significant()), nil
	case forward: // the significant digits of a number are the decimals of its logarithm
		return Decimal{number: number, measured: true, place: -d.significant()}, nil
	}
	return measuredTo(number, max(1, -d.place)), nil
}

// rounded returns d with the number rounded to 24 digits.
func (d Decimal) rounded() Decimal {
	if d.number.Sign() != 0 {
		place := leading(d.number) - exactDigits + 1
		d.number = scaled(rounded(d.number, place), place)
	}
	return d
}
