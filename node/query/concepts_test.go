package query_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/query"
	definition "github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestReachOfAConceptSet counts as a question is evaluated.
func TestReachOfAConceptSet(t *testing.T) {
	t.Parallel()
	store, err := vocab.Open(t.Context(), sqltest.SQLite(t))
	require.NoError(t, err)
	_, err = store.Load(t.Context(), os.DirFS("../../localstore/vocab/testdata/comma"))
	require.NoError(t, err)
	site := query.Concepts{Store: store}
	set := definition.ConceptSet{Items: []definition.Item{{Concept: 320128}, {Concept: 320128}, {Concept: 3004249}, {Concept: 40316773}, {Concept: 99}, {Concept: 3004249, Excluded: true}}}
	n, err := site.Reach(t.Context(), set)
	require.NoError(t, err)
	require.Equal(t, 1, n, "once, and neither what is excluded, replaced nor unknown")
	set.Items[0].Descendants = true
	_, err = site.Reach(t.Context(), set)
	require.ErrorIs(t, err, query.ErrHierarchy)
}
