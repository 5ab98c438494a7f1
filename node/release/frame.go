package release

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Why the gate does not let a frame's sums out, besides the rules for a table of one cell
// with all its persons.
var (
	ErrLevels     = problem.Refusal("release.levels", "some level of a column, or one of the two values of a yes-or-no column, has fewer persons here than the policy demands, and not none: leave the column out or ask about a wider cohort")
	ErrParameters = problem.Refusal("release.parameters", "the model has too many parameters for the number of persons: leave terms out or ask about a wider cohort")
	ErrFrameSize  = problem.Refusal("release.frame-size", "the persons times the columns of the model are more than this node keeps for one question")
)

// How many persons a parameter needs. At the site a third of them leaves the pooled sums
// something to hide in; over all sites, which the site learns with the first sum, the rule
// is the usual one for regressions.
const (
	personsPerParameterHere    = 3
	PersonsPerParameterOverall = 10
)

// maxFrameValues bounds what is kept of one question: 64 MiB.
const maxFrameValues = 8 << 20

// Frame is a site's data for a method in rounds. All of it passes or none: what leaves are
// sums over all complete rows.
type Frame struct {
	Values   *analysis.Frame
	Complete *analysis.Frame // the rows without a missing value

	Parameters int // numbers that the method estimates
}

// table is what the rules for tables see of a frame: one cell of a sum.
func (f Frame) table() analysis.Table {
	return analysis.Table{Cells: []analysis.Cell{{
		N: int64(f.Complete.Len()), Sums: make([]analysis.Sum, 1), Largest: f.Complete.LargestShare(),
	}}}
}

// checkFrame applies the rules that only frames have.
func (d *decision) checkFrame(f Frame) error {
	least := max(d.q.Policy.MinCell, d.q.Policy.MinDifference)
	switch {
	case f.Values.Len()*len(f.Values.Columns()) > maxFrameValues:
		return ErrFrameSize
	case f.Complete.LeastLevel() < least:
		return ErrLevels
	case f.Parameters*personsPerParameterHere > f.Complete.Len():
		return ErrParameters
	}
	return nil
}

// withhold returns the sets as those of numbers that are kept back.
func withhold(sets []measureSet) []measureSet {
	out := slices.Clone(sets)
	for i := range out {
		out[i].withheld = true
	}
	return out
}

// words returns what is kept of a released answer: the vector, or the frame's values.
func (a Answer) words(table analysis.Table) ([]uint64, error) {
	if a.Frame != nil {
		return a.Frame.Values.Bits(), nil
	}
	return analysis.Encode(table)
}

// Frame returns the frame that was let pass, over the columns of the question.
func (r Released) Frame(columns []analysis.Column) (*analysis.Frame, error) {
	f, err := analysis.FrameOf(columns, r.words)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return f, nil
}
