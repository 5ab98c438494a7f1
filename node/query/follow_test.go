package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// TestFollowUp: it ends with the first event in the window, with the window or with the
// observation, whichever comes first; events are counted up to the most that count.
func TestFollowUp(t *testing.T) {
	t.Parallel()
	c := newClinic(t, sqltest.SQLite(t))
	for name, events := range map[string][]string{
		"anna": {"2025-03-01", "2025-03-06", "2025-04-01", "2025-06-01"}, // the first on the day of entry, before the window
		"bert": {"2024-01-01", "2026-01-05"},                             // before entry, after observation
		"carl": nil,
	} {
		c.person(t, name, female, white, 1950)
		c.condition(t, name, diabetes, map[string]string{"anna": "2025-03-01", "bert": "2025-12-01", "carl": "2025-03-01"}[name])
		for _, on := range events {
			c.condition(t, name, hypertension, on)
		}
	}
	c.put(t, omop.Batch{Deaths: []omop.Death{{Person: omop.NewKey("carl"), Pointer: "d", Date: day("2025-03-11"), TypeConceptID: ehr}}})

	window := &protocol.Window{From: 1, To: 60}
	follow := func(name string, from protocol.Origin) protocol.Column {
		return protocol.Column{Name: name, From: from, Domain: "ConditionOccurrence", Concepts: []int64{hypertension}, Window: window}
	}
	count := follow("count", protocol.FromCount)
	count.High = 2
	r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
		Kind:  protocol.Describe,
		Specs: protocol.Specs{Describe: &protocol.DescribeSpec{Values: []string{"days", "count", "life"}, By: "ended", Pairwise: true}},
		Columns: []protocol.Column{
			follow("days", protocol.FromFollowUp), follow("ended", protocol.FromOutcome), count,
			{Name: "life", From: protocol.FromFollowUp, Domain: "Death", Window: window},
		},
	}}
	answer, err := c.engine.Evaluate(t.Context(), r, all{})
	require.NoError(t, err)
	f := answer.Frame.Values
	at := make(map[string]int)
	for name, id := range c.persons {
		for i, used := range answer.Used {
			if used == id {
				at[name] = i
			}
		}
	}
	for column, want := range map[string]map[string]float64{
		"days":  {"anna": 5, "bert": 30, "carl": 60},
		"ended": {"anna": 1, "bert": 0, "carl": 0},
		"count": {"anna": 2, "bert": 1, "carl": 0},
		"life":  {"anna": 60, "bert": 30, "carl": 10},
	} {
		for name, v := range want {
			require.InDelta(t, v, f.Values(column)[at[name]], 0, "%s of %s", column, name)
		}
	}
	require.Len(t, answer.Frame.Views, 6, "each column by group, and each two of the three")
}
