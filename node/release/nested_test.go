package release_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
)

// TestWithheldCellsDoNotComeOutOfLargerNumbers asks by two things and by one of
// them, in both orders. Each question alone is harmless and no two sets of both
// are nearly alike, but a cell that was withheld is what one number leaves of
// another.
func TestWithheldCellsDoNotComeOutOfLargerNumbers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		girls, boys int64
		leaks       bool
	}{
		"few of both":               {5, 7, true},
		"one, behind many":          {1, 10, true},
		"as many as the rule wants": {11, 11, false},
		"nobody":                    {0, 0, false},
		"none withheld":             {20, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			girls, boys := ids(201, 200+c.girls), ids(301, 300+c.boys)
			fine := count(ids(1, 30), ids(31, 60), girls, ids(101, 130), ids(131, 160), boys)
			coarse := count(slices.Concat(ids(1, 60), girls), slices.Concat(ids(101, 160), boys))
			gate := open(t, sqltest.SQLite(t))
			_, err := gate.Release(t.Context(), ask("fine"), fine, now)
			require.NoError(t, err)
			_, err = gate.Release(t.Context(), ask("coarse"), coarse, now)
			if c.leaks {
				require.ErrorIs(t, err, release.ErrDifference, "each of the two would give a group of few away")
			} else {
				require.NoError(t, err)
			}

			gate = open(t, sqltest.SQLite(t))
			_, err = gate.Release(t.Context(), ask("coarse"), coarse, now)
			require.NoError(t, err)
			r, err := gate.Release(t.Context(), ask("fine"), fine, now)
			require.NoError(t, err)
			if c.leaks {
				require.Equal(t, []cell{{0, 1}, {30, 0}, {0, 1}, {0, 1}, {30, 0}, {0, 1}}, cells(r), "a second one of each group is withheld")
			}
		})
	}
}
