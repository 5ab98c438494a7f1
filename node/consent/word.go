package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// SiteResearch is the trial under whose name a patient refuses to be asked about any
// trial of this site. It is no trial of a network: nothing said about it is published.
const SiteResearch trial.ID = "site-research"

// Word is what a person has last said about a trial.
type Word int

// The words.
const (
	Silent  Word = iota // nothing is on record, or a grant that is not in force
	Granted             // a grant is in force
	Refused             // a refusal or a withdrawal, and no grant since
)

// Said returns the last word of a person about a trial, whatever participant they spoke
// as. Of a grant and a refusal of one second the refusal counts.
func (b *Book) Said(ctx context.Context, tx *sqldb.Tx, p omop.PersonID, id trial.ID, at time.Time) (Word, error) {
	var granted, refused int64
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(CASE WHEN kind = ? THEN issued_at END), -1), coalesce(max(CASE WHEN kind = ? THEN issued_at END), -1)
		FROM consent_message WHERE trial = ? AND person_id = ?`, string(consent.KindGrant), string(consent.KindRefusal), id, p).Scan(&granted, &refused); err != nil {
		return Silent, fmt.Errorf("consent: what a person said: %w", err)
	}
	if refused >= 0 && refused >= granted {
		return Refused, nil
	}
	var status, from, to int64
	err := tx.QueryRow(ctx, `SELECT status, from_at, to_at FROM consent_slot WHERE trial = ? AND person_id = ?`, id, p).Scan(&status, &from, &to)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return Silent, nil
	case err != nil:
		return Silent, fmt.Errorf("consent: what a person said: %w", err)
	case status == int64(circuits.Withdrawn):
		return Refused, nil
	case at.Unix() < from || at.Unix() >= to:
		return Silent, nil
	}
	return Granted, nil
}
