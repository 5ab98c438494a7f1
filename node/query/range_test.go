package query_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// TestWhoLiesOutsideOfARange is told to the gate if the range leaves out more than one in a hundred of the
// values of all who permit the use: of tables and of frames, by the levels that their numbers add up over.
func TestWhoLiesOutsideOfARange(t *testing.T) {
	t.Parallel()
	c := newClinic(t, sqltest.SQLite(t))
	for _, p := range []struct {
		name  string
		sex   int64
		value float64
	}{{"anna", female, 120}, {"bert", male, 400}, {"carl", male, 140}, {"dora", female, 150}, {"emil", male, 0}, {"fred", male, 900}} {
		c.person(t, p.name, p.sex, white, 1950)
		c.condition(t, p.name, diabetes, "2022-03-10")
		if p.value > 0 {
			c.pressure(t, p.name, p.value, mmHg, "2022-03-01", false)
		}
	}
	model := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
		Kind: protocol.Describe, Specs: protocol.Specs{Describe: &protocol.DescribeSpec{Values: []string{"value", "age"}, By: "sex"}},
		Columns: []protocol.Column{
			{Name: "value", From: protocol.FromMeasurement, Concepts: []int64{systolic}, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 50, High: 300},
			{Name: "age", From: protocol.FromAge},
			{Name: "sex", From: protocol.FromSex},
		},
	}}
	table := protocol.Request{Cohort: model.Cohort, Analysis: protocol.Analysis{
		Kind: protocol.Moments, By: []protocol.Stratifier{protocol.BySex},
		Variable: &protocol.Variable{Concept: systolic, Unit: "mm[Hg]", Take: protocol.TakeLast, Low: 50, High: 300},
	}}
	of := func(column string, within []omop.PersonID, outside ...omop.PersonID) release.Cut {
		return release.Cut{Value: "range of concept 3004249", Parts: [][]omop.PersonID{within, outside}, Range: column}
	}
	bert := c.persons["bert"]
	for column, r := range map[string]protocol.Request{"value": model, "the variable": table} {
		require.Equal(t, []release.Cut{
			of(column, c.named(t, "anna", "carl", "dora"), bert), of(column, c.named(t, "anna", "dora")), of(column, c.named(t, "carl"), bert),
		}, c.evaluate(t, r, "fred").Cuts, column)
	}
	require.Equal(t, 3, c.evaluate(t, model, "fred").Frame.Views[0].Len(), "who lies outside has no value")

	// Of one person in a hundred only, however many values that one has.
	var b omop.Batch
	for i := range 96 {
		key, value := omop.NewKey(fmt.Sprint("another ", i)), 100.0
		b.Persons = append(b.Persons, omop.Person{Key: key, Pointer: "p", YearOfBirth: 1960})
		b.Measurements = append(b.Measurements, omop.Measurement{
			Record:    omop.Record{Key: omop.NewKey(fmt.Sprint("theirs ", i)), Person: key, Pointer: "r"},
			ConceptID: systolic, Start: day("2022-02-01"), TypeConceptID: ehr, Number: &value, UnitConceptID: mmHg,
		})
	}
	c.put(t, b)
	for day := range 5 {
		c.pressure(t, "bert", 500, mmHg, fmt.Sprintf("2022-02-0%d", day+1), false)
	}
	for column, r := range map[string]protocol.Request{"value": model, "the variable": table} {
		require.Empty(t, c.evaluate(t, r, "fred").Cuts, column)
		require.NotEmpty(t, c.evaluate(t, r).Cuts, column+": fred's is another")
	}
}
