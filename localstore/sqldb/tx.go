package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/trialmesh/trialmesh/localstore/internal/door"
)

// txMode is how a transaction is opened, and the label of its metrics.
type txMode string

const (
	modeRead  txMode = "read"
	modeWrite txMode = "write"
)

// Tx is a transaction. It is used by one goroutine and is dead after the
// function it was given to returns. Rows must be closed before the next statement.
type Tx struct {
	dialect Dialect
	std     *sql.Tx // SQLite
	pg      pgx.Tx  // PostgreSQL
}

func (db *DB) begin(ctx context.Context, mode txMode) (*Tx, error) {
	if db.dialect == Postgres {
		opts := pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}
		if mode == modeRead {
			opts = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		}
		tx, err := db.pool.BeginTx(ctx, opts)
		if err != nil {
			return nil, err
		}
		return &Tx{dialect: Postgres, pg: tx}, nil
	}
	pool := db.writer
	if mode == modeRead {
		pool = db.reader
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &Tx{dialect: SQLite, std: tx}, nil
}

func (tx *Tx) commit(ctx context.Context) error {
	if tx.pg != nil {
		return tx.pg.Commit(ctx)
	}
	err := tx.std.Commit()
	if errors.Is(err, sql.ErrTxDone) {
		return cmp.Or(ctx.Err(), err) // database/sql rolls back by itself when ctx ends
	}
	return err
}

// rollback has nobody to report to: the connection is dropped if it fails.
func (tx *Tx) rollback(ctx context.Context) {
	if tx.pg != nil {
		ctx, cancel := context.WithTimeout(ctx, connectWait)
		defer cancel()
		_ = tx.pg.Rollback(ctx)
		return
	}
	_ = tx.std.Rollback()
}

// Dialect returns which engine the transaction runs on.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Native returns the driver's own transaction, for river; the other one is nil.
func (tx *Tx) Native(door.Key) (*sql.Tx, pgx.Tx) { return tx.std, tx.pg }

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	args, err := bind(tx.dialect, args)
	if err != nil {
		return 0, err
	}
	if tx.pg != nil {
		tag, err := tx.pg.Exec(ctx, rebind(Postgres, query), args...)
		return tag.RowsAffected(), wrap("exec", err)
	}
	res, err := tx.std.ExecContext(ctx, rebind(SQLite, query), args...)
	if err != nil {
		return 0, wrap("exec", err)
	}
	n, err := res.RowsAffected()
	return n, wrap("exec", err)
}

// Query runs a statement that returns rows. The caller closes them.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	args, err := bind(tx.dialect, args)
	if err != nil {
		return nil, err
	}
	if tx.pg != nil {
		rows, err := tx.pg.Query(ctx, rebind(Postgres, query), args...)
		if err != nil {
			return nil, wrap("query", err)
		}
		return &Rows{pg: rows}, nil
	}
	rows, err := tx.std.QueryContext(ctx, rebind(SQLite, query), args...)
	if err != nil {
		return nil, wrap("query", err)
	}
	return &Rows{std: rows}, nil
}

// QueryRow runs a statement that returns at most one row. Errors wait for
// [Row.Scan].
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := tx.Query(ctx, query, args...)
	return &Row{rows: rows, err: err}
}

// Each gives every row of a query to fn, whose error ends it.
func (tx *Tx) Each(ctx context.Context, query string, args []any, fn func(*Rows) error) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Lock makes transactions that name the same thing follow one another, until
// they end. It is what makes "read, decide, write" safe on PostgreSQL; on SQLite
// a Write is alone anyway. It ends with [ErrLocked] after Config.LockWait.
// Callers that take several locks take them in one order.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	if tx.pg == nil {
		return nil
	}
	_, err := tx.pg.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 0))", name)
	return wrap("lock "+name, err)
}

// Rows is the result of a query.
type Rows struct {
	std *sql.Rows
	pg  pgx.Rows
}

// Next moves to the next row and reports whether there is one.
func (r *Rows) Next() bool {
	if r.pg != nil {
		return r.pg.Next()
	}
	return r.std.Next()
}

// Scan copies the columns of the current row. Times come back in UTC.
func (r *Rows) Scan(dest ...any) error {
	if r.pg != nil {
		return wrap("scan", r.pg.Scan(dest...))
	}
	for i, d := range dest {
		switch d := d.(type) {
		case *time.Time:
			dest[i] = scanTime{required: d}
		case **time.Time:
			dest[i] = scanTime{optional: d}
		}
	}
	return wrap("scan", r.std.Scan(dest...))
}

// Err returns the error that ended Next early, if any.
func (r *Rows) Err() error {
	if r.pg != nil {
		return wrap("query", r.pg.Err())
	}
	return wrap("query", r.std.Err())
}

// Close ends the query. It may be called more than once.
func (r *Rows) Close() {
	if r.pg != nil {
		r.pg.Close()
		return
	}
	_ = r.std.Close() // what matters is in Err
}

// Row is the result of [Tx.QueryRow].
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the columns of the row, or returns [ErrNoRows].
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
