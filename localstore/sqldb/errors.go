package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

// What a caller can act on.
var (
	// ErrNoRows says that [Row.Scan] found no row.
	ErrNoRows = sql.ErrNoRows

	// ErrLocked says that another transaction was in the way. Nothing was changed;
	// run the whole transaction again, after a pause.
	ErrLocked = errors.New("database is locked")

	// ErrFull says that the disk or the quota is full. Nothing was changed; it will
	// fail again until an operator makes room.
	ErrFull = errors.New("disk is full")

	// ErrUnavailable says that the database cannot be reached or its file cannot
	// be read or written. The fate of a commit that ends with it is not known.
	ErrUnavailable = errors.New("database is unavailable")

	// ErrConflict says that a row broke a unique key, a foreign key or a check.
	ErrConflict = errors.New("row breaks a constraint")

	// ErrDamaged says that a SQLite file is not a database or is damaged. Restore
	// it from a backup.
	ErrDamaged = errors.New("database file is damaged")

	// ErrSchema says that the database has no such table or column: a program of another
	// version made it. Migrate it, or use the version that did.
	ErrSchema = errors.New("database is of another version")
)

// wrap says what was attempted and gives err one of the sentinels. Texts of the
// drivers that can repeat a value of a row are cut before the value, and their
// errors are not wrapped, so that nothing of a patient is in an error's text.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, ErrNoRows), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("sqldb: %s: %w", op, err)
	}
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		return classified(op, ofSQLite(lite), lite.Error())
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classified(op, ofPostgres(pg.Code), describe(pg))
	}
	if kind := ofSystem(err); kind != nil {
		return fmt.Errorf("sqldb: %s: %w: %w", op, kind, err)
	}
	return fmt.Errorf("sqldb: %s: %s", op, scrub(err.Error()))
}

func classified(op string, kind error, text string) error {
	if kind == nil {
		return fmt.Errorf("sqldb: %s: %s", op, text)
	}
	return fmt.Errorf("sqldb: %s: %w: %s", op, kind, text)
}

func ofSQLite(err sqlite3.Error) error {
	if err.SystemErrno == syscall.ENOSPC || err.SystemErrno == syscall.EDQUOT {
		return ErrFull
	}
	switch err.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return ErrLocked
	case sqlite3.ErrFull:
		return ErrFull
	case sqlite3.ErrConstraint:
		return ErrConflict
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return ErrDamaged
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrAuth:
		return ErrUnavailable
	case sqlite3.ErrInterrupt:
		return context.Canceled
	case sqlite3.ErrError:
		if text := err.Error(); strings.HasPrefix(text, "no such table") || strings.HasPrefix(text, "no such column") {
			return ErrSchema
		}
	}
	return nil
}

// ofPostgres reads a SQLSTATE, PostgreSQL 15 appendix A.
func ofPostgres(code string) error {
	switch code {
	case "55P03", "40001", "40P01": // lock not available, serialization failure, deadlock
		return ErrLocked
	case "53100", "53400": // disk full, configuration limit exceeded
		return ErrFull
	case "57P01", "57P02", "57P03", "53300": // shutdown, crash, starting up, too many connections
		return ErrUnavailable
	case "42501": // insufficient privilege
		return ErrForbidden
	case "42P01", "42703": // undefined table, undefined column
		return ErrSchema
	case "57014": // cancelled by its context
		return context.Canceled
	}
	switch {
	case strings.HasPrefix(code, "23"):
		return ErrConflict
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "58"): // connection, system error
		return ErrUnavailable
	case code == "XX001", code == "XX002": // data or index corrupted
		return ErrDamaged
	default:
		return nil
	}
}

// describe names code, table, column and constraint. The message itself is shown
// only for classes that speak about the statement, not about data.
func describe(e *pgconn.PgError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SQLSTATE %s", e.Code)
	for _, f := range []struct{ name, value string }{
		{"table", e.TableName}, {"column", e.ColumnName}, {"constraint", e.ConstraintName}, {"type", e.DataTypeName},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s %s", f.name, f.value)
		}
	}
	if class := e.Code[:min(2, len(e.Code))]; class == "42" || class == "25" || class == "53" || class == "57" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	return b.String()
}

func ofSystem(err error) error {
	var connect *pgconn.ConnectError
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case errors.As(err, &connect), errors.As(err, &netErr), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist), errors.Is(err, net.ErrClosed):
		return ErrUnavailable
	default:
		return nil
	}
}

// scrub cuts a driver's text where it would begin to tell about a value.
func scrub(text string) string {
	for _, mark := range []string{": converting ", ": unable to ", ": cannot ", "cannot find encode plan", ": strconv", ": parsing "} {
		if i := strings.Index(text, mark); i >= 0 {
			text = text[:i]
		}
	}
	return text
}
