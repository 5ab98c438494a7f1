package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Rule says why a row was not taken.
type Rule string

// The rules.
const (
	Width         Rule = "row-width"      // more or fewer cells than the header
	NoPerson      Rule = "no-person"      // the person's cell is empty, or cannot be an identifier of the system
	UnknownPerson Rule = "unknown-person" // the node knows nobody of that identifier
	SecondRow     Rule = "second-row"     // the person has a row before
	NoNumber      Rule = "not-a-number"   // in decimal notation with a point
	OutOfRange    Rule = "out-of-range"   // beyond low or high of the schema
	NoLevel       Rule = "unknown-level"  // the schema does not have
	NotLogical    Rule = "not-logical"    // neither of the schema's texts
)

// Problem is the first fault of a row. It holds no value of it.
type Problem struct {
	Line   int    `json:"line" doc:"In the file, from 1, which is the header; of Parquet that of its text, one a row"`
	Column string `json:"column,omitempty"`
	Rule   Rule   `json:"rule"`
}

// maxProblems is how many problems are listed.
const maxProblems = 100

// Faults are why a file was not taken.
type Faults struct {
	Count map[Rule]int // rows, by the rule of their first fault
	First []Problem    // up to 100
}

// Error lists the first faults.
func (f Faults) Error() string {
	var b strings.Builder
	b.WriteString("the file has faults and nothing was changed:")
	for i, rule := range slices.Sorted(maps.Keys(f.Count)) {
		fmt.Fprintf(&b, "%s %d of rule %s", []string{"", ","}[min(i, 1)], f.Count[rule], rule)
	}
	const shown = 20
	for i, p := range f.First[:min(len(f.First), shown)] {
		fmt.Fprintf(&b, "%s line %d", []string{"; the first are", ","}[min(i, 1)], p.Line)
		if p.Column != "" {
			fmt.Fprintf(&b, " column %q", p.Column)
		}
		fmt.Fprintf(&b, " (%s)", p.Rule)
	}
	return b.String()
}

// Unwrap returns the problem to send: it names lines and columns, no value.
func (f Faults) Unwrap() error { return problem.New(problem.Invalid, f.Error()) }

func (f *Faults) add(line int, column string, rule Rule) {
	f.Count[rule]++
	if len(f.First) < maxProblems {
		f.First = append(f.First, Problem{line, column, rule})
	}
}

// sort puts the listed problems in the order of the file.
func (f Faults) sort() {
	slices.SortStableFunc(f.First, func(a, b Problem) int { return a.Line - b.Line })
}

func (f Faults) rows() (n int) {
	for _, count := range f.Count {
		n += count
	}
	return n
}

func (f Faults) clone() Faults {
	return Faults{Count: maps.Clone(f.Count), First: append([]Problem{}, f.First...)}
}
