package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	wire "github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestOnePersonEntersAsEverybodyDoes compares the two ways to evaluate a cohort.
func TestOnePersonEntersAsEverybodyDoes(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := newClinic(t, db)
		for _, name := range []string{"ann", "bob", "cem", "dan"} {
			c.person(t, name, female, white, 1960)
		}
		c.condition(t, "ann", diabetes, "2021-03-01")
		c.condition(t, "ann", diabetes, "2020-02-01")
		c.condition(t, "bob", hypertension, "2022-01-01")
		c.condition(t, "cem", diabetes, "2019-01-01") // before they were observed
		c.drug(t, "dan", metformin, "2020-01-10")     // early in their observation
		for name, want := range map[string]struct {
			window, criteria string
			in               map[string]string
		}{
			"one criterion": {anyWindow, hasDiabetes, map[string]string{"ann": "2020-02-01"}},
			"any of them":   {anyWindow, hasDiabetes + "," + hasHigh + "," + hasDrug, map[string]string{"ann": "2020-02-01", "bob": "2022-01-01", "dan": "2020-01-10"}},
			"with a window": {`{"PriorDays":180,"PostDays":0}`, hasDiabetes + "," + hasDrug, map[string]string{"ann": "2021-03-01"}},
			"nobody":        {`{"PriorDays":36500,"PostDays":0}`, hasDiabetes, nil},
		} {
			x, err := wire.Parse(cohort(want.window, want.criteria))
			require.NoError(t, err)
			for person, id := range c.persons {
				require.NoError(t, c.db.Read(t.Context(), func(tx *sqldb.Tx) error {
					on, in, err := c.engine.Enters(t.Context(), tx, x, id)
					require.NoError(t, err)
					expected, expectedIn := want.in[person]
					require.Equal(t, expectedIn, in, "%s: %s", name, person)
					if in {
						require.Equal(t, day(expected), on, "%s: %s", name, person)
					}
					return nil
				}))
			}
		}
		require.NoError(t, c.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			x, err := wire.Parse(cohort(anyWindow, hasDiabetes))
			require.NoError(t, err)
			_, in, err := c.engine.Enters(t.Context(), tx, x, omop.PersonID{})
			require.False(t, in, "nobody of that number")
			return err
		}))
	})
}
