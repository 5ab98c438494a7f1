package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrForbidden says that the account may not read what was asked for. Grant it SELECT.
var ErrForbidden = errors.New("the account may not read it")

// Guest is a database that is not ours and of which tables are read: in transactions that
// cannot write, without migrations, settings or files of our own. It is safe for
// concurrent use.
type Guest struct {
	db     *DB
	schema string
}

// OpenGuest opens the database at address: "sqlite:/path", which has to be there, or a
// "postgres://" URL as libpq understands it. Schema is where its tables are; if it is empty,
// PostgreSQL's first one of the search path. SQLite has none.
//
// A password comes from where libpq takes it (PGPASSWORD, PGPASSFILE, a service file), never
// from the address. Unless the address or PGSSLMODE names an sslmode the server's certificate
// and name are verified, but for a Unix socket or a server on this machine.
func OpenGuest(ctx context.Context, address, schema string) (*Guest, error) {
	switch scheme, rest, _ := strings.Cut(address, ":"); scheme {
	case "sqlite":
		return openGuestFile(ctx, rest, schema)
	case "postgres", "postgresql":
		return openGuestServer(ctx, address, schema)
	}
	return nil, errors.New(`sqldb: database address must begin with "sqlite:" or "postgres:"`) // it may hold a password
}

func openGuestFile(ctx context.Context, path, schema string) (*Guest, error) {
	if schema != "" {
		return nil, errors.New("sqldb: a SQLite file has no schemas: leave the schema out")
	}
	if path == "" {
		return nil, errors.New("sqldb: sqlite address without a path")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqldb: %w", err)
	}
	reader := sql.OpenDB(newReadOnly(path, Config{}.withDefaults()))
	if err := reader.PingContext(ctx); err != nil {
		return nil, errors.Join(wrap("open "+path, err), reader.Close())
	}
	return &Guest{db: &DB{dialect: SQLite, reader: reader, path: path, m: newMetrics(SQLite)}}, nil
}

// Close ends the connections.
func (g *Guest) Close() error {
	if g.db.pool != nil {
		g.db.pool.Close()
		return nil
	}
	return wrap("close", g.db.reader.Close())
}

// Read runs fn on one snapshot of the database, as [DB.Read] does.
func (g *Guest) Read(ctx context.Context, fn func(*Visit) error) error {
	return g.db.Read(ctx, func(tx *Tx) error { return fn(&Visit{tx: tx, schema: g.schema}) })
}

// Visit is a snapshot of a [Guest].
type Visit struct {
	tx     *Tx
	schema string
}

// Tables returns the tables and views of the schema with their columns, also those that the
// account may not read.
func (v *Visit) Tables(ctx context.Context) ([]Table, error) {
	query, args := `SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type IN ('table', 'view') ORDER BY t.name, c.cid`, []any{}
	if v.tx.pg != nil {
		query, args = `SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
			WHERE n.nspname = coalesce(nullif(?, ''), current_schema()) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
			ORDER BY c.relname, a.attnum`, []any{v.schema}
	}
	rows, err := v.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Table
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].Name != table {
			list = append(list, Table{Name: table})
		}
		last := &list[len(list)-1]
		last.Columns = append(last.Columns, column)
	}
	return list, rows.Err()
}

// Field is a column to be copied out.
type Field struct {
	Name string // in the table
	As   string // in the header
	Time bool   // it holds dates or times
}

// CopyCSV writes fields of a table as CSV with a header, null as an empty cell, and returns
// how many rows there were. Memory does not grow with the table. Times have no other form
// than ISO 8601, also where SQLite has seconds since 1970 in their place.
func (v *Visit) CopyCSV(ctx context.Context, w io.Writer, table string, fields []Field) (int64, error) {
	if v.tx.pg == nil {
		return v.copyFile(ctx, w, table, fields)
	}
	selected := make([]string, len(fields))
	for i, f := range fields {
		selected[i] = pgx.Identifier{f.Name}.Sanitize() + " AS " + pgx.Identifier{f.As}.Sanitize()
	}
	name := pgx.Identifier{table}
	if v.schema != "" {
		name = pgx.Identifier{v.schema, table}
	}
	to := &sink{w: w}
	tag, err := v.tx.pg.Conn().PgConn().CopyTo(ctx, to, "COPY (SELECT "+strings.Join(selected, ", ")+" FROM "+name.Sanitize()+") TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')")
	if to.err != nil {
		return 0, fmt.Errorf("sqldb: copy %s: %w", table, to.err)
	}
	return tag.RowsAffected(), wrap("copy "+table, err)
}

// sink remembers why a writer failed: the driver's error does not say whose it is.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}
