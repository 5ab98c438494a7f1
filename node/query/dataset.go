package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ruleDataset is the rule of what a site's data sets cannot answer.
const ruleDataset = "query.dataset"

// everybody returns the permitted persons with a row in a data set. They enter nothing, so
// the day of their entry means nothing.
func (e *Engine) everybody(ctx context.Context, name string, permission Permission) (map[omop.PersonID]entry, error) {
	entries := make(map[omop.PersonID]entry)
	err := e.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		set, err := e.dataset(ctx, tx, "dataset", name)
		if err != nil {
			return err
		}
		for row, err := range e.cfg.Datasets.Values(ctx, tx, set, nil) {
			if err != nil {
				return err
			}
			if permission.Permits(row.Person) {
				entries[row.Person] = entry{}
			}
		}
		return nil
	})
	return entries, err
}

// dataset returns the schema of the data set that a field of a question names.
func (e *Engine) dataset(ctx context.Context, tx *sqldb.Tx, field, name string) (dataset.Schema, error) {
	set, err := e.cfg.Datasets.Set(ctx, tx, name)
	if errors.Is(err, dataset.ErrUnknown) {
		err = problem.Refusal(ruleDataset, fmt.Sprintf("%s: the site has no data set %q: have it loaded there, or ask without the site", field, name))
	}
	return set.Schema, err
}

// fromDatasets fills in each subject's values of the columns that are of data sets, NaN for
// who has no row. Each set is read once.
func (e *Engine) fromDatasets(ctx context.Context, tx *sqldb.Tx, columns []query.Column, subjects []subject, values [][]float64) error {
	wanted := make(map[string][]int) // places of columns, by set
	for i, c := range columns {
		if c.From == query.FromDataset {
			wanted[c.Dataset] = append(wanted[c.Dataset], i)
			values[i] = slices.Repeat([]float64{math.NaN()}, len(subjects))
		}
	}
	at := places(subjects)
	for name, list := range wanted {
		set, err := e.dataset(ctx, tx, fmt.Sprintf("analysis.columns[%d].dataset", list[0]), name)
		if err != nil {
			return err
		}
		stored, levels := make([]int, len(list)), make([][]float64, len(list))
		for k, i := range list {
			if stored[k], err = stands(set, columns[i]); err != nil {
				return problem.Refusal(ruleDataset, fmt.Sprintf("analysis.columns[%d].%s", i, err))
			}
			levels[k] = translated(set.Columns[stored[k]].Levels, columns[i].Levels)
		}
		for row, err := range e.cfg.Datasets.Values(ctx, tx, set, stored) {
			if err != nil {
				return err
			}
			subject, member := at[row.Person]
			if !member {
				continue
			}
			for k, i := range list {
				v := row.Values[k]
				if levels[k] != nil && !math.IsNaN(v) {
					v = levels[k][int(v)]
				}
				values[i][subject] = v
			}
		}
	}
	return nil
}

// stands returns the place of a question's column in a data set, or what keeps it from
// standing for that: its type has to hold every value that the site's can have, so that no
// value is left out in silence. What the error says is of the schema and public.
func stands(set dataset.Schema, asked query.Column) (int, error) {
	i := slices.IndexFunc(set.Columns, func(c dataset.Column) bool { return c.Name == asked.DatasetColumn() })
	if i < 0 {
		return 0, fmt.Errorf("column: the site's data set %s has no column %q", set.Name, asked.DatasetColumn())
	}
	has := set.Columns[i]
	switch {
	case has.Kind != asked.Kind:
		return 0, fmt.Errorf("kind: the column is %s at the site: ask for that, or have the set loaded there with another schema", has.Kind)
	case has.Domain != asked.Domain:
		return 0, fmt.Errorf("domain: the site has the column under %s, whose consent covers it: ask for that", has.Domain)
	case has.Unit != asked.Unit:
		return 0, fmt.Errorf("unit: the column is in %q at the site: ask for that, or have the set loaded there in another unit", has.Unit)
	case has.Low < asked.Low:
		return 0, fmt.Errorf("low: the site allows values down to %g: ask with that or less", has.Low)
	case has.High > asked.High:
		return 0, fmt.Errorf("high: the site allows values up to %g: ask with that or more", has.High)
	}
	for _, level := range has.Levels {
		if !slices.Contains(asked.Levels, level) {
			return 0, fmt.Errorf("levels: the site's column may have %q too: add it", level)
		}
	}
	return i, nil
}

// translated says which level of a question each level of a site is, nil without levels.
func translated(has, asked []string) []float64 {
	var to []float64
	for _, level := range has {
		to = append(to, float64(slices.Index(asked, level)))
	}
	return to
}
