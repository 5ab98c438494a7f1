// Package audit remembers what the node decided about data: which question came
// from whom, what was released or refused and by which rule, which consents and
// which loads were taken. A [Trail] only grows. It names digests, rules and
// public keys, never a person or a value.
package audit

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

//go:embed migrations
var migrations embed.FS

// Event says what was decided.
type Event string

// The events.
const (
	QuestionAccepted  Event = "question accepted"
	QuestionRefused   Event = "question refused"
	QuestionCancelled Event = "question cancelled"
	TasksRefused      Event = "tasks refused" // by number, as any hub can make them up
	NumbersReleased   Event = "numbers released"
	AccessProved      Event = "access proved"
	ResultProved      Event = "result proved"
	PolicyDecided     Event = "policy decided"   // about a question: what it said, and the policy's digest
	ApprovalAsked     Event = "approval asked"   // of the site's people, at a gate
	ApprovalSized     Event = "approval sized"   // persons were counted for who decides, at a gate
	ApprovalGiven     Event = "approval given"   // the gate and the verdict's digest
	ApprovalRefused   Event = "approval refused" // likewise
	ConsentRecorded   Event = "consent recorded"
	EpochPublished    Event = "consent epoch published"
	JobFinished       Event = "load finished"
	RecordsRead       Event = "records read" // by FHIR: the type and how many
	ClientAdded       Event = "client added" // to those of the API: its name and scopes
	ClientRemoved     Event = "client removed"
	ClientRotated     Event = "client rotated" // new keys
	ScreeningChanged  Event = "screening changed"
	PatientScreened   Event = "patient screened" // the service, who asked and how many cards
	EHRsChanged       Event = "EHRs changed"     // that may call CDS Hooks

	EnrollmentAsked     Event = "enrollment asked"     // the trial
	EnrollmentRefused   Event = "enrollment refused"   // likewise
	ParticipantEnrolled Event = "participant enrolled" // likewise

	DatasetLoaded  Event = "data set loaded"  // its name
	DatasetDropped Event = "data set dropped" // likewise

	ColumnsCommitted Event = "columns committed" // of a data set: its name
	ColumnsPublished Event = "columns published" // likewise: they are on the ledger

	WearableConnected    Event = "wearable connected" // the maker and the connection's number
	WearableDisconnected Event = "wearable disconnected"
)

// Record is one decision.
type Record struct {
	At      time.Time
	Event   Event
	Actor   identity.DID // who caused it; empty for the site itself
	Subject string       // a question's or document's digest, a trial, a job, a number of tasks
	Rule    string       // the refusing or deciding rule, if any

	// Job numbers the load that finished, 0 for none. It is in the log only: the trail
	// keeps to the file's digest, which says more for longer.
	Job int64
}

// Trail is the node's memory of decisions.
type Trail struct {
	db  *sqldb.DB
	log *slog.Logger
}

// Open brings the trail's table up to date and returns the trail.
func Open(ctx context.Context, db *sqldb.DB, log *slog.Logger) (*Trail, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, db, "audit", own); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return &Trail{db, log}, nil
}

// Add records a decision in the transaction that makes it hold, which must be
// of the trail's own database: both are there or neither is. A record that
// cannot be written fails the decision.
func (t *Trail) Add(ctx context.Context, tx *sqldb.Tx, r Record) error {
	facts := []slog.Attr{slog.Any("actor", r.Actor), slog.String("subject", r.Subject), slog.String("rule", r.Rule)}
	if r.Job != 0 {
		facts = append(facts, slog.Int64("job", r.Job))
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, string(r.Event), facts...)
	if _, err := tx.Exec(ctx, `INSERT INTO audit (at, event, actor, subject, rule) VALUES (?, ?, ?, ?, ?)`,
		r.At.Unix(), string(r.Event), string(r.Actor), r.Subject, r.Rule); err != nil {
		return fmt.Errorf("audit %s: %w", r.Event, err)
	}
	return nil
}

// Latest returns up to limit records, newest first.
func (t *Trail) Latest(ctx context.Context, limit int) ([]Record, error) {
	var list []Record
	err := t.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT at, event, actor, subject, rule FROM audit ORDER BY id DESC LIMIT ?`, []any{limit}, func(rows *sqldb.Rows) error {
			var r Record
			var at int64
			var event, actor string
			if err := rows.Scan(&at, &event, &actor, &r.Subject, &r.Rule); err != nil {
				return err
			}
			r.At, r.Event, r.Actor = time.Unix(at, 0).UTC(), Event(event), identity.DID(actor)
			list = append(list, r)
			return nil
		})
	})
	return list, err
}
