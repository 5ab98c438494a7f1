package figures_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/figures"
)

var (
	shape = circuits.Shape{ShardSize: 4, Shards: 2, Slots: 2}
	tally = shape.Tally()
)

// committed are columns 1 to 4 of a node.
func committed() columns.Commitment {
	return columns.Commitment{
		Trial: "t-1", Dataset: "outcomes", Number: 1, ShardSize: 4, Shards: []query.Commitment{{1}},
		Columns: []columns.Column{
			{Name: "arm", Kind: query.FactorValues, Domain: "Person", Levels: []string{"active", "control"}},
			{Name: "event", Kind: query.LogicalValues, Domain: "Person"},
			{Name: "days", Kind: query.NumericValues, Domain: "Person", Low: -10.5, High: 1000, Unit: "d"},
			{Name: "ward", Kind: query.FactorValues, Domain: "Person", Levels: []string{"1", "2", "3", "4", "5"}},
		},
	}
}

// asked is a question over columns that are called by other names than at the node.
func asked(a query.Analysis) query.Request {
	for i, c := range committed().Columns {
		a.Columns = append(a.Columns, query.Column{
			Name: "q" + c.Name, Column: c.Name, From: query.FromDataset, Dataset: "outcomes", Kind: c.Kind, Domain: c.Domain, Low: c.Low, High: c.High, Unit: c.Unit, Levels: c.Levels,
		})
		if c.Kind == query.NumericValues {
			a.Columns[i].Low = -100 // wider is fine
		}
	}
	return query.Request{Trial: "t-1", Dataset: "outcomes", Proof: query.ProofResult, Purpose: "test", Analysis: a}
}

func incidence(by string) query.Request {
	return asked(query.Analysis{Kind: query.Incidence, Specs: query.Specs{Incidence: &query.IncidenceSpec{Events: "qevent", Time: "qdays", By: by}}})
}

func TestWhatAQuestionAsksOfColumns(t *testing.T) {
	t.Parallel()
	limits := figures.Limits{MinCell: 11, Rounding: 5}
	exact := circuits.Rule{Unit: 1}
	event, days := circuits.Condition{Column: 2, Hi: 1}, circuits.Condition{Column: 3, Hi: 1010}
	row := circuits.Condition{}
	for name, c := range map[string]struct {
		request query.Request
		plan    circuits.Plan
		terms   circuits.Terms
		unused  uint64
	}{
		"incidence by arm": {
			incidence("qarm"),
			circuits.Plan{Group: 1, Values: []uint8{2, 3}, Conditions: []circuits.Condition{event, days}},
			circuits.Terms{MinCount: 11, Count: exact, Sum: exact},
			0b11110000,
		},
		"incidence": {
			incidence(""),
			circuits.Plan{Group: 0, Values: []uint8{2, 3}, Conditions: []circuits.Condition{event, days}},
			circuits.Terms{MinCount: 11, Count: exact, Sum: exact},
			0b11111100,
		},
		"prevalence by a logical column": {
			asked(query.Analysis{Kind: query.Prevalence, Specs: query.Specs{Prevalence: &query.PrevalenceSpec{Property: "qevent", By: "qevent"}}}),
			circuits.Plan{Group: 2, Values: []uint8{2, 2}, Conditions: []circuits.Condition{event, event}},
			circuits.Terms{MinCount: 11, Count: exact, Sum: exact},
			0b11110000,
		},
		"description": {
			asked(query.Analysis{Kind: query.Describe, Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"qdays"}}}}),
			circuits.Plan{Group: 0, Values: []uint8{3, 3}, Conditions: []circuits.Condition{days, days}},
			circuits.Terms{MinCount: 11, Count: exact, Sum: exact, Squares: exact},
			0b11111100,
		},
		"count": {
			asked(query.Analysis{Kind: query.Count}),
			circuits.Plan{Group: 0, Values: []uint8{0, 0}, Conditions: []circuits.Condition{row, row}},
			circuits.Terms{MinCount: 11, Count: circuits.Rule{Unit: 5}},
			0b11111100,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := figures.Of(tally, c.request, committed(), limits)
			require.NoError(t, err)
			require.Equal(t, c.plan, got.Plan)
			require.Equal(t, c.terms, got.Terms)
			require.Equal(t, c.unused, got.Unused(tally))
			_, err = circuits.PackPlan(tally.Aggregate(), got.Plan)
			require.NoError(t, err)
			_, err = circuits.PackTerms(tally.Release(), got.Terms)
			require.NoError(t, err)
		})
	}
	got, err := figures.Of(tally, incidence("qarm"), committed(), limits)
	require.NoError(t, err)
	require.Equal(t, []string{"control"}, got.Missing(tally, got.Unused(tally)|0b1100), "in the node's order of levels")
	require.Empty(t, got.Missing(tally, got.Unused(tally)))
	require.True(t, got.Shown(tally, got.Unused(tally)|0b0111), "one value of one group")
	require.False(t, got.Shown(tally, got.Unused(tally)|0b1111))
}

func TestColumnsThatDoNotStandForTheQuestions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want   error
		change func(r *query.Request, c *columns.Commitment)
	}{
		"not committed to":   {figures.ErrColumn, func(_ *query.Request, c *columns.Commitment) { c.Columns = c.Columns[:2] }},
		"another unit":       {figures.ErrColumn, func(_ *query.Request, c *columns.Commitment) { c.Columns[2].Unit = "a" }},
		"values left out":    {figures.ErrColumn, func(r *query.Request, _ *columns.Commitment) { r.Analysis.Columns[2].High = 999 }},
		"a level left out":   {figures.ErrColumn, func(r *query.Request, _ *columns.Commitment) { r.Analysis.Columns[0].Levels = []string{"control", "x"} }},
		"another consent":    {figures.ErrColumn, func(_ *query.Request, c *columns.Commitment) { c.Columns[1].Domain = "Measurement" }},
		"groups of a number": {figures.ErrColumn, func(r *query.Request, _ *columns.Commitment) { r.Analysis.Incidence.By = "qdays" }},
		"too many groups":    {figures.ErrSize, func(r *query.Request, _ *columns.Commitment) { r.Analysis.Incidence.By = "qward" }},
	} {
		t.Run(name, func(t *testing.T) {
			r, of := incidence("qarm"), committed()
			c.change(&r, &of)
			_, err := figures.Of(tally, r, of, figures.Limits{})
			require.ErrorIs(t, err, c.want)
		})
	}
	other := committed()
	other.Trial = "t-2"
	_, err := figures.Of(tally, incidence(""), other, figures.Limits{})
	require.Error(t, err)
}
