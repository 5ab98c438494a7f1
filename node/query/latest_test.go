package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// TestValuesFollowTheTables: an engine that remembers values says what one says that has
// just begun, whatever was stored between two questions.
func TestValuesFollowTheTables(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := four(t, db)
		ask := func(unit string, high float64) release.Answer {
			r := protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Analysis: protocol.Analysis{
				Kind:     protocol.Moments,
				Variable: &protocol.Variable{Concept: systolic, Unit: unit, Take: protocol.TakeLast, Low: 0, High: high},
			}}
			again := c.evaluate(t, r)
			begun, err := query.NewEngine(c.cfg).Evaluate(t.Context(), r, all{})
			require.NoError(t, err)
			require.Equal(t, counts(begun), counts(again))
			require.Equal(t, begun.Values, again.Values)
			return again
		}
		c.pressure(t, "ada", 120, mmHg, "2024-01-01", false)
		require.Equal(t, []int64{1}, counts(ask("mm[Hg]", 300)))
		require.Equal(t, []int64{0}, counts(ask("kPa", 300)))
		require.Equal(t, []int64{0}, counts(ask("mm[Hg]", 100)))
		c.pressure(t, "ada", 320, mmHg, "2024-02-01", false)
		require.Equal(t, []int64{0}, counts(ask("mm[Hg]", 300)), "the later value is the last")
		c.pressure(t, "bob", 130, mmHg, "2024-02-01", false)
		c.pressure(t, "ada", 19, kPa, "2024-02-02", false)
		require.Equal(t, []int64{1}, counts(ask("mm[Hg]", 300)))
		require.Equal(t, []int64{2}, counts(ask("mm[Hg]", 400)))
		require.Equal(t, []int64{1}, counts(ask("kPa", 300)))
	})
}
