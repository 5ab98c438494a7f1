package registry

import (
	"context"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Enrolled is an enrollment with its place in the log.
type Enrolled struct {
	enrollment.Enrollment
	At          time.Time
	LedgerIndex int64
}

// PersonKey returns who shares the key by which people are told apart, or
// [ErrPersonKeyAbsent].
func (r *Reader) PersonKey(ctx context.Context) (enrollment.PersonKey, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (enrollment.PersonKey, error) {
		_, key, err := personKey(ctx, tx)
		return key, err
	})
}

// Enrollments returns up to limit enrollments in a trial after a ledger index, in the order of
// the ledger, and how many there are in all.
func (r *Reader) Enrollments(ctx context.Context, id trial.ID, after int64, limit int) (list []Enrolled, all int, err error) {
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		if _, _, err := trialOf(ctx, tx, id); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM enrollment WHERE trial = ?`, id).Scan(&all); err != nil {
			return err
		}
		var documents []string
		if err := tx.Each(ctx, `SELECT document, recorded_at, ledger_index FROM enrollment WHERE trial = ? AND ledger_index > ? ORDER BY ledger_index LIMIT ?`,
			[]any{id, after, limit}, func(rows *sqldb.Rows) error {
				var e Enrolled
				var document string
				var at int64
				err := rows.Scan(&document, &at, &e.LedgerIndex)
				e.At = time.Unix(at, 0).UTC()
				list, documents = append(list, e), append(documents, document)
				return err
			}); err != nil {
			return err
		}
		for i, document := range documents {
			var err error
			if list[i].Enrollment, err = documentAs[enrollment.Enrollment](ctx, tx, document); err != nil {
				return err
			}
		}
		return nil
	})
	return list, all, err
}

// Places returns the tree over the consents of all sites of a trial, and where in it those of
// a node are.
func (r *Reader) Places(ctx context.Context, id trial.ID, node identity.DID) (p enrollment.Places, err error) {
	err = r.db.Read(ctx, func(tx *sqldb.Tx) error {
		p.Own = make(map[int]int)
		var err error
		if p.Registration, _, err = trialOf(ctx, tx, id); err != nil {
			return err
		}
		if err := tx.Each(ctx, `SELECT b.block, b.place FROM people_block b JOIN consent_tree t ON t.tree = b.tree WHERE b.trial = ? AND t.node = ?`,
			[]any{id, node}, func(rows *sqldb.Rows) error {
				var block, place int
				err := rows.Scan(&block, &place)
				p.Own[block] = place
				return err
			}); err != nil {
			return err
		}
		var blocks int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM people_block WHERE trial = ?`, id).Scan(&blocks); err != nil {
			return err
		}
		for place := range blocks {
			block, err := circuits.TreeElement(people{ctx, tx, id}, circuits.BlockLevel, place)
			if err != nil {
				return err
			}
			p.Blocks = append(p.Blocks, block)
		}
		return nil
	})
	return p, err
}
