// Package formula reads model formulas as R users write them.
//
// [Parse] turns "y ~ a*b + log(x) + factor(z) + offset(o) - 1" into a [Formula]: the
// response, whether there is an intercept, and the terms, expanded and in the order of
// R's terms(): by the number of variables, then as they stand. The language is closed:
// besides columns there are log, log2, log10, exp, sqrt, factor and I(x^k), and, each
// where R allows it, offset, strata and Surv. Nothing is evaluated here.
//
// Source: R Core Team, "R Language Definition" (precedence of operators) and the help
// page of formula; Chambers and Hastie, "Statistical Models in S" (1992), section 2.4.
package formula

import (
	"slices"
	"strconv"
	"strings"
)

// Limits of a formula.
const (
	MaxLength    = 2000 // bytes
	MaxVariables = 60   // different variables, each a column or a function of one
	MaxTerms     = 200  // after expansion
	MaxPower     = 6    // of I(x^k) and of (…)^k
)

// Formula is a model: Response ~ Terms.
type Formula struct {
	Response  *Variable // nil for a formula with a right side only
	Intercept bool
	Terms     []Term
	Offsets   []Variable // what stands in offset(…)
	Strata    []Variable // what stands in strata(…)
}

// Term is a main effect, or an interaction of the variables in it: a:b. They are in the
// order in which the formula first names them.
type Term []Variable

// Variable is a column, or a function of columns.
type Variable struct {
	Function Function
	Columns  []string // one; for Surv time and event, or start, stop and event
	Power    int      // of Power
}

// Function is what a variable does with its column.
type Function string

// The functions.
const (
	Identity Function = ""
	Log      Function = "log"
	Log2     Function = "log2"
	Log10    Function = "log10"
	Exp      Function = "exp"
	Sqrt     Function = "sqrt"
	Factor   Function = "factor" // a column's values as levels
	Power    Function = "I"      // I(x^2)
	Surv     Function = "Surv"   // response only
)

// functions are all of them.
var functions = append([]Function{Factor, Power, "offset", "strata", Surv}, numerical...)

// numerical are the functions of one numeric column.
var numerical = []Function{Log, Log2, Log10, Exp, Sqrt}

// String returns the variable as R prints it: I(x^2).
func (v Variable) String() string {
	switch v.Function {
	case Identity:
		return v.Columns[0]
	case Power:
		return "I(" + v.Columns[0] + "^" + strconv.Itoa(v.Power) + ")"
	}
	return string(v.Function) + "(" + strings.Join(v.Columns, ", ") + ")"
}

// String returns the term as R prints it: a:log(x).
func (t Term) String() string {
	names := make([]string, len(t))
	for i, v := range t {
		names[i] = v.String()
	}
	return strings.Join(names, ":")
}

// String returns the formula with its terms written out, in R's order.
func (f Formula) String() string {
	var right []string
	for _, t := range f.Terms {
		right = append(right, t.String())
	}
	for _, v := range f.Offsets {
		right = append(right, "offset("+v.String()+")")
	}
	for _, v := range f.Strata {
		right = append(right, "strata("+v.String()+")")
	}
	text := strings.Join(right, " + ")
	switch {
	case len(right) == 0 && f.Intercept:
		text = "1"
	case len(right) == 0:
		text = "0"
	case !f.Intercept:
		text += " - 1"
	}
	if f.Response == nil {
		return "~" + text
	}
	return f.Response.String() + " ~ " + text
}

// Columns returns the names of the columns that the formula reads, in the order in
// which it names them, each once.
func (f Formula) Columns() []string {
	var names []string
	add := func(vs ...Variable) {
		for _, v := range vs {
			for _, c := range v.Columns {
				if !slices.Contains(names, c) {
					names = append(names, c)
				}
			}
		}
	}
	if f.Response != nil {
		add(*f.Response)
	}
	for _, t := range f.Terms {
		add(t...)
	}
	add(f.Offsets...)
	add(f.Strata...)
	return names
}
