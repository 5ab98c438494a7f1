package registry

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

// Schedule is a recurring question as the hub knows it.
type Schedule struct {
	schedule.Schedule
	Digest       message.Digest // of the plan
	Envelope     message.Envelope
	Registered   time.Time
	LedgerIndex  int64
	Cancellation *message.Envelope // of schedule.Cancellation, nil unless it was cancelled
}

// Occurrence is one of the times at which a schedule asks its question.
type Occurrence struct {
	Number   int
	Due      time.Time
	State    schedule.State
	Query    query.ID       // of its question, there once it is asked
	Question query.State    // "" unless it was asked
	Miss     *schedule.Miss // why it was missed
}

// DueOccurrence is one that is to be asked.
type DueOccurrence struct {
	Schedule message.Digest
	Number   int
}

const selectSchedule = `SELECT digest, document, registered_at, ledger_index, cancellation FROM schedule `

// Schedule returns a schedule by its name, or [ErrScheduleUnknown].
func (r *Reader) Schedule(ctx context.Context, name string) (Schedule, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (Schedule, error) {
		s, err := scheduleOf(ctx, tx, selectSchedule+`WHERE name = ?`, name)
		if errors.Is(err, ErrScheduleUnknown) {
			err = unknown(ctx, tx, ErrScheduleUnknown, name, "schedules", `SELECT name FROM schedule ORDER BY name LIMIT 1000`)
		}
		return s, err
	})
}

// Schedules returns up to limit schedules, newest first.
func (r *Reader) Schedules(ctx context.Context, limit int) ([]Schedule, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Schedule, error) {
		digests, err := texts(ctx, tx, `SELECT digest FROM schedule ORDER BY ledger_index DESC LIMIT ?`, limit)
		if err != nil {
			return nil, err
		}
		list := make([]Schedule, 0, len(digests))
		for _, digest := range digests {
			s, err := scheduleOf(ctx, tx, selectSchedule+`WHERE digest = ?`, digest)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	})
}

// Occurrences returns all occurrences of a schedule in their order.
func (r *Reader) Occurrences(ctx context.Context, digest message.Digest) ([]Occurrence, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Occurrence, error) {
		type row struct {
			Occurrence
			miss string
		}
		rows, err := collect(ctx, tx, func(rows *sqldb.Rows) (row, error) {
			var o row
			var id string
			var due int64
			if err := rows.Scan(&o.Number, &id, &due, &o.State, &o.miss, &o.Question); err != nil {
				return o, err
			}
			o.Due = time.Unix(due, 0).UTC()
			return o, o.Query.UnmarshalText([]byte(id))
		}, `SELECT o.number, o.query, o.due_at, o.state, o.miss, coalesce(q.state, '') FROM schedule_occurrence AS o
			LEFT JOIN question AS q ON q.id = o.query WHERE o.schedule = ? ORDER BY o.number`, digest.String())
		if err != nil {
			return nil, err
		}
		list := make([]Occurrence, 0, len(rows))
		for _, o := range rows {
			if o.miss != "" {
				m, err := documentAs[schedule.Miss](ctx, tx, o.miss)
				if err != nil {
					return nil, err
				}
				o.Miss = &m
			}
			list = append(list, o.Occurrence)
		}
		return list, nil
	})
}

// Due returns up to limit occurrences that are due at now and neither asked nor missed, those
// that are due longest first.
func (r *Reader) Due(ctx context.Context, now time.Time, limit int) ([]DueOccurrence, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]DueOccurrence, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (DueOccurrence, error) {
			var d DueOccurrence
			var digest string
			if err := rows.Scan(&digest, &d.Number); err != nil {
				return d, err
			}
			return d, d.Schedule.UnmarshalText([]byte(digest))
		}, `SELECT schedule, number FROM schedule_occurrence WHERE state = ? AND due_at <= ? ORDER BY due_at, schedule, number LIMIT ?`,
			schedule.Pending, now.Unix(), limit)
	})
}

// scheduleOf returns the schedule that a statement selects.
func scheduleOf(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) (Schedule, error) {
	var s Schedule
	var digest, document, cancellation string
	var at int64
	err := tx.QueryRow(ctx, sql, args...).Scan(&digest, &document, &at, &s.LedgerIndex, &cancellation)
	if errors.Is(err, sqldb.ErrNoRows) {
		return s, ErrScheduleUnknown
	}
	if err != nil {
		return s, err
	}
	s.Registered = time.Unix(at, 0).UTC()
	if err := s.Digest.UnmarshalText([]byte(digest)); err != nil {
		return s, err
	}
	if s.Envelope, err = documentAs[message.Envelope](ctx, tx, document); err != nil {
		return s, err
	}
	if cancellation != "" {
		e, err := documentAs[message.Envelope](ctx, tx, cancellation)
		if err != nil {
			return s, err
		}
		s.Cancellation = &e
	}
	s.Schedule, err = message.Stored[schedule.Schedule](s.Envelope, schedule.KindSchedule)
	return s, err
}
