package approval

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Cancel records that a question was cancelled by one who may, and reports whether it ever
// came to this node: it was decided about here, or is underWay to that. From here on nobody
// is asked about it, and nothing of it may leave.
func (d *Desk) Cancel(ctx context.Context, id query.ID, by identity.DID, underWay bool) (known bool, err error) {
	now := d.cfg.Now()
	err = d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var decisions int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM approval_decision WHERE query = ?`, id.String()).Scan(&decisions); err != nil {
			return err
		}
		if known = underWay || decisions > 0; !known {
			return nil
		}
		n, err := tx.Exec(ctx, `INSERT INTO approval_cancelled (query, signer, cancelled_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, id.String(), by, now.Unix())
		if err != nil || n == 0 {
			return err
		}
		return d.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.QuestionCancelled, Actor: by, Subject: id.String()})
	})
	return known, err
}

// Cancelled returns [ErrCancelled] for a question that was cancelled.
func (d *Desk) Cancelled(ctx context.Context, tx *sqldb.Tx, id query.ID) error {
	cancelled, err := cancelled(ctx, tx, id)
	if err == nil && cancelled {
		err = ErrCancelled
	}
	return err
}

func cancelled(ctx context.Context, tx *sqldb.Tx, id query.ID) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM approval_cancelled WHERE query = ?`, id.String()).Scan(&n)
	return n > 0, err
}
