package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// ErrRunning says that jobs of this database are being run under the same name,
// most likely by another process on the same folder.
var ErrRunning = errors.New("jobs are being run under this name already")

// claimWait is how long claim waits for an earlier process to be gone: a server
// takes a moment to notice.
const (
	claimWait = 2 * time.Second
	claimPoll = 50 * time.Millisecond
)

// claim makes sure that there is one Run by name. The lock ends with the process,
// however that ends.
func claim(ctx context.Context, db *sqldb.DB, name string) (release func(), err error) {
	try := claimSQLite
	if db.Dialect() == sqldb.Postgres {
		try = func(ctx context.Context, db *sqldb.DB) (func(), error) { return claimPostgres(ctx, db, name) }
	}
	tick := time.NewTicker(claimPoll)
	defer tick.Stop()
	enough := time.NewTimer(claimWait)
	defer enough.Stop()
	for {
		release, err = try(ctx, db)
		if !errors.Is(err, ErrRunning) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-enough.C:
			return nil, ErrRunning
		case <-tick.C:
		}
	}
}

// claimSQLite locks a file beside the database. A SQLite database has one process
// that runs jobs, whatever its name.
func claimSQLite(ctx context.Context, db *sqldb.DB) (func(), error) {
	var path string
	if err := db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	}); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".jobs", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrRunning
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // the file stays: removing it would let two processes lock two files
}

// claimPostgres holds an advisory lock in a connection of its own.
func claimPostgres(ctx context.Context, db *sqldb.DB, name string) (func(), error) {
	_, pool := db.Native(key)
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	var got bool
	const lock = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '/jobs/' || $1, 0))"
	if err := conn.QueryRow(ctx, lock, name).Scan(&got); err != nil {
		conn.Release()
		return nil, fmt.Errorf("claim: %w", err)
	}
	if !got {
		conn.Release()
		return nil, ErrRunning
	}
	return func() {
		// Closing the session is what surely gives the lock back.
		_ = conn.Hijack().Close(context.WithoutCancel(ctx))
	}, nil
}
