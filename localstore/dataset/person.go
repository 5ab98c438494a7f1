package dataset

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Concerned returns those of persons who have a row in some set. Until tx ends nobody gets
// another.
func (s *Store) Concerned(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
	if err := s.Hold(ctx, tx); err != nil {
		return nil, err
	}
	var found []omop.PersonID
	for _, p := range persons {
		var one int
		err := tx.QueryRow(ctx, "SELECT 1 FROM dataset_row WHERE person_id = ? LIMIT 1", p).Scan(&one)
		switch {
		case err == nil:
			found = append(found, p)
		case !errors.Is(err, sqldb.ErrNoRows):
			return nil, fmt.Errorf("dataset: persons with rows: %w", err)
		}
	}
	return found, nil
}

// Shared reports whether two persons have a row each in one set, so that they cannot become
// one: which row is theirs is for whoever made the set to say. Until tx ends nobody gets
// another row.
func (s *Store) Shared(ctx context.Context, tx *sqldb.Tx, a, b omop.PersonID) (some bool, err error) {
	if err := s.Hold(ctx, tx); err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM dataset_row x JOIN dataset_row y ON y.dataset_id = x.dataset_id
		WHERE x.person_id = ? AND y.person_id = ?)`, a, b).Scan(&some)
	if err != nil {
		return false, fmt.Errorf("dataset: rows of two persons: %w", err)
	}
	return some, nil
}

// Move gives the rows of a person to another, with whom [Store.Shared] finds none.
func (s *Store) Move(ctx context.Context, tx *sqldb.Tx, to, from omop.PersonID) error {
	if _, err := tx.Exec(ctx, "UPDATE dataset_row SET person_id = ? WHERE person_id = ?", to, from); err != nil {
		return fmt.Errorf("dataset: move rows: %w", err)
	}
	return nil
}
