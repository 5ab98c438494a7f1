package consent

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Why a person cannot be enrolled.
var (
	ErrUnconsented = problem.Refusal("enrollment.consent", "the person has no consent to the trial in force at this site; record it first")
	ErrSamePerson  = problem.Refusal("enrollment.twice", "another participant of the trial at this site has the same identifier; they are one person, or one identifier is wrong")
	ErrPlace       = problem.Refusal("enrollment.place", "the trial has more participants than can enroll: 262,144 at a site, 16,777,216 in all")
)

// Identify makes the leaf of a person's consent to a trial name them by their secret, once it
// has been published. It returns the participant, and whether the leaf named them so before.
// The person is whom find returns, as in [Book.RecordOf].
func (b *Book) Identify(ctx context.Context, tx *sqldb.Tx, id trial.ID, find func(context.Context, *sqldb.Tx) (omop.PersonID, error), secret circuits.Secret) (participant identity.DID, before bool, err error) {
	if err := tx.Lock(ctx, "consent"); err != nil {
		return "", false, err
	}
	person, err := find(ctx, tx)
	if err != nil {
		return "", false, err
	}
	var status, slot int64
	var known string
	err = tx.QueryRow(ctx, `SELECT slot, participant, status, person FROM consent_slot WHERE trial = ? AND person_id = ?`, id, person).Scan(&slot, &participant, &status, &known)
	text := personText(secret.Element())
	switch {
	case errors.Is(err, sqldb.ErrNoRows), err == nil && circuits.Status(status) != circuits.Active:
		return "", false, ErrUnconsented
	case err != nil:
		return "", false, err
	case known == text:
		return participant, true, nil
	case slot >= circuits.MaxBlocks*circuits.BlockLeaves:
		return "", false, ErrPlace
	}
	var one int
	switch err := tx.QueryRow(ctx, `SELECT 1 FROM consent_slot WHERE trial = ? AND person = ?`, id, text).Scan(&one); {
	case err == nil:
		return "", false, ErrSamePerson
	case !errors.Is(err, sqldb.ErrNoRows):
		return "", false, err
	}
	if _, err := tx.Exec(ctx, `UPDATE consent_slot SET person = ? WHERE trial = ? AND slot = ?`, text, id, slot); err != nil {
		return "", false, err
	}
	return participant, false, b.pend(ctx, tx, id, participant)
}

// ErrUnpublished reports a leaf that is not on the ledger yet as it is needed. Try again once
// something was published.
var ErrUnpublished = errors.New("consent: the leaf is not on the ledger yet")

// Enrolling returns the private half of an enrollment but for what it is for: who, and the way
// from their leaf to the root over all sites. It fails with [ErrUnpublished] if the leaf is not
// in the places as it is here.
func (b *Book) Enrolling(ctx context.Context, id trial.ID, participant identity.DID, places enrollment.Places) (w circuits.EnrollmentWitness, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		l := leaf{participant: participant}
		var now int64
		l.stated, err = scanStated(tx.QueryRow(ctx, `SELECT s.status, l.slot, l.changes, l.said, l.scopes, l.status, l.from_at, l.to_at, l.person FROM consent_slot s
			JOIN consent_leaf l ON l.trial = s.trial AND l.slot = s.slot WHERE s.trial = ? AND s.participant = ? AND s.person = l.person AND s.person <> ''`,
			id, participant), &now, &l.slot, &l.changes)
		switch {
		case errors.Is(err, sqldb.ErrNoRows):
			return ErrUnpublished
		case err != nil:
			return err
		case circuits.Status(now) != circuits.Active || l.Status != circuits.Active:
			return ErrUnconsented
		}
		if w.Secret, err = circuits.RestoreSecret(l.person); err != nil {
			return err
		}
		secret, err := b.secret(id, l)
		if err != nil {
			return err
		}
		w.Blind, w.Attributes = circuits.Truncate(secret.Blind(l.changes)), l.Attributes
		w.Path, err = b.wayUp(ctx, tx, id, l.slot, places)
		return err
	})
	return w, err
}

// wayUp returns the way from a leaf to the root over all sites.
func (b *Book) wayUp(ctx context.Context, tx *sqldb.Tx, id trial.ID, slot int, places enrollment.Places) (circuits.Path, error) {
	rows, block := groups{ctx, tx, id}, slot/circuits.BlockLeaves
	root, err := circuits.TreeElement(rows, circuits.BlockLevel, block)
	if err != nil {
		return circuits.Path{}, err
	}
	place, placed := places.Own[block]
	if !placed || place < 0 || place >= len(places.Blocks) || places.Blocks[place] != root {
		return circuits.Path{}, ErrUnpublished
	}
	within, err := circuits.PathIn(rows, slot, circuits.BlockLevel)
	if err != nil {
		return circuits.Path{}, err
	}
	sites, err := circuits.ConsentTree(circuits.BlockLeaves, circuits.TreeDepth, places.Blocks)
	if err != nil {
		return circuits.Path{}, err
	}
	above, err := sites.Path(place)
	if err != nil {
		return circuits.Path{}, fmt.Errorf("consent: way to the root over all sites: %w", err)
	}
	return within.Then(above), nil
}
