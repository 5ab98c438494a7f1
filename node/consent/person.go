package consent

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Concerned returns those of persons of whom there is a message about consent, whatever
// it says. Until tx ends nothing more is recorded of anybody.
func (b *Book) Concerned(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
	if err := tx.Lock(ctx, "consent"); err != nil {
		return nil, fmt.Errorf("consent: persons with a message: %w", err)
	}
	var found []omop.PersonID
	for _, p := range persons {
		var one int
		err := tx.QueryRow(ctx, `SELECT 1 FROM consent_message WHERE person_id = ? LIMIT 1`, p).Scan(&one)
		switch {
		case err == nil:
			found = append(found, p)
		case !errors.Is(err, sqldb.ErrNoRows):
			return nil, fmt.Errorf("consent: persons with a message: %w", err)
		}
	}
	return found, nil
}
