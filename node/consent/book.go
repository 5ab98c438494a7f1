// Package consent keeps the site's consents and decides whose records a
// question may use.
//
// A [Book] records signed grants, refusals and withdrawals, gives each
// participant one slot in the trial's consent tree, publishes which leaves of it
// changed, and from time to time closes an epoch: a signed, proven commitment to
// all slots that the hub puts on the ledger. [Book.Usable] names the persons whose consent is in force now
// and in an epoch that was on the ledger before the question; a withdrawal
// counts at once, a grant from the next epoch on. [Book.Witness] opens the
// epoch again for the access proof.
package consent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

//go:embed migrations
var migrations embed.FS

// Why a message about consent is not recorded, or a question cannot use any.
var (
	ErrNode        = problem.New(problem.Invalid, "the consent is for another node")
	ErrStale       = problem.New(problem.Conflict, "a newer message of this participant is on record")
	ErrPerson      = problem.New(problem.Conflict, "another participant or person holds this consent")
	ErrGrant       = problem.New(problem.NotFound, "the withdrawal names no grant of this participant")
	ErrKind        = problem.New(problem.Invalid, "the message is not about consent")
	ErrNoEpoch     = problem.Refusal("consent.no-epoch", "the node has no consent epoch on the ledger that covers the question")
	ErrManyShards  = problem.New(problem.TooLarge, "the trial has more participants here than the circuit's shards hold; use a larger circuit shape")
	errNotInEpoch  = errors.New("consent: a person is not in the epoch")
	errEpochAbsent = errors.New("consent: no such epoch")
)

// Config configures a [Book]. All fields are required.
type Config struct {
	DB    *sqldb.DB
	Key   identity.Key // the node's
	Trail *audit.Trail // of DB

	// Secret is 32 bytes that never leave the node; blinds and salts derive from it.
	Secret [32]byte

	// Shape is that of the circuits in use.
	Shape circuits.Shape

	// Window is how long an epoch holds, for example 24 h. Consents that end
	// sooner are left out of it.
	Window time.Duration
}

// Book is the site's record of consents. It is safe for concurrent use.
type Book struct {
	cfg Config

	mu     sync.Mutex
	epochs []*storedEpoch // read last, the latest last; guarded by mu
}

// Open brings the book's tables up to date and returns the book.
func Open(ctx context.Context, cfg Config) (*Book, error) {
	if cfg.DB == nil || cfg.Key.IsZero() || cfg.Trail == nil || cfg.Secret == ([32]byte{}) || cfg.Window <= 0 {
		return nil, errors.New("consent: db, key, trail, secret and window are required")
	}
	if err := cfg.Shape.Validate(); err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "consent", own); err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	return &Book{cfg: cfg}, nil
}

// Node is whose book it is.
func (b *Book) Node() identity.DID { return b.cfg.Key.DID() }

// Record takes a signed message about consent of the given person. It is
// durable when Record returns; changed is false if it was on record before.
func (b *Book) Record(ctx context.Context, person omop.PersonID, e message.Envelope, now time.Time) (changed bool, err error) {
	return b.RecordOf(ctx, func(context.Context, *sqldb.Tx) (omop.PersonID, error) { return person, nil }, e, now)
}

// RecordOf is [Book.Record] of the person whom find returns in the same transaction, when
// nobody can become another or be removed any more: [Book.Merge] and [Book.Concerned] wait
// for it, or it for them.
func (b *Book) RecordOf(ctx context.Context, find func(context.Context, *sqldb.Tx) (omop.PersonID, error), e message.Envelope, now time.Time) (changed bool, err error) {
	said, err := b.read(e, now)
	if err != nil {
		return false, err
	}
	err = b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "consent"); err != nil {
			return err
		}
		person, err := find(ctx, tx)
		if err != nil {
			return err
		}
		if changed, err = b.record(ctx, tx, person, e, said, now); err != nil || !changed {
			return err
		}
		return b.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ConsentRecorded, Actor: e.Issuer, Subject: e.Digest().String()})
	})
	return changed && err == nil, err
}

// statement is what a message about consent says.
type statement struct {
	trial      trial.ID
	grant      *consent.Grant
	withdrawal *consent.Withdrawal
}

// read opens and checks a message of any of the three kinds.
func (b *Book) read(e message.Envelope, now time.Time) (statement, error) {
	var said statement
	var node identity.DID
	switch e.Kind {
	case consent.KindGrant:
		grant, err := message.Open[consent.Grant](e, e.Kind, now)
		if err != nil {
			return said, err
		}
		if err := grant.Validate(); err != nil {
			return said, err
		}
		said, node = statement{trial: grant.Trial, grant: &grant}, grant.Node
	case consent.KindWithdrawal:
		withdrawal, err := message.Open[consent.Withdrawal](e, e.Kind, now)
		if err != nil {
			return said, err
		}
		said, node = statement{trial: withdrawal.Trial, withdrawal: &withdrawal}, withdrawal.Node
	case consent.KindRefusal:
		refusal, err := message.Open[consent.Refusal](e, e.Kind, now)
		if err != nil {
			return said, err
		}
		said, node = statement{trial: refusal.Trial}, refusal.Node
	default:
		return said, ErrKind
	}
	if node != b.cfg.Key.DID() {
		return said, ErrNode
	}
	return said, nil
}

