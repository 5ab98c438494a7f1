package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

// protect withholds more cells of a table until what is left, with everything
// released before, gives no withheld one away. Where one more cell is enough, it is
// the one of the fewest persons that is. Otherwise cells are taken up again from the
// largest down, each if it does no harm beside those before; what is left out then
// may be more than the least there is, but nothing of it could be added. Of cells of as
// many persons the first in the table's order is withheld first.
//
// If nothing can be left, the error is that of the whole table.
func (d *decision) protect(ctx context.Context, t analysis.Table, a Answer) (analysis.Table, []measureSet, error) {
	sets, whole := d.safe(ctx, t, a)
	if !given(whole) {
		return t, sets, whole
	}
	cells := shown(t) // from the fewest persons
	slices.SortStableFunc(cells, func(i, j int) int { return int(t.Cells[i].N - t.Cells[j].N) })
	for _, cell := range cells {
		if len(cells) == 1 {
			break
		}
		try := without(t, cell)
		if sets, err := d.safe(ctx, try, a); !given(err) {
			return try, sets, d.orWhole(err, whole)
		}
	}
	kept := without(t, cells...)
	var keptSets []measureSet
	for _, cell := range slices.Backward(cells) {
		try := analysis.Table{Cells: slices.Clone(kept.Cells)}
		try.Cells[cell] = t.Cells[cell]
		sets, err := d.safe(ctx, try, a)
		switch {
		case err == nil:
			kept, keptSets = try, sets
		case !given(err):
			return t, nil, d.orWhole(err, whole)
		}
	}
	if keptSets == nil {
		return t, nil, whole
	}
	return kept, keptSets, nil
}

// orWhole returns err, or what was said of the whole table if looking for less
// than it only took too long.
func (d *decision) orWhole(err, whole error) error {
	if errors.Is(err, ErrAudit) {
		return whole
	}
	return err
}

// shown returns the cells of which a number of somebody is shown.
func shown(t analysis.Table) (cells []int) {
	for i, c := range t.Cells {
		if !c.Withheld && c.N > 0 {
			cells = append(cells, i)
		}
	}
	return cells
}

// without returns the table with some cells withheld.
func without(t analysis.Table, cells ...int) analysis.Table {
	out := analysis.Table{Cells: slices.Clone(t.Cells)}
	for _, i := range cells {
		out.Cells[i] = out.Cells[i].Withhold()
	}
	return out
}

// safe returns the sets that the numbers of a table are about, or the rule by which
// it must not be released as it is.
func (d *decision) safe(ctx context.Context, t analysis.Table, a Answer) ([]measureSet, error) {
	sets, err := d.judgedSets(t, a)
	if err != nil {
		return nil, err
	}
	if err := d.compare(ctx, sets); err != nil {
		return nil, err
	}
	if len(shown(t)) == 0 {
		// This refusal says that all cells are few, which may bound others like marks.
		if err := d.bounds(ctx, t, a, sets); err != nil {
			return nil, err
		}
		d.withheld = sets
		return nil, ErrCells.With(fewer(d.q.Policy))
	}
	if err := d.audit(ctx, sets); err != nil {
		return nil, err
	}
	return sets, d.bounds(ctx, t, a, sets)
}

// bounds refuses if the answer, with earlier ones, bounds a withheld cell.
func (d *decision) bounds(ctx context.Context, t analysis.Table, a Answer, sets []measureSet) error {
	if a.Frame != nil {
		return d.frameMargins(ctx, sets)
	}
	exact := len(t.Cells) > 0 && len(t.Cells[0].Sums) > 0
	return d.margins(ctx, sets, a.Measure, exact, exact)
}

// fewer says what to change where cells are too small.
func fewer(p disclosure.Policy) string {
	return fmt.Sprintf("a cell needs at least %d persons here; ask for fewer strata, or about a wider cohort", least(p))
}
