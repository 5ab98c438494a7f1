package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Table is a table of PostgreSQL as rows are copied out of it and into it.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"` // but generated ones
}

// Sequence is a sequence of PostgreSQL and the last number that it gave out.
type Sequence struct {
	Name string `json:"name"`
	Last int64  `json:"last"`
}

var errOnlyPostgres = errors.New("sqldb: rows are copied on PostgreSQL only; a SQLite database is a file, see DB.Backup")

// errReplaced says that a table was put in the place of another one meanwhile.
var errReplaced = errors.New("tables were replaced")

// lockAttempts is how often Snapshot tries to lock tables that others replace.
const lockAttempts = 5

// Snapshot is [DB.Read] on PostgreSQL with all tables of the schema, sorted by name,
// which nobody can drop or alter until fn returns: rows of a table that was put in the
// place of another one would be missing from the snapshot. Unlogged tables are left
// out, as PostgreSQL empties them itself.
func (db *DB) Snapshot(ctx context.Context, fn func(*Tx, []Table) error) error {
	if db.dialect != Postgres {
		return errOnlyPostgres
	}
	for attempt := 1; ; attempt++ {
		var before []Table
		if err := db.Read(ctx, func(tx *Tx) (err error) {
			before, err = tx.Tables(ctx)
			return err
		}); err != nil {
			return err
		}
		err := db.Read(ctx, func(tx *Tx) error {
			// A lock that comes before the first query comes before the snapshot.
			if err := tx.hold(ctx, before); err != nil {
				return err
			}
			now, err := tx.Tables(ctx)
			if err != nil {
				return err
			}
			if !slices.EqualFunc(before, now, func(a, b Table) bool { return a.Name == b.Name && slices.Equal(a.Columns, b.Columns) }) {
				return errReplaced
			}
			return fn(tx, now)
		})
		if !errors.Is(err, errReplaced) || attempt == lockAttempts {
			return err
		}
	}
}

// hold keeps tables from being dropped or altered until the transaction ends.
func (tx *Tx) hold(ctx context.Context, tables []Table) error {
	if len(tables) == 0 {
		return nil
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = pgx.Identifier{t.Name}.Sanitize()
	}
	_, err := tx.pg.Exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE")
	if gone := new(pgconn.PgError); errors.As(err, &gone) && gone.Code == "42P01" { // undefined table
		return errReplaced
	}
	return wrap("lock tables", err)
}

// Tables returns the tables of the schema on PostgreSQL, sorted by name, but unlogged ones.
func (tx *Tx) Tables(ctx context.Context) ([]Table, error) {
	if tx.pg == nil {
		return nil, errOnlyPostgres
	}
	rows, err := tx.Query(ctx, `SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relpersistence = 'p'
		GROUP BY c.relname ORDER BY c.relname COLLATE "C"`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []Table
	for rows.Next() {
		var t Table
		if err := rows.Scan(&t.Name, &t.Columns); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, rows.Err()
}

// CopyOut writes all rows of t to w, in the text format of PostgreSQL's COPY, and
// returns how many there were.
func (tx *Tx) CopyOut(ctx context.Context, t Table, w io.Writer) (int64, error) {
	if tx.pg == nil {
		return 0, errOnlyPostgres
	}
	tag, err := tx.pg.Conn().PgConn().CopyTo(ctx, w, "COPY "+t.list()+" TO STDOUT")
	return tag.RowsAffected(), wrap("copy "+t.Name, err)
}

// CopyIn replaces all rows of t by those that r gives in the format of [Tx.CopyOut],
// and returns how many there were.
func (tx *Tx) CopyIn(ctx context.Context, t Table, r io.Reader) (int64, error) {
	if tx.pg == nil {
		return 0, errOnlyPostgres
	}
	name := pgx.Identifier{t.Name}.Sanitize()
	if _, err := tx.pg.Exec(ctx, "DELETE FROM "+name); err != nil {
		return 0, wrap("copy "+t.Name, err)
	}
	from := &sourced{r: r}
	tag, err := tx.pg.Conn().PgConn().CopyFrom(ctx, from, "COPY "+t.list()+" FROM STDIN")
	if from.err != nil {
		return 0, fmt.Errorf("sqldb: copy %s: %w", t.Name, from.err)
	}
	if err != nil {
		return 0, wrap("copy "+t.Name, err)
	}
	// Without it the first queries are planned as if the table were empty.
	_, err = tx.pg.Exec(ctx, "ANALYZE "+name)
	return tag.RowsAffected(), wrap("analyze "+t.Name, err)
}

// list is the table with its columns, as COPY takes it.
func (t Table) list() string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	return pgx.Identifier{t.Name}.Sanitize() + " (" + strings.Join(columns, ", ") + ")"
}

// sourced remembers why a reader failed: the driver tells the server only that it did.
type sourced struct {
	r   io.Reader
	err error
}

func (s *sourced) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Sequences returns the sequences of the schema on PostgreSQL that have given out a
// number. They are in no snapshot: the numbers may be later than the transaction's.
func (tx *Tx) Sequences(ctx context.Context) ([]Sequence, error) {
	if tx.pg == nil {
		return nil, errOnlyPostgres
	}
	rows, err := tx.Query(ctx, `SELECT sequencename::text, last_value FROM pg_sequences
		WHERE schemaname = current_schema() AND last_value IS NOT NULL ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Sequence
	for rows.Next() {
		var s Sequence
		if err := rows.Scan(&s.Name, &s.Last); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// SetSequence makes a sequence go on behind s.Last.
func (tx *Tx) SetSequence(ctx context.Context, s Sequence) error {
	if tx.pg == nil {
		return errOnlyPostgres
	}
	_, err := tx.pg.Exec(ctx, "SELECT setval(quote_ident(current_schema()) || '.' || quote_ident($1), $2)", s.Name, s.Last)
	return wrap("sequence "+s.Name, err)
}
