package release_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
)

// TestModelsShareTheirPersons: two persons for each parameter, over all models that they are in,
// by whomever they were asked and however far back; a question that is repeated has no more.
func TestModelsShareTheirPersons(t *testing.T) {
	t.Parallel()
	fit := func(persons []omop.PersonID, parameters int) release.Answer {
		a := model(t, persons, len(persons)/2, parameters, small)
		a.Frame.Products = make([]analysis.Products, 1)
		return a
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		for _, c := range []struct {
			question   string
			persons    []omop.PersonID
			parameters int
			want       error
		}{
			{"a", ids(1, 40), 14, release.ErrParameters},
			{"b", ids(1, 40), 10, nil},
			{"c", ids(1, 40), 7, nil},
			{"d", ids(1, 40), 4, release.ErrParameters},
			{"c", ids(1, 40), 7, nil},
			{"e", ids(1, 40), 3, nil},
			{"f", ids(1, 40), 1, release.ErrParameters},
			{"g", ids(1, 80), 20, nil}, // half of whom are in the others
			{"h", ids(1, 80), 1, release.ErrParameters},
			{"i", ids(101, 140), 10, nil},
		} {
			q := ask(c.question)
			_, err := gate.Release(t.Context(), q, fit(c.persons, c.parameters), now)
			require.ErrorIs(t, err, c.want, c.question)
			gate = open(t, db)
		}
		table := model(t, ids(1, 40), 20, 1, small)
		_, err := gate.Release(t.Context(), ask("no model"), table, now)
		require.NoError(t, err)
	})
}
