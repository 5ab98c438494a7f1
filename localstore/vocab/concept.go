package vocab

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Concepts returns those of the concepts with the given IDs that are loaded, for
// checks of data that brings concepts instead of codes. It remembers nothing.
func (s *Store) Concepts(ctx context.Context, ids []int64) (map[int64]Concept, error) {
	out := make(map[int64]Concept, len(ids))
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		condition, arg := tx.Dialect().Among("c.concept_id", ids)
		return tx.Each(ctx, "SELECT "+conceptColumns+" FROM concept c WHERE "+condition, []any{arg}, func(rows *sqldb.Rows) error {
			var c Concept
			if err := rows.Scan(c.columns()...); err != nil {
				return err
			}
			out[c.ID] = c
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("vocab: concepts by ID: %w", err)
	}
	return out, nil
}

// Standard counts the concepts with the given IDs, each once, that are loaded and standard.
func (s *Store) Standard(ctx context.Context, ids []int64) (n int, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		condition, arg := tx.Dialect().Among("concept_id", ids)
		return tx.QueryRow(ctx, "SELECT count(*) FROM concept WHERE standard_concept = 'S' AND "+condition, arg).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("vocab: standard concepts: %w", err)
	}
	return n, nil
}
