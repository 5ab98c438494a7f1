package ucum

import (
	"fmt"
	"math/big"
	"strings"
)

// scale is the function of a special unit: a quantity of x corresponding proper
// units has the value times·curve(x) + offset.
//
// Source: UCUM 2.2, section 3.1 and the clauses on special units in section 4.
type scale struct {
	curve  *curve   // nil for none
	times  *big.Rat // not 0
	offset *big.Rat
}

// scales has the functions by the name that they have in a special expression.
var scales = map[string]*scale{
	"cel":    {nil, one, rational("-273.15")},
	"degf":   {nil, one, rational("-459.67")},
	"degre":  {nil, one, rational("-218.52")},
	"ln":     {natural, one, zero},
	"lg":     {common, one, zero},
	"2lg":    {common, rational("2"), zero},
	"ld":     {logarithm(2), one, zero},
	"pH":     {common, rational("-1"), zero},
	"hpX":    {common, rational("-1"), zero},
	"hpC":    {logarithm(100), rational("-1"), zero},
	"hpM":    {logarithm(1000), rational("-1"), zero},
	"hpQ":    {logarithm(50_000), rational("-1"), zero},
	"100tan": {tangent, rational("100"), zero},
	"sqrt":   {root, one, zero},
}

var zero = new(big.Rat) // never changed

func rational(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("ucum: not a number: " + text)
	}
	return r
}

// readScale reads a special expression, such as "2lg(2 10*-5.Pa)", into its scale
// and the number and code of its proper unit.
func readScale(expression string) (s *scale, number, unit string, err error) {
	name, rest, _ := strings.Cut(expression, "(")
	number, unit, _ = strings.Cut(strings.TrimSuffix(rest, ")"), " ")
	s, known := scales[name]
	if !known {
		return nil, "", "", fmt.Errorf("no function %s", name)
	}
	return s, number, unit, nil
}

// affine is the map x → times·x + plus.
type affine struct{ times, plus *big.Rat }

func (a affine) apply(x *big.Rat) *big.Rat {
	y := new(big.Rat).Mul(a.times, x)
	return y.Add(y, a.plus)
}

// then returns the map that applies a and after it b.
func (a affine) then(b affine) affine {
	return affine{new(big.Rat).Mul(a.times, b.times), b.apply(a.plus)}
}

func (a affine) inverse() affine {
	times := new(big.Rat).Inv(a.times)
	plus := new(big.Rat).Mul(a.plus, times)
	return affine{times, plus.Neg(plus)}
}

// outer returns the map from curve(x) to the value in the unit: the scale without
// its curve, divided by the unit's factor.
func (v value) outer() affine {
	if v.scale == nil {
		return affine{one, zero}
	}
	return affine{v.scale.times, v.scale.offset}.then(affine{new(big.Rat).Inv(v.factor), zero})
}

func (v value) curve() *curve {
	if v.scale == nil {
		return nil
	}
	return v.scale.curve
}
