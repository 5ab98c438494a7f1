package release

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// An estimate is an equation about the values of everybody in its model. The terms of a formula
// are functions of other columns, and whoever knows those has as many equations as there are
// parameters, each with coefficients of its own: some models of the same persons by other
// products of the same columns are solved for each person's value.

// personsPerParameterTogether is how many persons here a parameter of all models of them needs.
const personsPerParameterTogether = 2

// modelled is the measure under which it is kept how many parameters, in place of a cell, were
// estimated of whom.
const modelled = "parameters"

// parameters returns what is to be kept of the parameters of a frame's models. It refuses more
// than there are persons for, in this frame or with those of other questions about the same.
// Of models of others as well, as many count as these are a share of their persons.
func (d *decision) parameters(ctx context.Context, a Answer) (keep []measureSet, refusal, err error) {
	f := *a.Frame
	if f.Parameters*personsPerParameterHere > f.fewest() {
		return nil, ErrParameters.With(fmt.Sprintf("%d parameters need at least %d persons here", f.Parameters, f.Parameters*personsPerParameterHere)), nil
	}
	if len(f.Products) == 0 || d.q.Policy.MinDifference <= 1 {
		return nil, nil, nil
	}
	var all set
	for _, s := range d.behind[a.Measure] {
		all = union(all, s)
	}
	total := float64(f.Parameters)
	err = d.tx.Each(ctx, `SELECT s.cell, s.members FROM release_set AS s JOIN release AS r ON r.query = s.query WHERE s.measure = ? AND r.question <> ?`,
		[]any{modelled, d.q.Same.String()}, func(rows *sqldb.Rows) error {
			var parameters int
			var raw []byte
			if err := rows.Scan(&parameters, &raw); err != nil {
				return err
			}
			earlier, err := parseSet(raw)
			if err != nil {
				return err
			}
			only, _ := earlier.differences(all)
			total += float64(parameters) * (1 - float64(only)/float64(len(earlier)))
			return nil
		})
	if err != nil {
		return nil, nil, err
	}
	if total*personsPerParameterTogether > float64(len(all)) {
		return nil, ErrParameters.With("with those of other models that these persons are in; use the answers there are"), nil
	}
	return []measureSet{{measure: modelled, cell: f.Parameters, members: all}}, nil, nil
}
