package query_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// example is the request that the researchers' guide explains, without descendants: the
// vocabulary here has no hierarchy.
func example(t *testing.T) protocol.Request {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/docs/examples/comparison.json")
	require.NoError(t, err)
	var r protocol.Request
	require.NoError(t, json.Unmarshal(bytes.ReplaceAll(raw, []byte(`, "includeDescendants": true`), nil), &r))
	require.NoError(t, r.Analysis.Validate())
	return r
}

// TestNewUsers: who started one of two drugs, neither of them before, after a year of
// observation and without the outcome, with what they have before and after.
func TestNewUsers(t *testing.T) {
	t.Parallel()
	const celecoxib, diclofenac, bleeding, sprain = 1118084, 1124300, 192671, 81151
	c := newClinic(t, sqltest.SQLite(t))
	for name, records := range map[string]map[string]int64{
		"celecoxib":     {"2022-03-01": celecoxib, "2022-03-31": bleeding, "2021-05-05": sprain},
		"diclofenac":    {"2022-03-01": diclofenac, "2023-03-02": bleeding},
		"switched":      {"2022-03-01": diclofenac, "2022-04-01": celecoxib},
		"ends":          {"2025-12-01": celecoxib},
		"too early":     {"2020-03-01": celecoxib, "2022-03-01": diclofenac},
		"bled before":   {"2022-03-01": diclofenac, "2021-01-01": bleeding},
		"neither":       {"2022-03-01": sprain},
		"both at once":  {"2022-03-01": celecoxib},
		"just observed": {"2020-12-30": celecoxib},
	} {
		c.person(t, name, female, white, 1950)
		for on, concept := range records {
			if concept == celecoxib || concept == diclofenac {
				c.drug(t, name, concept, on)
			} else {
				c.condition(t, name, concept, on)
			}
		}
	}
	c.drug(t, "both at once", diclofenac, "2022-03-01")

	answer, err := c.engine.Evaluate(t.Context(), example(t), all{})
	require.NoError(t, err)
	want := map[string][]float64{ // celecoxib, age, sprain, days, bleeding
		"celecoxib":  {1, 72, 1, 30, 1},
		"diclofenac": {0, 72, 0, 365, 0},
		"switched":   {0, 72, 0, 365, 0},
		"ends":       {1, 75, 0, 30, 0},
	}
	require.Len(t, answer.Used, len(want))
	for name, values := range want {
		at := slices.IndexFunc(answer.Used, func(p omop.PersonID) bool { return p == c.persons[name] })
		require.GreaterOrEqual(t, at, 0, name)
		for i, column := range []string{"celecoxib", "age", "sprain", "days", "bleeding"} {
			require.InDelta(t, values[i], answer.Frame.Values.Values(column)[at], 0, "%s of %s", column, name)
		}
	}
}
