package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Rows of one multi-row INSERT statement.
const (
	sqliteChunk   = 100 // measured best, see the benchmark
	postgresChunk = 500
	// maxParameters is the smaller of SQLite's 32,766 and PostgreSQL's 65,535.
	maxParameters = 32_766
)

// Insert adds rows to table and returns how many. On PostgreSQL it is a COPY, on
// SQLite prepared statements of 100 rows. A row that breaks a constraint fails
// the whole call with [ErrConflict]. Each row has one value per column; the slice
// may be reused for the next row. table and columns are names from our code.
func (tx *Tx) Insert(ctx context.Context, table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	if tx.pg == nil {
		return tx.insertChunks(ctx, table, columns, rows, "")
	}
	next, stop := iter.Pull(rows)
	defer stop()
	src := &copySource{next: next, width: len(columns)}
	n, err := tx.pg.CopyFrom(ctx, pgx.Identifier{table}, columns, src)
	if src.err != nil {
		return 0, fmt.Errorf("sqldb: insert %s: %w", table, src.err)
	}
	return n, wrap("insert "+table, err)
}

// InsertNew adds those rows whose primary or unique key is not there yet, and
// returns how many were added. Otherwise it is like [Tx.Insert].
func (tx *Tx) InsertNew(ctx context.Context, table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	return tx.insertChunks(ctx, table, columns, rows, " ON CONFLICT DO NOTHING")
}

// copySource feeds COPY from an iterator.
type copySource struct {
	next  func() ([]any, bool)
	width int
	row   []any
	err   error
}

func (s *copySource) Next() bool {
	row, ok := s.next()
	if !ok || s.err != nil {
		return false
	}
	s.row = row
	return true
}

func (s *copySource) Values() ([]any, error) {
	if len(s.row) != s.width {
		s.err = errWidth
		return nil, s.err
	}
	s.row, s.err = bind(Postgres, s.row)
	return s.row, s.err
}

func (s *copySource) Err() error { return s.err }

var errWidth = errors.New("a row has more or fewer values than there are columns")

func (tx *Tx) insertChunks(ctx context.Context, table string, columns []string, rows iter.Seq[[]any], suffix string) (int64, error) {
	if len(columns) == 0 || len(columns) > maxParameters {
		return 0, fmt.Errorf("sqldb: insert %s: %d columns", table, len(columns))
	}
	chunk := sqliteChunk
	if tx.pg != nil {
		chunk = postgresChunk
	}
	chunk = min(chunk, maxParameters/len(columns))
	ins := &inserter{tx: tx, table: table, columns: columns, suffix: suffix}
	defer ins.close()

	var total int64
	args := make([]any, 0, chunk*len(columns))
	flush := func() error {
		n, err := ins.exec(ctx, args)
		total += n
		args = args[:0]
		return err
	}
	for row := range rows {
		if len(row) != len(columns) {
			return 0, fmt.Errorf("sqldb: insert %s: %w", table, errWidth)
		}
		for _, v := range row {
			b, err := bindOne(tx.dialect, v)
			if err != nil {
				return 0, fmt.Errorf("sqldb: insert %s: %w", table, err)
			}
			args = append(args, b)
		}
		if len(args) == cap(args) {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if len(args) > 0 {
		if err := flush(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// inserter keeps the prepared statement of the last chunk size.
type inserter struct {
	tx            *Tx
	table, suffix string
	columns       []string

	rows int
	text string
	stmt *sql.Stmt // SQLite; pgx caches by text
}

func (in *inserter) exec(ctx context.Context, args []any) (int64, error) {
	if rows := len(args) / len(in.columns); rows != in.rows {
		in.close()
		in.rows, in.text = rows, in.statement(rows)
	}
	if in.tx.pg != nil {
		tag, err := in.tx.pg.Exec(ctx, in.text, args...)
		return tag.RowsAffected(), wrap("insert "+in.table, err)
	}
	if in.stmt == nil {
		stmt, err := in.tx.std.PrepareContext(ctx, in.text)
		if err != nil {
			return 0, wrap("insert "+in.table, err)
		}
		in.stmt = stmt
	}
	res, err := in.stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, wrap("insert "+in.table, err)
	}
	n, err := res.RowsAffected()
	return n, wrap("insert "+in.table, err)
}

func (in *inserter) statement(rows int) string {
	row := "(" + Placeholders(len(in.columns)) + "), "
	text := "INSERT INTO " + in.table + " (" + strings.Join(in.columns, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(row, rows), ", ") + in.suffix
	if in.tx.pg != nil {
		return rebind(Postgres, text)
	}
	return text
}

func (in *inserter) close() {
	if in.stmt != nil {
		_ = in.stmt.Close()
		in.stmt = nil
	}
}
