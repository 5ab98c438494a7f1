package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mattn/go-sqlite3"
)

// walLimit bounds the WAL file that is kept after a checkpoint, in bytes.
const walLimit = 64 << 20

// How long the WAL may become before it is copied into the database, in pages of 4 KiB:
// SQLite's own bound, and that of a database that is replayed. The longer it is the more of
// its pages are newer copies of others, which nobody has to copy.
const (
	walPages         = 1000
	replayedWALPages = 4 * walPages
)

// connector opens SQLite connections without registering a global driver.
type connector struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// newConnector returns a connector for path with extra settings of the driver.
func newConnector(path string, cfg Config, extra map[string]string) connector {
	q := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
		"_busy_timeout": {strconv.FormatInt(cfg.LockWait.Milliseconds(), 10)},
		"_cache_size":   {"-16384"}, // KiB

		// Statements of a connection that are kept prepared: parsing them again took a
		// fifth of the time of short transactions.
		"_stmt_cache_size": {"128"},
	}
	pages := walPages
	if cfg.Replayed {
		q.Set("_synchronous", "NORMAL")
		pages = replayedWALPages
	}
	for k, v := range extra {
		q.Set(k, v)
	}
	hook := func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(fmt.Sprintf("PRAGMA journal_size_limit = %d; PRAGMA wal_autocheckpoint = %d", walLimit, pages), nil)
		return err
	}
	return connector{
		driver: &sqlite3.SQLiteDriver{ConnectHook: hook},
		dsn:    (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String(),
	}
}

func openSQLite(ctx context.Context, path string, cfg Config) (*DB, error) {
	if path == "" {
		return nil, errors.New("sqldb: sqlite address without a path")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqldb: %w", err)
	}
	if err := createFile(path); err != nil {
		return nil, wrap("open "+path, err)
	}
	db := &DB{dialect: SQLite, path: path, m: newMetrics(SQLite)}

	db.writer = sql.OpenDB(newConnector(path, cfg, map[string]string{"_txlock": "immediate"}))
	db.writer.SetMaxOpenConns(1)
	db.writer.SetMaxIdleConns(1)
	if err := db.writer.PingContext(ctx); err != nil {
		return nil, errors.Join(wrap("open "+path, err), db.writer.Close())
	}

	db.reader = sql.OpenDB(newConnector(path, cfg, map[string]string{"_query_only": "on"}))
	db.reader.SetMaxOpenConns(cfg.Readers)
	db.reader.SetMaxIdleConns(cfg.Readers)
	if err := db.reader.PingContext(ctx); err != nil {
		return nil, errors.Join(wrap("open "+path, err), db.reader.Close(), db.writer.Close())
	}
	db.m.watch(db)
	return db, nil
}

// createFile makes the database file readable by its owner only; SQLite gives
// the WAL and shared-memory files the same mode.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Backup writes a consistent copy of a SQLite database to path while reads and
// writes go on, and returns when the copy is durable. path must not exist; on an
// error nothing is left there. For PostgreSQL, which is no file, there is
// [DB.Snapshot].
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	if db.dialect != SQLite {
		return errors.New("sqldb: backup: only a SQLite database is a file")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("sqldb: backup: %w: %s", os.ErrExist, path)
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sqldb: backup: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	// VACUUM INTO only reads this database, but query_only forbids it; hence a
	// connection of its own, which holds up neither the writer nor a reader.
	src := sql.OpenDB(newConnector(db.path, Config{}.withDefaults(), nil))
	defer src.Close()
	if err := os.WriteFile(part, nil, 0o600); err != nil {
		return wrap("backup", err)
	}
	if _, err := src.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return wrap("backup", err)
	}
	if err := syncFile(part); err != nil {
		return wrap("backup", err)
	}
	if err := os.Rename(part, path); err != nil {
		return wrap("backup", err)
	}
	return wrap("backup", syncDir(filepath.Dir(path)))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
