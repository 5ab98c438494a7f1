package sqldb

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// newReadOnly returns a connector for a file that is there and that is not changed.
func newReadOnly(path string, cfg Config) connector {
	q := url.Values{"mode": {"ro"}, "_query_only": {"on"}, "_busy_timeout": {strconv.FormatInt(cfg.LockWait.Milliseconds(), 10)}}
	return connector{
		driver: &sqlite3.SQLiteDriver{},
		dsn:    (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String(),
	}
}

// copyFile is CopyCSV on SQLite.
func (v *Visit) copyFile(ctx context.Context, w io.Writer, table string, fields []Field) (n int64, err error) {
	quoted := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	selected, header := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		// Without the sign the driver makes times of what a column is declared to hold.
		selected[i], header[i] = "+"+quoted(f.Name), f.As
	}
	rows, err := v.tx.std.QueryContext(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM "+quoted(table)) //nolint:gosec // names are quoted
	if err != nil {
		return 0, wrap("copy "+table, err)
	}
	defer rows.Close()
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return 0, fmt.Errorf("sqldb: copy %s: %w", table, err)
	}
	values, cells := make([]any, len(fields)), make([]string, len(fields))
	into := make([]any, len(fields))
	for i := range values {
		into[i] = &values[i]
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return 0, wrap("copy "+table, err)
		}
		for i, value := range values {
			cells[i] = cellOf(value, fields[i].Time)
		}
		if err := out.Write(cells); err != nil {
			return 0, fmt.Errorf("sqldb: copy %s: %w", table, err)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, wrap("copy "+table, err)
	}
	if out.Flush(); out.Error() != nil {
		return 0, fmt.Errorf("sqldb: copy %s: %w", table, out.Error())
	}
	return n, nil
}

// cellOf is the text of a value as the driver gives it. OHDSI's tools write times to SQLite
// as seconds since 1970, in floating point; an integer may be a date such as 20240131.
func cellOf(value any, moment bool) string {
	switch v := value.(type) {
	case nil:
		return ""
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if moment && math.Abs(v) < 1e12 {
			return time.UnixMicro(int64(math.Round(v * 1e6))).UTC().Format("2006-01-02 15:04:05.999999")
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		return string(v)
	case string:
		return v
	}
	return fmt.Sprint(value)
}
