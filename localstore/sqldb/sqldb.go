// Package sqldb is the only door to SQLite and PostgreSQL.
//
// Start from [Open] and [DB]. All work happens in a transaction: [DB.Write] for
// changes, [DB.Read] for one consistent snapshot. A [Tx] takes ? placeholders on
// both engines, so that ordinary statements are written once; what differs in
// truth (schema, COPY) differs in files per dialect.
//
// A SQLite database has one writer connection and a pool of readers, in WAL mode
// with synchronous=FULL unless [Config.Replayed] says otherwise: when Write returns nil the
// change is on disk. Write must
// not be called from inside another Write of the same DB: on SQLite the inner one
// would wait for the outer one until its context ends. A Read inside a Write takes
// a second connection and does not see what the Write has changed.
//
// Times are stored in UTC with microseconds on both engines. In SQLite they are
// text of fixed width, so that comparing the text compares the time; columns that
// hold them are declared TIMESTAMP. See [Date] for calendar days.
//
// Errors name tables, columns, constraints and codes, never a value from a row.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/trialmesh/trialmesh/localstore/internal/door"
)

// Dialect names an engine and the folder of its migrations.
type Dialect string

// The two engines.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Config says which database to open. DSN is required.
type Config struct {
	// DSN is "sqlite:/path/to/file.db" (created with mode 0600 when missing; its
	// folder must exist) or a "postgres://" URL as libpq understands it.
	DSN string

	// Readers is how many read transactions may run at once, 1 to 64. On
	// PostgreSQL there are up to three connections more, for the writer and for
	// what the job queue holds open. Defaults to 4.
	Readers int

	// LockWait is how long a statement waits for another process's lock before
	// it ends with [ErrLocked], 1 ms to 1 minute. Defaults to 5 s.
	LockWait time.Duration

	// Replayed says that whatever is written here can be written again from a log that is
	// on disk before: SQLite then syncs at checkpoints only (synchronous=NORMAL). A power
	// cut takes the last transactions with it and leaves the state of before them; the end
	// of the process takes nothing. It changes nothing on PostgreSQL.
	Replayed bool
}

func (c Config) withDefaults() Config {
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.LockWait == 0 {
		c.LockWait = 5 * time.Second
	}
	return c
}

func (c Config) validate() error {
	if c.Readers < 1 || c.Readers > 64 {
		return errors.New("readers must be 1 to 64")
	}
	if c.LockWait < time.Millisecond || c.LockWait > time.Minute {
		return errors.New("lock wait must be 1 ms to 1 minute")
	}
	return nil
}

// DB is an open database, safe for concurrent use.
type DB struct {
	dialect Dialect
	m       *metrics

	// SQLite: two pools on one file. path is the file.
	writer, reader *sql.DB
	path           string

	// PostgreSQL.
	pool *pgxpool.Pool
}

// Open opens the database that cfg names and checks that it answers. It creates
// a missing SQLite file and applies no migration.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("sqldb: %w", err)
	}
	switch scheme, rest, _ := strings.Cut(cfg.DSN, ":"); scheme {
	case "sqlite":
		return openSQLite(ctx, rest, cfg)
	case "postgres", "postgresql":
		return openPostgres(ctx, cfg)
	default:
		// The text itself may hold a password.
		return nil, errors.New(`sqldb: database address must begin with "sqlite:" or "postgres:"`)
	}
}

// Dialect returns which engine db is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Native returns the driver's own pool, for river: the SQLite writer or the
// PostgreSQL pool; the other one is nil.
func (db *DB) Native(door.Key) (*sql.DB, *pgxpool.Pool) { return db.writer, db.pool }

// Close waits for running transactions and closes all connections.
func (db *DB) Close() error {
	if db.dialect == Postgres {
		db.pool.Close()
		return nil
	}
	// Readers first: the last connection to close checkpoints the WAL, and only
	// the writer may write.
	return wrap("close", errors.Join(db.reader.Close(), db.writer.Close()))
}

// Ping reports whether the database answers, for readiness checks.
func (db *DB) Ping(ctx context.Context) error {
	return db.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.QueryRow(ctx, "SELECT 1").Scan(&one)
	})
}

// Write runs fn in a read-write transaction and commits it if fn returns nil.
// When Write returns nil the change is durable; on any error, and when fn
// panics, nothing of it remains. [ErrLocked] may be retried as a whole.
//
// On SQLite there is one Write at a time. On PostgreSQL several run at once at
// READ COMMITTED: a caller that decides on what it has read takes [Tx.Lock] first.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, modeWrite, fn)
}

// Read runs fn on one snapshot: it sees everything committed before its first
// statement, and nothing later. fn cannot change anything.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	return db.run(ctx, modeRead, fn)
}

func (db *DB) run(ctx context.Context, mode txMode, fn func(*Tx) error) (err error) {
	start := time.Now()
	defer func() { db.m.observe(mode, time.Since(start), err) }()
	tx, err := db.begin(ctx, mode)
	if err != nil {
		return wrap("begin "+string(mode), err)
	}
	done := false
	defer func() {
		if !done {
			tx.rollback(context.WithoutCancel(ctx))
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	done = true
	return wrap("commit", tx.commit(ctx))
}
