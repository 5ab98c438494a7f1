package wearable

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Lengths of a lease and of what is done within it.
const (
	leaseTime  = 2 * time.Minute
	answerTime = 45 * time.Second // that a maker may take; the rest is for writing what came
)

// lease is the right to use the tokens of a connection.
type lease struct {
	id    int64
	owner string
}

// acquire takes the lease of a connection that nobody has, and returns the connection as it
// is then. The error is [errLost] if somebody has it, and [errUnknown].
func (s *Service) acquire(ctx context.Context, id int64) (lease, Connection, error) {
	l := lease{id, rand.Text()}
	var c Connection
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		now := s.cfg.Now()
		n, err := tx.Exec(ctx, `UPDATE wearable_connection SET lease = ?, lease_until = ? WHERE connection_id = ? AND (lease_until IS NULL OR lease_until <= ?)`,
			l.owner, now.Add(leaseTime), id, now)
		if err != nil {
			return err
		}
		c, err = scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM wearable_connection WHERE connection_id = ?`, id))
		switch {
		case errors.Is(err, sqldb.ErrNoRows):
			return errUnknown
		case err == nil && n == 0:
			return errLost
		}
		return err
	})
	return l, c, err
}

// check fails with [errLost] if the lease is somebody else's by now. Until the transaction
// ends nobody else gets it.
func (l lease) check(ctx context.Context, tx *sqldb.Tx) error {
	return l.set(ctx, tx, `lease = lease`)
}

// set changes the connection, or fails with [errLost].
func (l lease) set(ctx context.Context, tx *sqldb.Tx, what string, args ...any) error {
	n, err := tx.Exec(ctx, `UPDATE wearable_connection SET `+what+` WHERE connection_id = ? AND lease = ? AND lease_until IS NOT NULL`, append(args, l.id, l.owner)...)
	if err == nil && n == 0 {
		err = errLost
	}
	return err
}

// update is [lease.set] in a transaction of its own.
func (s *Service) update(ctx context.Context, l lease, what string, args ...any) error {
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error { return l.set(ctx, tx, what, args...) })
}

// renew makes the lease last from now on. It is called before each request, which is over
// before the lease is.
func (s *Service) renew(ctx context.Context, l lease) error {
	return s.update(ctx, l, `lease_until = ?`, s.cfg.Now().Add(leaseTime))
}

// release gives the lease back, if it is still there, also when ctx has ended.
func (s *Service) release(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := s.update(ctx, l, `lease = '', lease_until = NULL`); err != nil && !errors.Is(err, errLost) {
		s.cfg.Log.WarnContext(ctx, "a connection was not given back and is so when its lease ends", "connection", l.id, "err", err)
	}
}

// farewell bounds what is still written when a process ends.
const farewell = 10 * time.Second

// endLeases gives back all that a process left.
func (s *Service) endLeases(ctx context.Context) error {
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE wearable_connection SET lease = '', lease_until = NULL WHERE lease_until IS NOT NULL`)
		return err
	})
}

// unsealed returns the tokens of a connection.
func (s *Service) unsealed(c Connection) (maker.Tokens, error) {
	text, err := s.cfg.Sealer.Unseal(c.tokens, c.use())
	if err != nil {
		return maker.Tokens{}, err
	}
	return maker.ParseTokens(text)
}

// Reseal seals the tokens of all connections with the node's newest key and returns how many.
// No process may use them meanwhile. Authorizations that are waited for are dropped.
func Reseal(ctx context.Context, db *sqldb.DB, sealer Sealer) (int, error) {
	if err := migrate(ctx, db); err != nil {
		return 0, err
	}
	s := &Service{cfg: Config{DB: db, Sealer: sealer}}
	list, err := s.connections(ctx, `WHERE state = ?`, string(Connected))
	if err != nil {
		return 0, err
	}
	for i, c := range list {
		text, err := sealer.Unseal(c.tokens, c.use())
		if err != nil {
			return i, err
		}
		sealed, err := sealer.Seal(text, c.use())
		if err != nil {
			return i, err
		}
		err = db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE wearable_connection SET tokens = ? WHERE connection_id = ?`, sealed, c.ID)
			return err
		})
		if err != nil {
			return i, err
		}
	}
	return len(list), db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM wearable_authorization`)
		return err
	})
}