func (b *Book) record(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, e message.Envelope, said statement, now time.Time) (bool, error) {
	digest := e.Digest().String()
	var known, newer, tied int
	if err := tx.QueryRow(ctx, `SELECT coalesce(sum(CASE WHEN digest = ? THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN issued_at > ? THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN issued_at = ? AND kind <> ? THEN 1 ELSE 0 END), 0)
		FROM consent_message WHERE trial = ? AND participant = ?`,
		digest, e.Issued.Unix(), e.Issued.Unix(), string(consent.KindGrant), said.trial, e.Issuer).Scan(&known, &newer, &tied); err != nil {
		return false, err
	}
	if known > 0 {
		return false, nil
	}
	// A withdrawal names its grant, so it holds whatever two clocks say; and of
	// what was signed in one second, the no counts.
	if said.withdrawal == nil && newer > 0 || said.grant != nil && tied > 0 {
		return false, ErrStale
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO consent_message (digest, trial, person_id, participant, kind, issued_at, received_at, envelope)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, digest, said.trial, person, e.Issuer, string(e.Kind), e.Issued.Unix(), now.Unix(), raw); err != nil {
		return false, err
	}
	switch {
	case said.grant != nil:
		return true, b.grant(ctx, tx, person, e, *said.grant)
	case said.withdrawal != nil:
		n, err := b.end(ctx, tx, said.trial, e, `AND grant_digest = ?`, said.withdrawal.Grant.String())
		if err == nil && n == 0 {
			err = ErrGrant
		}
		return true, err
	}
	// A refusal after a grant ends it.
	_, err = b.end(ctx, tx, said.trial, e, "")
	return true, err
}

// end notes that a participant's consent is over, and returns of how many slots.
func (b *Book) end(ctx context.Context, tx *sqldb.Tx, id trial.ID, e message.Envelope, of string, args ...any) (int64, error) {
	n, err := tx.Exec(ctx, `UPDATE consent_slot SET status = ?, said = ? WHERE trial = ? AND participant = ? `+of,
		append([]any{int64(circuits.Withdrawn), e.Digest().String(), id, e.Issuer}, args...)...)
	if err != nil || n == 0 {
		return n, err
	}
	return n, b.pend(ctx, tx, id, e.Issuer)
}

// pend notes that a participant's leaf has to be published.
func (b *Book) pend(ctx context.Context, tx *sqldb.Tx, id trial.ID, participant identity.DID) error {
	if id == SiteResearch {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO consent_pending (trial, slot) SELECT trial, slot FROM consent_slot WHERE trial = ? AND participant = ?
		ON CONFLICT DO NOTHING`, id, participant)
	return err
}

// grant puts the grant into the participant's slot, giving one out if need be.
// Where no slot is left it fails with [ErrManyShards]: one participant more than
// an epoch can hold would keep all of them out of the next.
func (b *Book) grant(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, e message.Envelope, g consent.Grant) error {
	var holder omop.PersonID
	digest := e.Digest().String()
	err := tx.QueryRow(ctx, `SELECT person_id FROM consent_slot WHERE trial = ? AND participant = ?`, g.Trial, e.Issuer).Scan(&holder)
	switch {
	case err == nil && holder != person:
		return ErrPerson
	case err == nil:
		_, err = tx.Exec(ctx, `UPDATE consent_slot SET grant_digest = ?, said = ?, scopes = ?, status = ?, from_at = ?, to_at = ? WHERE trial = ? AND participant = ?`,
			digest, digest, int64(g.Scopes), int64(circuits.Active), g.From.Unix(), g.To.Unix(), g.Trial, e.Issuer)
	case errors.Is(err, sqldb.ErrNoRows):
		var slot int
		if slot, err = b.freeSlot(ctx, tx, g.Trial); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO consent_slot (trial, slot, person_id, participant, grant_digest, said, scopes, status, from_at, to_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, g.Trial, slot, person, e.Issuer, digest, digest, int64(g.Scopes),
			int64(circuits.Active), g.From.Unix(), g.To.Unix())
		if errors.Is(err, sqldb.ErrConflict) {
			return ErrPerson
		}
	}
	if err != nil {
		return err
	}
	return b.pend(ctx, tx, g.Trial, e.Issuer)
}

// Counts says how many participants of a trial said what, for status pages.
type Counts struct {
	Trial                      trial.ID
	Active, Withdrawn, Refused int64
}

// Counts returns the counts of every trial.
func (b *Book) Counts(ctx context.Context) ([]Counts, error) {
	var list []Counts
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT m.trial,
			count(DISTINCT CASE WHEN s.status = ? THEN m.participant END),
			count(DISTINCT CASE WHEN s.status = ? THEN m.participant END),
			count(DISTINCT CASE WHEN s.slot IS NULL THEN m.participant END)
			FROM consent_message m LEFT JOIN consent_slot s ON s.trial = m.trial AND s.participant = m.participant
			GROUP BY m.trial ORDER BY m.trial`, []any{int64(circuits.Active), int64(circuits.Withdrawn)}, func(rows *sqldb.Rows) error {
			var c Counts
			if err := rows.Scan(&c.Trial, &c.Active, &c.Withdrawn, &c.Refused); err != nil {
				return err
			}
			list = append(list, c)
			return nil
		})
	})
	return list, err
}

// derive returns a field element that only this node can compute. Parts must
// not hold a newline.
func (b *Book) derive(purpose string, parts ...string) (circuits.Element, error) {
	info := "trialmesh consent v1\n" + purpose
	for _, p := range parts {
		info += "\n" + p
	}
	raw, err := hkdf.Key(sha256.New, b.cfg.Secret[:], nil, info, sha256.Size)
	if err != nil {
		return circuits.Element{}, fmt.Errorf("consent: derive %s: %w", purpose, err)
	}
	return circuits.Truncate([32]byte(raw)), nil
}
