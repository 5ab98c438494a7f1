package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const columns = `message_id, endpoint, type, identifier, state, asked_at, tried_at, next_at, ended_at, attempts, reference, error, job_id`

func scan(row interface{ Scan(...any) error }) (Message, error) {
	var m Message
	var id int64
	var state string
	var tried, next, ended *time.Time
	if err := row.Scan(&id, &m.Endpoint, &m.Type, &m.Identifier, &state, &m.Asked, &tried, &next, &ended, &m.Attempts, &m.Reference, &m.Error, &m.job); err != nil {
		return Message{}, err
	}
	m.ID, m.State = ID(id), State(state)
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{tried, &m.Tried}, {next, &m.Next}, {ended, &m.Ended}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return m, nil
}

// one returns the message that a condition finds, errNoMessage for none.
func one(ctx context.Context, tx *sqldb.Tx, condition string, args ...any) (Message, error) {
	m, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM outbox_message WHERE `+condition, args...))
	if errors.Is(err, sqldb.ErrNoRows) {
		err = errNoMessage
	}
	return m, err
}

// insert writes a new message.
func (o *Outbox) insert(ctx context.Context, tx *sqldb.Tx, m Message, sealed []byte) (Message, error) {
	var id int64
	err := tx.QueryRow(ctx, `INSERT INTO outbox_message (endpoint, identifier, type, state, content, asked_at, until) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING message_id`,
		m.Endpoint, m.Identifier, m.Type, string(Waiting), sealed, m.Asked, m.Asked.Add(o.cfg.Patience)).Scan(&id)
	if err != nil {
		return Message{}, err
	}
	m.ID, m.State = ID(id), Waiting
	return o.enqueue(ctx, tx, m)
}

// revive makes a message wait again.
func (o *Outbox) revive(ctx context.Context, tx *sqldb.Tx, m Message) (Message, error) {
	if _, err := tx.Exec(ctx, `UPDATE outbox_message SET state = ?, until = ?, next_at = NULL, ended_at = NULL WHERE message_id = ?`,
		string(Waiting), o.cfg.Now().Add(o.cfg.Patience), int64(m.ID)); err != nil {
		return Message{}, err
	}
	m.State, m.Next, m.Ended = Waiting, time.Time{}, time.Time{}
	return o.enqueue(ctx, tx, m)
}

// enqueue gives a message the job that sends it. One that it had before finds nothing to do.
func (o *Outbox) enqueue(ctx context.Context, tx *sqldb.Tx, m Message) (Message, error) {
	var err error
	if m.job, err = o.cfg.Jobs.Enqueue(ctx, tx, delivery{int64(m.ID)}); err != nil {
		return Message{}, err
	}
	_, err = tx.Exec(ctx, `UPDATE outbox_message SET job_id = ? WHERE message_id = ?`, m.job, int64(m.ID))
	return m, err
}

// Message returns a message.
func (o *Outbox) Message(ctx context.Context, id ID) (Message, error) {
	var m Message
	err := o.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		m, err = one(ctx, tx, `message_id = ?`, int64(id))
		return err
	})
	if err != nil {
		return Message{}, fmt.Errorf("message %d: %w", id, err)
	}
	return m, nil
}

// Messages returns messages below before (0 for all), newest first, at most limit (1 to
// 1,000); with a state only those in it.
func (o *Outbox) Messages(ctx context.Context, before ID, limit int, state State) ([]Message, error) {
	where, args := `1 = 1`, []any{}
	if before != 0 {
		where, args = where+` AND message_id < ?`, append(args, int64(before))
	}
	if state != "" {
		where, args = where+` AND state = ?`, append(args, string(state))
	}
	var list []Message
	err := o.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+` FROM outbox_message WHERE `+where+` ORDER BY message_id DESC LIMIT ?`, append(args, limit)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			m, err := scan(rows)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	return list, nil
}
