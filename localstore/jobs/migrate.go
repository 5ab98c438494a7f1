package jobs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Migrate makes the tables of the queue in db or brings them up to date. They are
// river's own, with its migrations. Several processes may do it at once.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	cfg := &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)}
	writer, pool := db.Native(key)
	var err error
	if db.Dialect() == sqldb.Postgres {
		// river's migrations are transactions of their own; this one only holds the lock.
		err = db.Write(ctx, func(tx *sqldb.Tx) error {
			if err := tx.Lock(ctx, "jobs/migrate"); err != nil {
				return err
			}
			return migrate(ctx, riverpgxv5.New(pool), cfg)
		})
	} else {
		for range migrateAttempts {
			if err = migrate(ctx, riversqlite.New(writer), cfg); err == nil || ctx.Err() != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("jobs: migrate: %w", err)
	}
	return nil
}
