package consent

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Published returns the number of a trial's newest epoch on the ledger, 0 for
// none, and whether it holds every consent that is on record now.
func (b *Book) Published(ctx context.Context, id trial.ID) (number uint64, current bool, err error) {
	last, err := b.lastEpoch(ctx, id)
	if err != nil {
		return 0, false, err
	}
	var pending, changes int64
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM consent_pending WHERE trial = ?), (SELECT coalesce(max(number), 0) FROM consent_changes WHERE trial = ?)`,
			id, id).Scan(&pending, &changes)
	})
	switch {
	case err != nil:
		return 0, false, err
	case last == nil:
		return 0, pending+changes == 0, nil
	case !last.recorded: // on its way
		return last.epoch.Number - 1, false, nil
	}
	return last.epoch.Number, pending == 0 && last.epoch.Changes == uint64(changes), nil
}
