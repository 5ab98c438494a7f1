package evidence

import (
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// policy checks that what was released kept the trial's limits.
func (v *verification) policy(q *question) {
	r, demanded := q.result, q.design.Disclosure
	var err error
	switch {
	case r.Policy.Validate() != nil:
		err = r.Policy.Validate()
	case disclosure.Strictest(r.Policy, demanded) != r.Policy:
		err = errors.New("the limits that were applied are looser than the trial's")
	case len(r.Answered) < r.Policy.MinSites:
		err = fmt.Errorf("%d sites answered, and the limit is %d", len(r.Answered), r.Policy.MinSites)
	}
	for _, a := range r.Answered {
		if a.AtLeast < demanded.MinCell || a.AtLeast > r.Policy.MinCell {
			err = errors.Join(err, fmt.Errorf("node %s has to prove at least %d records, and the limits are %d to %d",
				a.Node, a.AtLeast, demanded.MinCell, r.Policy.MinCell))
		}
	}
	if err != nil {
		v.report.fail(CheckPolicy, q.id.String(), "%s: %v", q.resultLeaf.place(), err)
		return
	}
	v.report.pass(CheckPolicy, q.id.String(), "the limits are at least the trial's: cells of %d, rounding to %d, %d sites",
		r.Policy.MinCell, r.Policy.Rounding, r.Policy.MinSites)
}

// cells checks that the answer has the form that the question asked for.
func (v *verification) cells(q *question) {
	r := q.result
	if q.body.Analysis.Kind.InRounds() {
		v.model(q)
		return
	}
	err := wellFormed(q.body, r)
	if err != nil {
		v.report.fail(CheckCells, q.id.String(), "%s: %v", q.resultLeaf.place(), err)
		return
	}
	v.report.pass(CheckCells, q.id.String(), "the answer has the %d cells that were asked for, %d of them withheld", len(r.Cells), r.WithheldCells)
}

// model checks that the answer is of the method that was asked for.
func (v *verification) model(q *question) {
	r := q.result
	if !q.body.Analysis.AnsweredBy(r.Outcome) || len(r.Cells) > 0 || r.Total != nil {
		v.report.fail(CheckCells, q.id.String(), "%s: the answer is not of the method that was asked for", q.resultLeaf.place())
		return
	}
	v.report.pass(CheckCells, q.id.String(), "the answer is of the method that was asked for, after %d rounds", r.Rounds)
}

func wellFormed(request query.Request, r query.Result) error {
	a, want := request.Analysis, 1
	axes, err := request.Axes()
	if err != nil {
		return err
	}
	for _, axis := range axes {
		want *= len(axis.Levels)
	}
	if len(r.Cells) != want {
		return fmt.Errorf("the answer has %d cells, and %d were asked for", len(r.Cells), want)
	}
	if r.Total == nil && !a.Attrition {
		return errors.New("the answer has no total")
	}
	if r.Total != nil && a.Attrition {
		return errors.New("the answer has a total over steps that hold the same persons")
	}
	seen := make(map[string]bool)
	withheld, sum := 0, int64(0)
	for i, c := range r.Cells {
		if len(c.Levels) != len(axes) {
			return fmt.Errorf("cell %d does not say which it is", i)
		}
		for k, axis := range axes {
			if !slices.Contains(axis.Levels, c.Levels[k]) {
				return fmt.Errorf("cell %d has a level that %q does not have", i, axis.Name)
			}
		}
		name := fmt.Sprint(c.Levels)
		if seen[name] {
			return fmt.Errorf("cell %d stands twice", i)
		}
		seen[name] = true
		sum += c.N
		switch {
		case c.Withheld && (c.N != 0 || c.Mean != nil || c.SD != nil):
			return fmt.Errorf("cell %d is withheld and has a number", i)
		case c.Withheld:
			withheld++
		case c.N < 0:
			return fmt.Errorf("cell %d has a negative number", i)
		// Counts are rounded by each site on its own, means by the hub.
		case a.Kind == query.Moments && r.Policy.Rounding > 1 && c.N%int64(r.Policy.Rounding) != 0:
			return fmt.Errorf("cell %d is not rounded as the limits say", i)
		}
	}
	switch {
	case withheld != r.WithheldCells:
		return fmt.Errorf("%d cells are withheld, and the answer says %d", withheld, r.WithheldCells)
	case a.Kind == query.Count && !a.Attrition && r.Total.N != sum:
		return errors.New("the total is not the sum of the cells")
	}
	return nil
}
