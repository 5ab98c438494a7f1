package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
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

// equationsOf begins the measure under which it is kept in how many sums, in place of a cell, each value
// of a column is, times those of other columns, and over whom: all, or who has the column.
const equationsOf = "equations of "

// parameters returns what is to be kept of the parameters of a frame's models. It refuses more
// than there are persons for, in this frame or with those of other questions about the same.
// Of models of others as well, as many count as these are a share of their persons.
func (d *decision) parameters(ctx context.Context, a Answer) (keep []measureSet, refusal, err error) {
	f := *a.Frame
	if f.Parameters*personsPerParameterHere > f.fewest() {
		return nil, ErrParameters.With(fmt.Sprintf("%d parameters need at least %d persons here", f.Parameters, f.Parameters*personsPerParameterHere)), nil
	}
	if d.q.Policy.MinDifference <= 1 {
		return nil, nil, nil
	}
	var all set
	for _, s := range d.behind[a.Measure] {
		all = union(all, s)
	}
	var few *problem.Error
	over := map[string]set{"all": all}
	for column := range a.Values {
		over[column] = union(d.behind[column]...)
	}
	for _, of := range slices.Sorted(maps.Keys(over)) {
		more, err := d.apartByEquations(ctx, of, f.Equations, over[of])
		if errors.As(err, &few) {
			return nil, few, nil
		}
		if err != nil {
			return nil, nil, err
		}
		keep = append(keep, more...)
	}
	if len(f.Products) == 0 {
		return keep, nil, nil
	}
	total := float64(f.Parameters)
	err = d.eachOf(ctx, modelled, func(question string, parameters int, earlier set) {
		only, more := earlier.differences(all)
		if question == d.q.Same.String() && only+more == 0 {
			return // the values of that answer were forgotten: it is the same one
		}
		total += float64(parameters) * (1 - float64(only)/float64(len(earlier)))
	})
	if err != nil {
		return nil, nil, err
	}
	if total*personsPerParameterTogether > float64(len(all)) {
		return nil, ErrParameters.With("with those of other models that these persons are in; use the answers there are"), nil
	}
	return append(keep, measureSet{measure: modelled, cell: f.Parameters, members: all}), nil, nil
}

// apartByEquations refuses if sums over other persons before could be added to and subtracted from
// those over all of these until fewer persons are left than two for each equation that is then about
// them alone: of two models of eleven parameters whose persons differ by eleven, whoever knows the
// columns of the eleven solves for the response of each. It returns what is to be kept.
func (d *decision) apartByEquations(ctx context.Context, of string, equations int, all set) (keep []measureSet, err error) {
	if len(all) == 0 || equations*personsPerParameterTogether <= d.q.Policy.MinDifference {
		return nil, nil // which those are anyway
	}
	sets := make(map[int][]set) // of earlier questions, by how many equations they have in common with this one
	if err := d.eachOf(ctx, equationsOf+of, func(_ string, its int, earlier set) {
		sets[min(its, equations)] = append(sets[min(its, equations)], earlier)
	}); err != nil {
		return nil, err
	}
	var known []set
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(sets))) {
		known = append(known, sets[n]...)
		found, err := infersWithin(&d.spent, known, []set{all}, n*personsPerParameterTogether)
		if err != nil {
			return nil, err
		}
		if found {
			return nil, ErrParameters.With(fmt.Sprintf("the persons differ from those of another question by fewer than %d, two for each sum that both have; ask about the same persons, or of fewer columns", n*personsPerParameterTogether))
		}
	}
	return []measureSet{{measure: equationsOf + of, cell: equations, members: all}}, nil
}

// eachOf calls f with what was kept under a measure: the question, the number in place of a cell, and
// the persons.
func (d *decision) eachOf(ctx context.Context, measure string, f func(question string, number int, members set)) error {
	return d.tx.Each(ctx, `SELECT r.question, s.cell, s.members FROM release_set AS s JOIN release AS r ON r.query = s.query WHERE s.measure = ?`,
		[]any{measure}, func(rows *sqldb.Rows) error {
			var question string
			var number int
			var raw []byte
			if err := rows.Scan(&question, &number, &raw); err != nil {
				return err
			}
			members, err := parseSet(raw)
			if err == nil {
				f(question, number, members)
			}
			return err
		})
}
