package query_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/problem"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// biobank is what the clinic's site holds.
func biobank() dataset.Schema {
	return dataset.Schema{
		Name: "biobank", Version: "1", Person: dataset.Person{Column: "id", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "smoker", Kind: protocol.LogicalValues, Domain: "Observation", True: "1", False: "0"},
			{Name: "crp", Kind: protocol.NumericValues, Domain: "Measurement", High: 500, Unit: "mg/L"},
			{Name: "grade", Kind: protocol.FactorValues, Domain: "ConditionOccurrence", Levels: []string{"low", "high"}},
		},
	}
}

// load gives persons rows in the clinic's biobank.
func (c *clinic) load(t *testing.T, rows map[string][]float64) {
	t.Helper()
	require.NoError(t, c.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		return c.cfg.Datasets.Replace(t.Context(), tx, biobank(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), func(yield func(dataset.Row) bool) {
			for name, values := range rows {
				if !yield(dataset.Row{Person: c.persons[name], Values: values}) {
					return
				}
			}
		})
	}))
}

// describe asks for all columns of the biobank, of more levels and wider bounds than it has.
func describe() protocol.Request {
	column := func(c protocol.Column) protocol.Column {
		c.From, c.Dataset = protocol.FromDataset, "biobank"
		return c
	}
	return protocol.Request{Dataset: "biobank", Analysis: protocol.Analysis{
		Kind:  protocol.GLM,
		Specs: protocol.Specs{GLM: &protocol.GLMSpec{Formula: "smoker ~ c.reactive + grade + sex", Family: protocol.Binomial}},
		Columns: []protocol.Column{
			column(protocol.Column{Name: "smoker", Kind: protocol.LogicalValues, Domain: "Observation"}),
			column(protocol.Column{Name: "c.reactive", Column: "crp", Kind: protocol.NumericValues, Domain: "Measurement", Low: -1, High: 600, Unit: "mg/L"}),
			column(protocol.Column{Name: "grade", Kind: protocol.FactorValues, Domain: "ConditionOccurrence", Levels: []string{"none", "high", "low"}}),
			{Name: "sex", From: protocol.FromSex},
		},
	}}
}

func TestFrameOfADataset(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := newClinic(t, db)
		for _, name := range []string{"anna", "bert", "carl", "dora"} {
			c.person(t, name, female, white, 1950)
		}
		na := math.NaN()
		c.load(t, map[string][]float64{"anna": {1, 12.5, 0}, "bert": {0, na, 1}, "dora": {1, 3, 1}})
		answer, err := c.engine.Evaluate(t.Context(), describe(), all{c.persons["dora"]: true})
		require.NoError(t, err)
		require.Equal(t, []omop.PersonID{c.persons["anna"], c.persons["bert"]}, answer.Used, "who has a row and permits the use")
		for name, want := range map[string][]float64{"smoker": {1, 0}, "c.reactive": {12.5, na}, "grade": {2, 1}, "sex": {0, 0}} {
			for i, v := range answer.Frame.Values.Values(name) {
				require.True(t, v == want[i] || math.IsNaN(v) && math.IsNaN(want[i]), "%s of %d is %v", name, i, v)
			}
		}
		require.Contains(t, answer.Sets, `dataset biobank "crp"`)
		require.Len(t, answer.Values, 1, "levels are told by who is in a cell")
		require.Contains(t, answer.Values, `dataset biobank "crp"`)

		renamed := describe()
		renamed.Analysis.GLM.Formula, renamed.Analysis.Columns[1].Name = "smoker ~ crp + grade + sex", "crp"
		renamed.Analysis.Columns[1].Column = ""
		other, err := c.engine.Evaluate(t.Context(), renamed, all{c.persons["dora"]: true})
		require.NoError(t, err)
		require.Equal(t, answer.Measure, other.Measure, "the same column by its own name")

		count := protocol.Request{Dataset: "biobank", Analysis: protocol.Analysis{Kind: protocol.Count, By: []protocol.Stratifier{protocol.BySex}}}
		counted, err := c.engine.Evaluate(t.Context(), count, all{})
		require.NoError(t, err)
		require.EqualValues(t, 3, counted.Table.Cells[0].N)
	})
}

// TestAColumnHasToHoldWhatTheSiteHas: the refusal names the field that differs and the fix.
func TestAColumnHasToHoldWhatTheSiteHas(t *testing.T) {
	t.Parallel()
	c := newClinic(t, sqltest.SQLite(t))
	c.load(t, nil)
	for want, change := range map[string]func(r *protocol.Request){
		`analysis.columns[0].dataset: the site has no data set "registry"`: func(r *protocol.Request) { r.Analysis.Columns[0].Dataset = "registry" },
		`dataset: the site has no data set "registry"`:                     func(r *protocol.Request) { r.Dataset = "registry" },
		`columns[1].column: the site's data set biobank has no column "x"`: func(r *protocol.Request) { r.Analysis.Columns[1].Column = "x" },
		"columns[0].kind: the column is logical at the site": func(r *protocol.Request) {
			r.Analysis.Columns[0].Kind, r.Analysis.Columns[0].High = protocol.NumericValues, 1
		},
		"columns[1].domain: the site has the column under Measurement": func(r *protocol.Request) { r.Analysis.Columns[1].Domain = "Person" },
		`columns[1].unit: the column is in "mg/L" at the site`:         func(r *protocol.Request) { r.Analysis.Columns[1].Unit = "mg/dL" },
		"columns[1].low: the site allows values down to 0":             func(r *protocol.Request) { r.Analysis.Columns[1].Low = 1 },
		"columns[1].high: the site allows values up to 500":            func(r *protocol.Request) { r.Analysis.Columns[1].High = 400 },
		`columns[2].levels: the site's column may have "low" too`:      func(r *protocol.Request) { r.Analysis.Columns[2].Levels = []string{"high", "none"} },
	} {
		r := describe()
		change(&r)
		_, err := c.engine.Evaluate(t.Context(), r, all{})
		require.ErrorContains(t, err, want)
		require.Equal(t, "query.dataset", problem.From(err).Rule)
	}
}
