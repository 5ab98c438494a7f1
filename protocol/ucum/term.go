package ucum

import "math/big"

// term is a parsed code: parts that are evaluated from left to right.
type term []part

// part is one component of a term. At most one of number, atom and inner is set;
// with none it is an annotation alone, which means 1.
type part struct {
	offset     int  // where it begins in the code
	over       bool // divides what is left of it
	number     *big.Rat
	prefix     *prefix // nil for none; only with atom
	atom       *atom
	exponent   int // of atom
	inner      term
	annotation string // with its braces; "" for none
}

// value is what a term means: a proper unit, or one on a scale of its own.
type value struct {
	measure        // of the proper unit that a special one is defined on
	scale   *scale // nil for a proper unit
	factor  *big.Rat
}

// evaluate multiplies the parts.
func (t term) evaluate() (value, error) {
	product := value{measure: unity()}
	for _, p := range t {
		v, err := p.evaluate()
		if err != nil {
			return value{}, err
		}
		var rule Rule
		if product, rule = product.times(v, p.over); rule != "" {
			return value{}, &SyntaxError{p.offset, rule}
		}
	}
	return product, nil
}

func (p part) evaluate() (value, error) {
	switch {
	case p.inner != nil:
		return p.inner.evaluate()
	case p.number != nil:
		return value{measure: measure{magnitude: p.number}}, nil
	case p.atom == nil:
		return value{measure: unity()}, nil
	case p.atom.scale != nil:
		if p.exponent != 1 {
			return value{}, &SyntaxError{p.offset, RuleSpecial}
		}
		v := value{measure: p.atom.measure, scale: p.atom.scale, factor: one}
		if p.prefix != nil {
			v.factor = p.prefix.factor
		}
		return v, nil
	}
	m, ok := p.atom.measure, true
	if p.prefix != nil {
		m, ok = m.times(measure{magnitude: p.prefix.factor})
	}
	if ok {
		m, ok = m.raise(p.exponent)
	}
	if !ok {
		return value{}, &SyntaxError{p.offset, RuleSize}
	}
	return value{measure: m}, nil
}

// times returns v·w or v/w, or the rule that forbids it.
//
// Source: UCUM 2.2, section 3.1.2: a special unit can be multiplied by a number, which
// scales it, and take part in no other operation.
func (v value) times(w value, over bool) (value, Rule) {
	if v.scale != nil && w.scale != nil || w.scale != nil && over {
		return value{}, RuleSpecial
	}
	if w.scale != nil {
		v, w = w, v
	}
	if over {
		inverse, ok := w.raise(-1)
		if !ok {
			return value{}, RuleSize
		}
		w.measure = inverse
	}
	if v.scale != nil {
		if len(w.dimension) > 0 {
			return value{}, RuleSpecial
		}
		v.factor = new(big.Rat).Mul(v.factor, w.magnitude)
		if bits(v.factor) > maxBits {
			return value{}, RuleSize
		}
		return v, ""
	}
	m, ok := v.measure.times(w.measure)
	if !ok {
		return value{}, RuleSize
	}
	return value{measure: m}, ""
}
