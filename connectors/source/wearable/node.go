package wearable

import (
	"encoding/json"
	"iter"
	"math"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// node is one JSON value of a payload with the way to it. The accessors give nothing
// for what is absent or null, and report what has another type.
type node struct {
	b       *batch
	path    string
	v       any
	present bool
	unit    string // UCUM, of the number; empty for that of the variable
	missing bool   // the maker's way to say that it has no value
}

// member returns the member of an object that is called name, which is a name of ours
// and never from the input.
func (n node) member(name string) node {
	m, ok := n.v.(map[string]any)
	if !ok && n.v != nil {
		n.b.problem(fhir.RuleWrongType, n.path, "want object")
	}
	v, present := m[name]
	return node{b: n.b, path: n.path + "." + name, v: v, present: present}
}

// has reports whether an object has a member called name, also if that is null.
func (n node) has(name string) bool {
	m, _ := n.v.(map[string]any)
	_, ok := m[name]
	return ok
}

// each visits the elements of an array.
func (n node) each() iter.Seq[node] {
	return func(yield func(node) bool) {
		list, ok := n.v.([]any)
		if !ok && n.v != nil {
			n.b.problem(fhir.RuleWrongType, n.path, "want array")
		}
		for i, v := range list {
			if n.b.stop != nil || !yield(node{b: n.b, path: n.path + "[" + strconv.Itoa(i) + "]", v: v, present: true}) {
				return
			}
		}
	}
}

// element returns the i-th element of an array, absent if it has none.
func (n node) element(i int) node {
	list, _ := n.v.([]any)
	e := node{b: n.b, path: n.path + "[" + strconv.Itoa(i) + "]"}
	if i >= 0 && i < len(list) {
		e.v, e.present = list[i], true
	}
	return e
}

// in says that the number has a unit.
func (n node) in(unit string) node {
	n.unit = unit
	return n
}

// orMissing says that a negative number stands for "no value", as Garmin's do.
func (n node) orMissing() node {
	x, ok := n.v.(json.Number)
	n.missing = ok && x[0] == '-'
	return n
}

// flag gives a truth as 1 or 0.
func (n node) flag() node {
	switch n.v {
	case true:
		n.v = json.Number("1")
	case false:
		n.v = json.Number("0")
	}
	return n
}

func (n node) text() (string, bool) {
	s, ok := n.v.(string)
	if !ok && n.v != nil {
		n.b.problem(fhir.RuleWrongType, n.path, "want string")
	}
	return s, ok
}

// is reports whether the value is the string s.
func (n node) is(s string) bool { return n.v == s }

// id returns a number or text that names something; 0 and "" name nothing.
func (n node) id() (string, bool) {
	switch v := n.v.(type) {
	case string:
		return v, v != ""
	case json.Number:
		return v.String(), v != "0"
	}
	return "", false
}

// digits returns the text of a number, which may be in quotes as Fitbit and Google
// write it.
func (n node) digits() (string, bool) {
	switch v := n.v.(type) {
	case nil:
		return "", false
	case json.Number:
		return v.String(), true
	case string:
		// A JSON value that begins like a number is one: no NaN, no 0x1p-2.
		if v != "" && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') && json.Valid([]byte(v)) {
			return v, true
		}
	}
	n.b.problem(fhir.RuleWrongType, n.path, "want number")
	return "", false
}

// number returns the number in a UCUM unit.
func (n node) number(unit string) (float64, bool) {
	text, ok := n.digits()
	if !ok {
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	if err == nil && n.unit != "" && n.unit != unit {
		conversion, err := n.b.units.Conversion(n.unit, unit)
		if err != nil {
			n.b.problem(RuleInvalidUnit, n.path, "")
			return 0, false
		}
		x = conversion.Apply(x)
	}
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		n.b.problem(fhir.RuleInvalidNumber, n.path, "")
		return 0, false
	}
	return x, true
}

// integer returns a whole number.
func (n node) integer() (int64, bool) {
	text, ok := n.digits()
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n.b.problem(fhir.RuleInvalidNumber, n.path, "want a whole number")
		return 0, false
	}
	return i, true
}

// integerIn returns a whole number of that range, and false without a problem if
// there is none.
func (n node) integerIn(least, most int64) (int64, bool) {
	text, ok := n.v.(json.Number)
	i, err := strconv.ParseInt(string(text), 10, 64)
	return i, ok && err == nil && i >= least && i <= most
}

// jsonNumber is a number that we worked out, as a payload has it.
func jsonNumber(x float64) json.Number {
	return json.Number(strconv.FormatFloat(x, 'g', -1, 64))
}
