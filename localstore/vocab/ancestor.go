package vocab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

var ancestorFields = []string{
	"ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation", "max_levels_of_separation",
}

var ingredientFields = []string{"drug_concept_id", "ingredient_concept_id"}

// concept notes which concepts are ingredients on their way into the table.
func (l *loading) concept(t *table) ([]any, error) {
	row, err := conceptRow(t)
	if err == nil && t.text("vocabulary_id") == "RxNorm" && t.text("concept_class_id") == "Ingredient" {
		l.ingredients[row[0].(int64)] = true //nolint:forcetypeassert // as rowOf reads it
	}
	return row, err
}

// ancestors fills in the hierarchy, which a folder may lack, and from it the ingredients
// of drugs.
func (l *loading) ancestors(ctx context.Context) (int64, error) {
	var drugs [][]any
	n, err := l.fill(ctx, "CONCEPT_ANCESTOR", "concept_ancestor_next", ancestorFields, func(t *table) ([]any, error) {
		row, err := rowOf(t, ancestorFields)
		if err == nil && l.ingredients[row[0].(int64)] { //nolint:forcetypeassert // likewise
			drugs = append(drugs, []any{row[1], row[0]})
		}
		return row, err
	}, func(tx *sqldb.Tx) (err error) {
		if tx != nil {
			_, err = tx.Insert(ctx, "drug_ingredient_next", ingredientFields, slices.Values(drugs))
		}
		drugs = drugs[:0]
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// Known returns those of the concepts that are loaded, also invalid ones, ascending.
func (s *Store) Known(ctx context.Context, concepts []int64) ([]int64, error) {
	return s.ids(ctx, "known concepts", "SELECT concept_id FROM concept WHERE ", "concept_id", " ORDER BY 1", concepts)
}

// Descendants returns the valid concepts below the concepts, and themselves as far as they
// are valid, ascending; nothing without a hierarchy.
func (s *Store) Descendants(ctx context.Context, concepts []int64) ([]int64, error) {
	return s.ids(ctx, "descendants", `SELECT DISTINCT a.descendant_concept_id FROM concept_ancestor a JOIN concept c ON c.concept_id = a.descendant_concept_id
		WHERE c.invalid_reason IS NULL AND `, "a.ancestor_concept_id", " ORDER BY 1", concepts)
}

// MapTo returns the concepts that map to one of the concepts, ascending. Only valid
// relationships are stored.
func (s *Store) MapTo(ctx context.Context, concepts []int64) ([]int64, error) {
	return s.ids(ctx, "what maps to concepts", "SELECT DISTINCT concept_id_1 FROM concept_relationship WHERE relationship_id = 'Maps to' AND ",
		"concept_id_2", " ORDER BY 1", concepts)
}

// ids returns what a query says of concepts, and remembers it: concept sets are asked for
// again and again. The result is shared.
func (s *Store) ids(ctx context.Context, what, query, column, rest string, concepts []int64) ([]int64, error) {
	key := fmt.Sprint(what, concepts)
	s.mu.Lock()
	out, ok := s.families[key]
	generation := s.generation
	s.mu.Unlock()
	if ok {
		return out, nil
	}
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		condition, arg := tx.Dialect().Among(column, concepts)
		return tx.Each(ctx, query+condition+rest, []any{arg}, func(rows *sqldb.Rows) error {
			var id int64
			err := rows.Scan(&id)
			out = append(out, id)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("vocab: %s: %w", what, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation && len(concepts)+len(out) <= maxFamily {
		if len(s.families) >= familySize {
			s.families = map[string][]int64{}
		}
		s.families[key] = out
	}
	return out, nil
}

// Hierarchy reports whether a hierarchy of concepts is loaded.
func (s *Store) Hierarchy(ctx context.Context) (is bool, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM concept_ancestor)").Scan(&is)
	})
	if err != nil {
		return false, fmt.Errorf("vocab: hierarchy: %w", err)
	}
	return is, nil
}

// Ingredients returns the RxNorm ingredients of drugs, ascending.
func (s *Store) Ingredients(ctx context.Context, drugs []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		condition, arg := tx.Dialect().Among("drug_concept_id", drugs)
		return tx.Each(ctx, "SELECT drug_concept_id, ingredient_concept_id FROM drug_ingredient WHERE "+condition+" ORDER BY 1, 2", []any{arg}, func(rows *sqldb.Rows) error {
			var drug, ingredient int64
			err := rows.Scan(&drug, &ingredient)
			out[drug] = append(out[drug], ingredient)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("vocab: ingredients: %w", err)
	}
	return out, nil
}
