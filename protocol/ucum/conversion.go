package ucum

import "math/big"

// Conversion turns values in one unit into values in another. The zero value
// changes nothing. A Conversion does not change and can be used by many goroutines.
type Conversion struct {
	mul, div, add float64 // x·mul/div + add, when path has no curve
	path          *path   // nil for none
}

// path is a conversion in steps: before, the inverse of from, between, to, after.
// Without curves everything is in before.
type path struct {
	before, between, after affine
	from, to               *curve // nil for none
	rounded                bool   // some step is not exact
	fast                   [3]line
}

// line is an affine map in float64.
type line struct{ times, plus float64 }

func (l line) apply(x float64) float64 {
	// float64() forbids a fused multiply-add, which some machines have and round less.
	return float64(l.times*x) + l.plus
}

// NewConversion relates two units. It fails with [ErrIncommensurable].
func NewConversion(from, to Unit) (Conversion, error) {
	if !from.Commensurable(to) {
		return Conversion{}, ErrIncommensurable
	}
	a, b := from.value(), to.value()
	p := &path{
		before: a.outer().inverse(), from: a.curve(),
		between: affine{new(big.Rat).Quo(a.magnitude, b.magnitude), zero},
		to:      b.curve(), after: b.outer(),
	}
	p.straighten()
	return p.conversion(), nil
}

// straighten joins the steps where the two curves undo each other.
func (p *path) straighten() {
	switch ratio := p.between.times; {
	case p.from == p.to && (p.from == nil || ratio.Cmp(one) == 0):
	case p.from.logarithmic() && p.to.logarithmic():
		// To leave the logarithms would meet numbers that are too large.
		p.between, p.rounded = level(p.from, p.to, ratio), true
	default:
		p.rounded = true
		return
	}
	p.before, p.from, p.to = p.before.then(p.between).then(p.after), nil, nil
}

// conversion adds the fast path.
func (p *path) conversion() Conversion {
	c := Conversion{div: 1, path: p}
	c.add, _ = p.before.plus.Float64()
	num, whole := new(big.Rat).SetInt(p.before.times.Num()).Float64()
	den, part := new(big.Rat).SetInt(p.before.times.Denom()).Float64()
	if whole && part {
		c.mul, c.div = num, den // a division rounds better than its reciprocal
	} else {
		c.mul, _ = p.before.times.Float64()
	}
	if p.from != nil || p.to != nil {
		for i, step := range []affine{p.before, p.between, p.after} {
			p.fast[i].times, _ = step.times.Float64()
			p.fast[i].plus, _ = step.plus.Float64()
		}
	}
	return c
}

// Apply converts x without allocating. It rounds once for most factors and at most
// three times, alike on every machine. On a curve it is as good as the logarithm of
// the standard library, whose last bits depend on the machine; nodes that must agree
// on those use [Conversion.Decimal]. A value without a counterpart gives NaN or an
// infinity.
func (c Conversion) Apply(x float64) float64 {
	p := c.path
	if p == nil {
		return x
	}
	if p.from == nil && p.to == nil {
		return x*c.mul/c.div + c.add
	}
	x = p.fast[0].apply(x)
	if p.from != nil {
		x = p.from.fastInverse(x)
	}
	x = p.fast[1].apply(x)
	if p.to != nil {
		x = p.to.fastForward(x)
	}
	return p.fast[2].apply(x)
}

// Convert converts a value. It fails with [ErrIncommensurable] and as
// [Conversion.Decimal] does.
func Convert(d Decimal, from, to Unit) (Decimal, error) {
	c, err := NewConversion(from, to)
	if err != nil {
		return Decimal{}, err
	}
	return c.Decimal(d)
}

// Decimal converts d. An exact number stays exact, on a curve to 24 digits. A
// measured one keeps
//   - over a factor, the number of its significant digits;
//   - over an offset, the place of its last digit, moved by the nearest power of ten
//     of the factor: 98.6 [degF] is 37.0 Cel;
//   - to a logarithm, as many decimals as it has significant digits, and back:
//     7.40 [pH] is 4.0e-8 mol/L.
//
// It fails with [ErrDomain] for a value that has no counterpart.
func (c Conversion) Decimal(d Decimal) (Decimal, error) {
	p := c.path
	if p == nil {
		return d, nil
	}
	d = d.through(p.before)
	if p.from != nil || p.to != nil {
		var err error
		if d, err = p.curved(d); err != nil {
			return Decimal{}, err
		}
	}
	if p.rounded {
		d = d.rounded()
	}
	return d, nil
}

// curved is the rest of the path after the first step.
func (p *path) curved(d Decimal) (Decimal, error) {
	var err error
	if p.from != nil {
		if d, err = d.along(p.from, false); err != nil {
			return Decimal{}, err
		}
	}
	d = d.through(p.between)
	if p.to != nil {
		if d, err = d.along(p.to, true); err != nil {
			return Decimal{}, err
		}
	}
	return d.through(p.after), nil
}
