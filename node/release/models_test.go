package release_test

import (
	"fmt"
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

// TestEquationsAboutFewPersons: two persons for each sum that questions have in common, of those by whom
// their persons differ, directly or over others.
func TestEquationsAboutFewPersons(t *testing.T) {
	t.Parallel()
	type asked struct {
		from, to  int64
		equations int
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		var base int64
		for name, c := range map[string]struct {
			earlier []asked
			fresh   asked
			want    error
		}{
			"as many more as the least difference": {[]asked{{1, 160, 8}}, asked{1, 174, 8}, release.ErrParameters},
			"two for each":                         {[]asked{{1, 160, 8}}, asked{1, 176, 8}, nil},
			"fewer sums before":                    {[]asked{{1, 160, 7}}, asked{1, 174, 20}, nil},
			"fewer sums after":                     {[]asked{{1, 160, 20}}, asked{1, 174, 7}, nil},
			"the same persons":                     {[]asked{{1, 160, 8}}, asked{1, 160, 9}, nil},
			"either of two, for who is in both":    {[]asked{{1, 160, 8}, {147, 320, 8}}, asked{1, 320, 8}, release.ErrParameters},
		} {
			base += 1000 // others than before
			gate := open(t, db)
			release := func(q asked) error {
				persons := ids(base+q.from, base+q.to)
				a := model(t, persons, 0, 1, small)
				a.Frame.Equations = q.equations
				_, err := gate.Release(t.Context(), ask(name+fmt.Sprint(q)), a, now)
				return err
			}
			for _, q := range c.earlier {
				require.NoError(t, release(q), name)
			}
			gate = open(t, db)
			require.ErrorIs(t, release(c.fresh), c.want, name)
		}
	})
}

// TestScheduledModelsCountTheirParameters: the same model of persons who came and went is another one.
func TestScheduledModelsCountTheirParameters(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	var err error
	for week := range int64(3) {
		a := model(t, ids(1+12*week, 80+12*week), 40, 16, small)
		a.Frame.Products = make([]analysis.Products, 1)
		require.NoError(t, err)
		_, err = gate.Release(t.Context(), ask("every week"), a, now)
	}
	require.ErrorIs(t, err, release.ErrParameters)
}
