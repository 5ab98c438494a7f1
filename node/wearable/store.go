package wearable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const columns = `connection_id, maker, patient, timezone, account, state, tokens, since, connected_at, asked_at, began_at, ended_at, success_at, retry_at, failures, error, lease_until`

func scan(row interface{ Scan(...any) error }) (Connection, error) {
	var c Connection
	var state string
	var began, ended, success, retry, until *time.Time
	if err := row.Scan(&c.ID, &c.Maker, &c.Patient, &c.Timezone, &c.account, &state, &c.tokens, &c.since, &c.Connected, &c.Asked,
		&began, &ended, &success, &retry, &c.failures, &c.Error, &until); err != nil {
		return Connection{}, err
	}
	c.State = State(state)
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{began, &c.Began}, {ended, &c.Ended}, {success, &c.Success}, {retry, &c.retry}, {until, &c.until}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return c, nil
}

// connections returns all connections that a condition fits, by id.
func (s *Service) connections(ctx context.Context, where string, args ...any) ([]Connection, error) {
	var list []Connection
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+columns+` FROM wearable_connection `+where+` ORDER BY connection_id`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scan(rows)
			if err != nil {
				return err
			}
			list = append(list, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("connections to wearables: %w", err)
	}
	return list, nil
}

// connection returns one connection, or [errUnknown].
func (s *Service) connection(ctx context.Context, id int64) (Connection, error) {
	list, err := s.connections(ctx, `WHERE connection_id = ?`, id)
	if err == nil && len(list) == 0 {
		err = errUnknown
	}
	if err != nil {
		return Connection{}, err
	}
	return list[0], nil
}

// progress returns how far the feeds of a connection are.
func (s *Service) progress(ctx context.Context, id int64) (map[string]time.Time, error) {
	until := make(map[string]time.Time)
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT feed, until FROM wearable_feed WHERE connection_id = ?`, id)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var feed string
			var at time.Time
			if err := rows.Scan(&feed, &at); err != nil {
				return err
			}
			until[feed] = at
		}
		return rows.Err()
	})
	return until, err
}

// acknowledged notes, for who has the lease, that the loads have a feed until a time. Where
// the site has asked for earlier days meanwhile, what it asked for stays.
func (s *Service) acknowledged(ctx context.Context, l lease, feed string, before, until time.Time) error {
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := l.check(ctx, tx); err != nil {
			return err
		}
		var at time.Time
		err := tx.QueryRow(ctx, `SELECT until FROM wearable_feed WHERE connection_id = ? AND feed = ?`, l.id, feed).Scan(&at)
		switch {
		case errors.Is(err, sqldb.ErrNoRows):
			_, err = tx.Exec(ctx, `INSERT INTO wearable_feed (connection_id, feed, until) VALUES (?, ?, ?)`, l.id, feed, until)
		case err == nil && !at.Before(before) && at.Before(until):
			_, err = tx.Exec(ctx, `UPDATE wearable_feed SET until = ? WHERE connection_id = ? AND feed = ?`, until, l.id, feed)
		}
		return err
	})
}

// Pull has a connection pulled now. With since, what was from that day on is asked for again;
// the zero time is for what is new. It is durable when Pull returns.
func (s *Service) Pull(ctx context.Context, id int64, since time.Time) (Connection, error) {
	now := s.cfg.Now()
	if !since.IsZero() && (since.After(now) || since.Year() < 2000) {
		return Connection{}, errSince
	}
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE wearable_connection SET asked_at = ? WHERE connection_id = ? AND state = ?`, now, id, string(Connected))
		if err != nil || since.IsZero() || n == 0 {
			if err == nil && n == 0 {
				err = errOver // or gone, which is told below
			}
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE wearable_connection SET since = ? WHERE connection_id = ? AND since > ?`, since, id, since); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE wearable_feed SET until = ? WHERE connection_id = ? AND until > ?`, since, id, since)
		return err
	})
	c, unknown := s.connection(ctx, id)
	if unknown != nil {
		return Connection{}, unknown
	}
	if err != nil {
		return Connection{}, fmt.Errorf("pull connection %d: %w", id, err)
	}
	s.rouse()
	return c, nil
}

// List returns all connections, by id, with when they fall due.
func (s *Service) List(ctx context.Context) ([]Connection, error) {
	list, err := s.connections(ctx, "")
	if err != nil {
		return nil, err
	}
	schedules, now := s.schedules(), s.cfg.Now()
	for i := range list {
		list[i].Next = list[i].due(schedules[list[i].Maker])
		list[i].Pulling = list[i].held(now)
	}
	return list, nil
}

// optional is nil for a time that is not set.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
