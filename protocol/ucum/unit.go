package ucum

import (
	"math/big"
	"slices"
	"strings"
)

// Unit is a unit of measure. The zero value is unity, the unit of plain numbers.
// A Unit does not change and can be used by many goroutines.
type Unit struct {
	code  string
	means *value // nil for unity
}

// Parse reads a case-sensitive UCUM code, at most [MaxLength] bytes. The empty
// code is unity. It fails with a [*SyntaxError].
func Parse(code string) (Unit, error) {
	t, err := essence().parse(code)
	if err != nil {
		return Unit{}, err
	}
	v, err := t.evaluate()
	if err != nil {
		return Unit{}, err
	}
	return Unit{code: code, means: &v}, nil
}

func (u Unit) value() value {
	if u.means == nil {
		return value{measure: unity()}
	}
	return *u.means
}

// String returns the code that [Parse] reads as this unit, as it was written.
func (u Unit) String() string { return u.code }

// Canonical returns the unit over base units: 1 u is magnitude times base, whose
// parts are ordered by code ("g.m-1", "1" for none). For a special unit it is the
// proper unit that it is defined on, without the curve.
func (u Unit) Canonical() (magnitude *big.Rat, base string) {
	v := u.value()
	return new(big.Rat).Set(v.magnitude), v.dimension.String()
}

// Commensurable reports whether u and v measure the same kind of quantity, so that
// values can be converted. It is an equivalence relation.
func (u Unit) Commensurable(v Unit) bool {
	return slices.Equal(u.value().dimension, v.value().dimension)
}

// Equal reports whether a value means the same in both units: mL and cm3, and
// units that differ in annotations only.
func (u Unit) Equal(v Unit) bool {
	a, b := u.value(), v.value()
	if !u.Commensurable(v) || a.magnitude.Cmp(b.magnitude) != 0 || a.scale != b.scale {
		return false
	}
	return a.scale == nil || a.factor.Cmp(b.factor) == 0
}

// Times returns the unit u·v. It fails as [Parse] does: special units have no
// product, and the code of the product may be too long.
func (u Unit) Times(v Unit) (Unit, error) {
	right := v.written()
	if strings.HasPrefix(right, "/") {
		return Parse(u.written() + right)
	}
	return Parse(u.written() + "." + right)
}

// Over returns the unit u/v. It fails as [Unit.Times] does.
func (u Unit) Over(v Unit) (Unit, error) {
	right := v.written()
	if strings.HasPrefix(right, "/") {
		right = "1" + right
	}
	if strings.ContainsAny(right, "./") {
		right = "(" + right + ")"
	}
	return Parse(u.written() + "/" + right)
}

// written is the code, with a sign of its own for unity.
func (u Unit) written() string {
	if u.code == "" {
		return "1"
	}
	return u.code
}
