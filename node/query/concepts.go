package query

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// ErrHierarchy refuses what a site's vocabulary cannot answer.
var ErrHierarchy = problem.Refusal("query.hierarchy", "the site's vocabulary has no hierarchy of concepts, which a concept set with descendants needs: its CONCEPT_ANCESTOR has to be loaded")

// Concepts resolves concept sets by a site's vocabulary. Concepts that stand in a set are
// taken as they are written, also those that the vocabulary does not have: circe-be looks
// them up in the CDM's own CONCEPT, which has every concept that a row of it can hold, as
// they refer to it. A node's vocabulary is loaded by itself and may have fewer, such as none
// of the site's own. For descendants and mappings it is what there is.
type Concepts struct{ *vocab.Store }

// Reach counts the site's standard concepts that a concept set comes to, or refuses with
// [ErrHierarchy].
func (c Concepts) Reach(ctx context.Context, set cohort.ConceptSet) (int, error) {
	ids, err := members.Resolve(ctx, c, set)
	if err != nil {
		return 0, err
	}
	return c.Standard(ctx, ids)
}

// Known implements [events.Vocabulary].
func (c Concepts) Known(_ context.Context, concepts []int64) ([]int64, error) { return concepts, nil }

// Descendants implements [events.Vocabulary].
func (c Concepts) Descendants(ctx context.Context, concepts []int64) ([]int64, error) {
	if len(concepts) == 0 {
		return nil, nil
	}
	is, err := c.Hierarchy(ctx)
	if err != nil {
		return nil, err
	}
	if !is {
		return nil, ErrHierarchy
	}
	return c.Store.Descendants(ctx, concepts)
}
