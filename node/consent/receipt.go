package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// ErrParticipant reports that no consent of a participant to a trial is on record.
var ErrParticipant = problem.New(problem.NotFound, "this participant never agreed to this trial here, and who only refused has no leaf; a participant is the did:key that signed")

// Receipt returns what a participant needs to follow their consent on the ledger.
func (b *Book) Receipt(ctx context.Context, id trial.ID, participant identity.DID) (consent.Receipt, error) {
	r := consent.Receipt{Trial: id, Node: b.cfg.Key.DID(), Participant: participant, LedgerIndex: -1}
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		var said, person string
		err := tx.QueryRow(ctx, `SELECT slot, said, person FROM consent_slot WHERE trial = ? AND participant = ?`, id, participant).Scan(&r.Index, &said, &person)
		if errors.Is(err, sqldb.ErrNoRows) {
			return ErrParticipant
		}
		if err == nil && person != "" {
			err = r.Person.UnmarshalText([]byte(person))
		}
		if err != nil {
			return err
		}
		if r.Secret, err = b.secret(id, leaf{slot: r.Index, participant: participant}); err != nil {
			return err
		}
		if r.Said, err = messages(ctx, tx, id, participant, said); err != nil {
			return err
		}
		var index *int64
		err = tx.QueryRow(ctx, `SELECT c.ledger_index FROM consent_stated s JOIN consent_changes c ON c.trial = s.trial AND c.number = s.number
			WHERE s.trial = ? AND s.said = ?`, id, said).Scan(&index)
		if index != nil {
			r.LedgerIndex = *index
		}
		if errors.Is(err, sqldb.ErrNoRows) {
			err = nil // nothing is published of it yet
		}
		return err
	})
	return r, err
}

// messages returns what a participant signed from their first grant on, in the order in
// which it counted. Of what came in one second, what the slot states now was the last.
func messages(ctx context.Context, tx *sqldb.Tx, id trial.ID, participant identity.DID, last string) (list []message.Envelope, err error) {
	var stated []message.Envelope
	err = tx.Each(ctx, `SELECT digest, envelope FROM consent_message WHERE trial = ? AND participant = ? ORDER BY received_at, issued_at, kind`,
		[]any{id, participant}, func(rows *sqldb.Rows) error {
			var digest string
			var raw []byte
			var e message.Envelope
			if err := rows.Scan(&digest, &raw); err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				return fmt.Errorf("consent: stored message: %w", err)
			}
			switch {
			case digest == last:
				stated = append(stated, e)
			case len(list) > 0 || e.Kind == consent.KindGrant:
				list = append(list, e)
			}
			return nil
		})
	return append(list, stated...), err
}
