package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// named returns what the question calls a number of the answer: a cell by its levels, a
// column by its name.
func (a Answer) named(measure string, cell int) string {
	of, values := strings.CutPrefix(measure, valuesOf)
	text := "the persons outside of its cells"
	switch {
	case cell == unionCell:
		text = "all of its persons"
	case cell < len(a.Labels) && len(a.Labels[cell]) > 0:
		text = "the cell " + strings.Join(a.Labels[cell], ", ")
	case cell < max(len(a.Table.Cells), 1):
		text = "the whole cohort"
	}
	switch column := a.Columns[of]; {
	case column == "":
		return text
	case values:
		return "the values of " + column + " in " + text
	default:
		return text + ", as far as they have a value of " + column
	}
}

// apart says what to ask in place of a number that is too close to another.
func (d *decision) apart(measure string, cell int) string {
	return fmt.Sprintf("%s; use the answer there is, or ask about persons of whom at least %d are others", d.answer.named(measure, cell), d.q.Policy.MinDifference)
}

// blame says of a refusal because numbers can be added and subtracted which cell is at fault,
// if one alone is.
func (d *decision) blame(ctx context.Context) error {
	for _, measure := range slices.Sorted(maps.Keys(d.behind)) {
		before, err := d.earlier(ctx, measure)
		if err != nil {
			return err
		}
		for cell, persons := range d.behind[measure] {
			if len(persons) == 0 {
				continue
			}
			found, err := infersWithin(&d.spent, before.released, []set{persons}, d.q.Policy.MinDifference*perPerson(measure))
			switch {
			case errors.Is(err, ErrAudit):
				return ErrDifference
			case err != nil:
				return err
			case found:
				return ErrDifference.With(d.apart(measure, cell))
			}
		}
	}
	return ErrDifference.With(fmt.Sprintf("none of its cells alone, but some together; ask for fewer strata, or use the answers there are (a difference must be of %d persons)", d.q.Policy.MinDifference))
}

// ofColumn names the column that a measure is of, if the question has a name for it.
func (d *decision) ofColumn(measure string) string {
	if column := d.answer.Columns[measure]; column != "" {
		return " (column " + column + ")"
	}
	return ""
}

// given reports whether an error says that numbers would give others away, which
// withholding more cells may mend.
func given(err error) bool {
	return errors.Is(err, ErrDifference) || errors.Is(err, ErrNear) || errors.Is(err, ErrMargins)
}
