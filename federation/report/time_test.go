package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// No unit is made up for a time of a data set that says none.
func TestTimesAreInTheUnitThatTheQuestionNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unit              query.TimeUnit
		units             float64
		per, called, axis string
	}{
		{query.Days, 365.25, "1,000 person-years", "days", "Time (days)"},
		{"mo", 12, "1,000 person-years", "months", "Time (months)"},
		{"min", 1, "1,000 min", "min", "Time (min)"},
		{"", 1, "1,000 units of time", "a unit that the question does not name", "Time"},
	} {
		units, per := scale(c.unit)
		require.Equal(t, c.units, units)
		require.Equal(t, []string{c.per, c.called, c.axis}, []string{per, called(c.unit), axis(c.unit)})
	}
}
