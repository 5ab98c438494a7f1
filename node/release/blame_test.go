package release_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
)

// TestRefusalsSayWhere: of which cell or column of the question, by its name there, and what
// to change; and say it again to who asks again.
func TestRefusalsSayWhere(t *testing.T) {
	t.Parallel()
	named := func(a release.Answer, labels ...string) release.Answer {
		for _, label := range labels {
			a.Labels = append(a.Labels, []string{label})
		}
		a.Columns = map[string]string{"concept 1": "sbp", "columns x": ""}
		return a
	}
	heavy := func(i int) float64 { return map[bool]float64{true: 1000, false: 0.1}[i == 0] }
	odd := func(i int) float64 { return map[bool]float64{true: 9, false: 7}[i < 5] }
	for name, c := range map[string]struct {
		before, now release.Answer
		want        error
		says        []string
	}{
		"few in a combination": {
			now:  named(model(t, ids(1, 40), 3, 3, small), "case = no", "case = yes"),
			want: release.ErrLevels, says: []string{"the cell case = yes;", "leave out a column, join levels"},
		},
		"one has most": {
			now:  named(model(t, ids(1, 40), 20, 3, heavy), "case = no", "case = yes"),
			want: release.ErrDominance, says: []string{"column x in the cell case = yes;", "leave it out"},
		},
		"few differ": {
			now:  named(model(t, ids(1, 40), 20, 3, odd), "case = no", "case = yes"),
			want: release.ErrOdd, says: []string{"x in the cell case = yes;", "ask whether there is such an event"},
		},
		"too close to what was shown": {
			before: count(ids(1, 40)), now: named(count(ids(1, 39))),
			want: release.ErrDifference, says: []string{"the whole cohort;", "at least 11 are others"},
		},
		"too close to what was withheld": {
			before: count(ids(1, 10), ids(50, 99)), now: named(count(ids(1, 13))),
			want: release.ErrNear, says: []string{"the whole cohort;", "at least 11 are others"},
		},
		"adds up": {
			before: count(ids(1, 50), ids(51, 90), ids(91, 130)), now: named(count(ids(1, 93))),
			want: release.ErrDifference, says: []string{"the whole cohort;", "at least 11 are others"},
		},
		"values that changed": {
			before: model(t, ids(1, 40), 20, 3, small), now: named(model(t, ids(1, 40), 20, 3, func(i int) float64 { return small(i) + map[bool]float64{true: 1}[i == 0] }), "case = no", "case = yes"),
			want: release.ErrDifference, says: []string{"the values of sbp in"},
		},
		"no cell": {now: count(ids(1, 5)), want: release.ErrCells, says: []string{"at least 11 persons", "fewer strata"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			if c.before.Used != nil {
				_, err := gate.Release(t.Context(), ask("before"), c.before, now)
				require.NoError(t, err)
			}
			q := ask("now")
			_, err := gate.Release(t.Context(), q, c.now, now)
			require.ErrorIs(t, err, c.want)
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
			_, found, again := gate.Recall(t.Context(), q.ID)
			require.True(t, found)
			require.EqualError(t, again, err.Error())
		})
	}
}
