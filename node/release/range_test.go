package release_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
)

// TestARangeIsACut: of a hundred persons with values of 1 to 100, compared with counts whichever came first.
func TestARangeIsACut(t *testing.T) {
	t.Parallel()
	without := ids(901, 905) // who have no value
	ranged := func(low, high int64) release.Answer {
		a := count(slices.Concat(ids(1, 100), without))
		a.Measure, a.Sets = "concept 1", map[string][][]omop.PersonID{"concept 1": {ids(low, high)}}
		a.Cuts = []release.Cut{{Value: "range of concept 1", Parts: [][]omop.PersonID{ids(low, high), slices.Concat(ids(1, low-1), ids(high+1, 100))}, Range: "value"}}
		return a
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		for name, c := range map[string]struct {
			low, high int64
			counted   []omop.PersonID
			want      error
		}{
			"up to the same":                   {1, 50, ids(1, 50), nil},
			"up to the next":                   {1, 50, ids(1, 51), release.ErrChoice},
			"few fewer":                        {1, 50, ids(1, 45), release.ErrChoice},
			"from the next on":                 {1, 50, ids(52, 100), release.ErrChoice},
			"the rest":                         {1, 50, ids(51, 100), nil},
			"eleven more":                      {1, 50, ids(1, 61), nil},
			"the same and who have no value":   {1, 50, slices.Concat(ids(1, 50), without), nil},
			"the next, and who have no value":  {1, 50, slices.Concat(ids(1, 51), without), release.ErrChoice},
			"all but few":                      {1, 95, ids(1, 100), release.ErrOdd},
			"all":                              {1, 100, ids(1, 100), nil},
			"a range that begins at the other": {51, 100, ids(1, 49), release.ErrChoice},
		} {
			gate := open(t, db)
			_, err := gate.Release(t.Context(), ask("a range, "+name), ranged(c.low, c.high), now)
			if c.want == release.ErrOdd { // whatever else was asked
				require.ErrorIs(t, err, c.want, name)
				continue
			}
			require.NoError(t, err, name)
			_, err = gate.Release(t.Context(), ask("a cohort, "+name), count(c.counted), now)
			require.ErrorIs(t, err, c.want, name)
			forget(t, db)

			gate = open(t, db)
			_, err = gate.Release(t.Context(), ask("a cohort first, "+name), count(c.counted), now)
			require.NoError(t, err, name)
			_, err = gate.Release(t.Context(), ask("a range then, "+name), ranged(c.low, c.high), now)
			require.ErrorIs(t, err, c.want, name)
			forget(t, db)
		}
	})
}

// forget empties the gate's memory.
func forget(t *testing.T, db *sqldb.DB) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for _, table := range []string{"release", "release_set"} {
			if _, err := tx.Exec(t.Context(), `DELETE FROM `+table); err != nil {
				return err
			}
		}
		return nil
	}))
}
