package raw

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

// ErrOther says that a store is not the one that a database has its copies in: it is
// empty, or another one. Name the right one, or have an operator who replaced it say so
// with [Adopt].
var ErrOther = errors.New("the raw store is not the one that the database has its copies in")

// Identity tells stores apart: 32 hexadecimal digits, which are those of a copy of the
// whole store too. It is made of the secret of names, so it is random, the same for every
// process and as old as the store, and it tells nothing of the secret.
func (s *Store) Identity() string { return hex.EncodeToString(s.hash("identity", nil)[:16]) }

// is returns [ErrOther] unless s has the identity, of which "" is any.
func (s *Store) is(identity string) error {
	if identity != "" && identity != s.Identity() {
		return ErrOther
	}
	return nil
}

// Migrate brings the table that remembers a database's store up to date.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := sqldb.Migrate(ctx, db, "raw", own); err != nil {
		return fmt.Errorf("raw: %w", err)
	}
	return nil
}

// tableThere is how each engine is asked for the table, which an older program did not make.
var tableThere = map[sqldb.Dialect]string{
	sqldb.SQLite:   `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'raw_store'`,
	sqldb.Postgres: `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'raw_store'`,
}

// Known returns the identity of the store that has the copies of db, "" if it does not
// know one yet. It migrates nothing.
func Known(ctx context.Context, db *sqldb.DB) (string, error) {
	var identity string
	err := db.Read(ctx, func(tx *sqldb.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, tableThere[db.Dialect()]).Scan(&n); err != nil || n == 0 {
			return err
		}
		return known(ctx, tx, &identity)
	})
	if err != nil {
		return "", fmt.Errorf("raw: the store that the database knows: %w", err)
	}
	return identity, nil
}

func known(ctx context.Context, tx *sqldb.Tx, identity *string) error {
	err := tx.QueryRow(ctx, `SELECT identity FROM raw_store`).Scan(identity)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil
	}
	return err
}

// Remember has db know that its copies are in s, if it knows of no store yet. Otherwise it
// is [ErrOther] unless that is the one. Of processes that begin at once with different
// stores one is the first.
func Remember(ctx context.Context, db *sqldb.DB, s *Store) error {
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO raw_store (one, identity) VALUES (1, ?) ON CONFLICT (one) DO NOTHING`, s.Identity()); err != nil {
			return err
		}
		var identity string
		if err := known(ctx, tx, &identity); err != nil {
			return err
		}
		return s.is(identity)
	})
	if err != nil {
		return fmt.Errorf("raw: remember the store: %w", err)
	}
	return nil
}

// Adopt has db know that its copies are in s from now on, whatever it knew.
func Adopt(ctx context.Context, db *sqldb.DB, s *Store) error {
	err := db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO raw_store (one, identity) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET identity = excluded.identity`, s.Identity())
		return err
	})
	if err != nil {
		return fmt.Errorf("raw: adopt the store: %w", err)
	}
	return nil
}
