package series

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Holds reports whether anything of a person is stored, merged into chunks or not.
func (s *Store) Holds(ctx context.Context, tx *sqldb.Tx, person omop.PersonID) (some bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM series WHERE person_id = ?)`, person).Scan(&some)
	if err == nil && !some {
		some, err = landedOf(ctx, tx, person)
	}
	if err != nil {
		return false, fmt.Errorf("series: of a person: %w", err)
	}
	return some, nil
}

// Concerned returns those of persons of whom there are points, and perhaps some others
// while batches of their neighbors wait to be merged.
func (s *Store) Concerned(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
	var found []omop.PersonID
	for _, p := range persons {
		var one int
		err := tx.QueryRow(ctx, `SELECT 1 WHERE EXISTS (SELECT 1 FROM series WHERE person_id = ?)
			OR EXISTS (SELECT 1 FROM series_landed WHERE low_person <= ? AND high_person >= ?)`, p, p, p).Scan(&one)
		switch {
		case err == nil:
			found = append(found, p)
		case !errors.Is(err, sqldb.ErrNoRows):
			return nil, fmt.Errorf("series: persons with points: %w", err)
		}
	}
	return found, nil
}
