package consent

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Merge gives what the participant behind retired has said to the person survivor, who
// turned out to be the same. It reports false, and changes nothing, if both have said
// something in one trial: which of it holds is theirs to say.
func (b *Book) Merge(ctx context.Context, tx *sqldb.Tx, survivor, retired omop.PersonID) (bool, error) {
	if err := tx.Lock(ctx, "consent"); err != nil {
		return false, fmt.Errorf("consent: merge: %w", err)
	}
	var both int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM consent_message WHERE person_id = ? AND trial IN (SELECT trial FROM consent_message WHERE person_id = ?)`,
		survivor, retired).Scan(&both); err != nil || both > 0 {
		return false, err
	}
	for _, table := range []string{"consent_message", "consent_slot"} {
		if _, err := tx.Exec(ctx, "UPDATE "+table+" SET person_id = ? WHERE person_id = ?", survivor, retired); err != nil {
			return false, fmt.Errorf("consent: merge: %w", err)
		}
	}
	return true, nil
}
