package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Why the gate does not let a frame's sums out, besides the rules for a table whose
// cells are the combinations of levels.
var (
	ErrLevels     = problem.Refusal("release.levels", "a combination of levels and yes-or-no values of the model's columns has fewer persons here than the policy demands, and not none")
	ErrDominance  = problem.Refusal("release.dominance", "one person has a larger share of a sum of the model's columns here than the policy allows")
	ErrOdd        = problem.Refusal("release.few-differ", "numeric columns tell some persons here from the others, and they are fewer than the policy demands: those with another value than most, in one column or in several at once, with one of few values, or in whose sets of rows one varies")
	ErrParameters = problem.Refusal("release.parameters", "the model has too many parameters for the number of persons: leave terms out or ask about a wider cohort")
	ErrFrameSize  = problem.Refusal("release.frame-size", "the persons times the columns of the model, or the combinations of levels, are more than this node keeps for one question")
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

// maxFrameCells bounds the combinations of levels that are compared with earlier answers.
const maxFrameCells = 2000

// Frame is a site's data for a method in rounds. All of it passes or none: what leaves are
// sums over all complete rows.
type Frame struct {
	Values *analysis.Frame

	// Views are the rows without a missing value of each set of columns that are summed
	// together.
	Views []*analysis.Frame

	Power      float64             // of the distances from a column's mean that are summed
	Products   []analysis.Products // of columns, that models sum
	Parameters int                 // numbers that the method estimates of a view
	Equations  int                 // sums in which a value of one column is, times those of others
	Times      []string            // columns that only say how long persons were watched, and why it ended

	// Varied says, of a likelihood within sets of rows, in how many of them here each covariate
	// varies, whose differences are all that is summed of it.
	Varied []analysis.Varied

	// Noised is the method in the form that takes noise, nil if there is none. Where the
	// policy asks for noise, what is let out and kept is its vector, in place of the frame.
	Noised analysis.Noised
}

// table is what the rules for tables see of a frame: the sums over each combination of
// levels that a complete row of a view has. Estimates of a model with all of its columns
// could give each of them, and those of nested events what lies between two.
func (f Frame) table() analysis.Table {
	var t analysis.Table
	for _, c := range f.cells() {
		share, _ := f.largestShare(c)
		t.Cells = append(t.Cells, analysis.Cell{N: int64(len(c.rows)), Sums: make([]analysis.Sum, 1), Largest: share})
	}
	return t
}

// largestShare returns the greatest share of a person in a sum over a cell, and of what.
func (f Frame) largestShare(c frameCell) (share float64, column string) {
	share, column = c.view.LargestShare(c.rows, f.Power, f.Times)
	for _, p := range f.Products {
		if s, product := p.LargestShare(c.view, c.rows); s > share {
			share, column = s, product
		}
	}
	return share, column
}

// frameCell are the rows of a cell in its view.
type frameCell struct {
	view *analysis.Frame
	rows []int
}

// cells are those of the table.
func (f Frame) cells() (list []frameCell) {
	for _, view := range f.Views {
		for _, rows := range view.Crossing(view.Columns()) {
			list = append(list, frameCell{view, rows})
		}
	}
	return list
}

// fewDiffer refuses if sums over some combination of levels would be about some persons there,
// but fewer than least; see [analysis.Frame.TellsFew]. Times are summed over all, however their
// watch ended.
func (a Answer) fewDiffer(least int) error {
	const fix = "leave a column out, ask whether there is such an event in place of how many, or ask about a wider cohort"
	for place, c := range a.Frame.cells() {
		if columns := c.view.TellsFew(c.rows, a.Frame.Times, least); columns != nil {
			return ErrOdd.With(fmt.Sprintf("%s in %s; %s", strings.Join(columns, ", "), a.named(a.Measure, place), fix))
		}
	}
	for _, v := range a.Frame.Varied {
		if 0 < v.Sets && v.Sets < least {
			return ErrOdd.With(fmt.Sprintf("%s, which varies in fewer than %d sets of rows; %s", v.Covariate, least, fix))
		}
	}
	for _, p := range a.Frame.Products {
		if slices.ContainsFunc(a.Frame.Views, func(view *analysis.Frame) bool { return p.FewAtStep(view, least) }) {
			return ErrOdd.With("the offset, which rises by more than 1 between persons, so that few have a weight; leave it out")
		}
	}
	for _, p := range a.Frame.Products {
		if slices.ContainsFunc(a.Frame.Views, func(view *analysis.Frame) bool { return p.FewByOffset(view, least) }) {
			return ErrOdd.With("the offset, by which few of those at risk, or of a stratum, have nearly all; leave it out")
		}
	}
	for _, view := range a.Frame.Views {
		var others []analysis.Column
		var numbers []string
		for _, c := range view.Columns() {
			if !slices.Contains(a.Frame.Times, c.Name) {
				others, numbers = append(others, c), append(numbers, c.Name)
			}
		}
		for _, rows := range view.Crossing(others) {
			for _, odd := range view.Odd(rows, numbers) {
				if len(odd.Rows) < least {
					return ErrOdd.With(odd.Column + "; " + fix)
				}
			}
		}
	}
	return nil
}

// fewOrOne refuses if a combination of levels has few persons, or one who has most of a sum.
func (a Answer) fewOrOne(p disclosure.Policy) error {
	var small []string
	for place, c := range a.Table.Cells {
		if c.N > 0 && c.N < least(p) {
			small = append(small, a.named(a.Measure, place))
		}
	}
	if len(small) > 0 {
		if more := len(small) - mostNamed; more > 0 {
			small = append(small[:mostNamed], fmt.Sprintf("and %d more", more))
		}
		return ErrLevels.With(strings.Join(small, ", ") + "; leave out a column, join levels, or ask about a wider cohort")
	}
	for place, c := range a.Frame.cells() {
		if dominated(a.Table.Cells[place], p.MaxShare) {
			_, column := a.Frame.largestShare(c)
			return ErrDominance.With(fmt.Sprintf("column %s in %s; leave it out, or ask about a wider cohort", column, a.named(a.Measure, place)))
		}
	}
	return nil
}

// mostNamed is how many cells one refusal names.
const mostNamed = 3

// fewest is the number of complete rows of the view that has fewest.
func (f Frame) fewest() int {
	n := f.Values.Len()
	for _, view := range f.Views {
		n = min(n, view.Len())
	}
	return n
}

// checkFrame returns the sets that the numbers of a frame are about. A frame of which a cell
// would be withheld is refused: nothing can be left out of a model.
func (d *decision) checkFrame(ctx context.Context, a Answer) ([]measureSet, error) {
	f := *a.Frame
	if f.Values.Len()*len(f.Values.Columns()) > maxFrameValues || len(a.Table.Cells) > maxFrameCells {
		return nil, ErrFrameSize
	}
	sets, err := d.judgedSets(a.Table, a)
	if err != nil {
		return nil, err
	}
	refusal := a.fewOrOne(d.q.Policy)
	if !slices.ContainsFunc(a.Table.Cells, func(c analysis.Cell) bool { return c.N >= least(d.q.Policy) }) {
		refusal = ErrCells.With(fewer(d.q.Policy))
	}
	if refusal == nil {
		refusal = a.fewDiffer(d.q.Policy.MinCell)
	}
	if refusal == nil {
		if sets, err = d.safe(ctx, a.Table, a); err != nil {
			return nil, err
		}
		var parameters []measureSet
		if parameters, refusal, err = d.parameters(ctx, a); err != nil {
			return nil, err
		}
		if refusal == nil {
			return append(sets, parameters...), nil
		}
	}
	sets = withhold(sets)
	if err := d.compare(ctx, sets); err != nil {
		return nil, err
	}
	d.withheld = sets
	return nil, refusal
}

// withhold returns the sets as those of numbers that are kept back.
func withhold(sets []measureSet) []measureSet {
	out := slices.Clone(sets)
	for i := range out {
		out[i].withheld = true
	}
	return out
}

// words returns what is kept of a released answer, with the policy's noise: the vector, or
// the frame's values.
func (d *decision) words(a Answer, table analysis.Table) (words []uint64, frame bool, err error) {
	noise := d.q.Policy.Noise != ""
	switch {
	case a.Frame != nil && noise:
		words, err = d.blurFrame(a.Frame)
		return words, false, err
	case a.Frame != nil:
		return a.Frame.Values.Bits(), true, nil
	case noise:
		if table, err = d.blurTable(table, a.Table); err != nil {
			return nil, false, err
		}
	}
	words, err = analysis.Encode(table)
	return words, false, err
}

// Frame returns the frame that was let pass, over the columns of the question.
func (r Released) Frame(columns []analysis.Column) (*analysis.Frame, error) {
	f, err := analysis.FrameOf(columns, r.words)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return f, nil
}
