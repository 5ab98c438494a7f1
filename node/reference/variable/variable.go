// Package variable is the list of what a node can check and has a meaning for: codes of
// measured values with their concept, their units, and the bounds in each.
//
// A [List] is one version of it and does not change. [Shipped] is the list that comes
// with the program; a [Store] lays a site's additions and changes over it and keeps every
// version. The quality checks ask [List.At]. The list says nothing about a person.
package variable

import (
	_ "embed"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Variable is a kind of value, for example LOINC 8480-6, systolic blood pressure.
type Variable struct {
	System   string // URI, as FHIR names code systems
	Code     string
	Display  string
	Concept  int64  // standard concept of OMOP
	Category string // for example vital-signs, laboratory, activity
	Units    []Unit // the first one is canonical

	// From and To are the first and last day of which values are checked by it;
	// [Always] and [Forever] if it is not limited.
	From, To sqldb.Date

	Site bool // added or changed by the site
}

// Unit is a unit that values of a variable come in. Outside of Low to High a value is
// implausible, outside of Min to Max impossible; an infinity is no bound.
type Unit struct {
	Code                string  // UCUM
	Concepts            []int64 // of OMOP: the releases of its vocabulary differ
	Low, High, Min, Max float64
}

// What is not limited in time.
var (
	Always  = sqldb.Day(1, time.January, 1)
	Forever = sqldb.Day(9999, time.December, 31)
)

// List is one version of the variables.
type List struct {
	Version   int // 0 for the shipped list that no store has numbered
	variables []Variable
	byConcept map[int64][]int // indexes of variables
}

// newList indexes variables, which are in the order they are listed in.
func newList(version int, variables []Variable) *List {
	l := &List{Version: version, variables: variables, byConcept: make(map[int64][]int, len(variables))}
	for i, v := range variables {
		l.byConcept[v.Concept] = append(l.byConcept[v.Concept], i)
	}
	return l
}

// All returns the variables in the order of the list. The slice is shared: callers do
// not change it.
func (l *List) All() []Variable { return l.variables }

// At returns the variable that a concept is on a day, and whether there is one.
func (l *List) At(concept int64, day sqldb.Date) (*Variable, bool) {
	for _, i := range l.byConcept[concept] {
		if v := &l.variables[i]; v.From <= day && day <= v.To {
			return v, true
		}
	}
	return nil, false
}

// Unit returns the unit of v that has a concept, and whether v comes in it.
func (v *Variable) Unit(concept int64) (*Unit, bool) {
	for i := range v.Units {
		for _, c := range v.Units[i].Concepts {
			if c == concept {
				return &v.Units[i], true
			}
		}
	}
	return nil, false
}

// shippedFile is the list that comes with the program; ORIGIN.md says where its bounds
// are from.
//
//go:embed variables.csv
var shippedFile []byte

// Shipped returns the list that comes with the program.
var Shipped = sync.OnceValue(func() *List {
	entries, err := parse(shippedFile)
	if err == nil {
		err = check(entries)
	}
	if err != nil {
		panic("variable: shipped list: " + err.Error())
	}
	return newList(0, variables(entries))
})
