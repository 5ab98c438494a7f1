package sqldb

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// timeLayout is the text of a time in SQLite: UTC, fixed width, so that text
// order is time order.
const timeLayout = "2006-01-02 15:04:05.000000"

// rebind writes each ? of a statement as d wants it, leaving quoted text, quoted names and
// comments alone. On PostgreSQL they are $1, $2 and so on; operators that are written with ?
// cannot be used through [Tx], the jsonb ones have functions of the same meaning. On SQLite
// they are +?, which is the same value: SQLite plans a statement anew for each value that it
// compares a column with, if it is given by a bare ?, and that took a sixth of a question.
func rebind(d Dialect, query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := 0; i < len(query); {
		end := i + 1
		switch c := query[i]; {
		case c == '?':
			if n++; d == SQLite {
				b.WriteString("+?")
			} else {
				b.WriteByte('$')
				b.WriteString(strconv.Itoa(n))
			}
			i = end
			continue
		case c == '\'' || c == '"':
			end = skipTo(query, i+1, string(c))
		case strings.HasPrefix(query[i:], "--"):
			end = skipTo(query, i+2, "\n")
		case strings.HasPrefix(query[i:], "/*"):
			end = skipTo(query, i+2, "*/")
		}
		b.WriteString(query[i:end])
		i = end
	}
	return b.String()
}

// skipTo returns the index after the next occurrence of mark, or the length of s.
func skipTo(s string, from int, mark string) int {
	if from >= len(s) {
		return len(s)
	}
	if i := strings.Index(s[from:], mark); i >= 0 {
		return from + i + len(mark)
	}
	return len(s)
}

// bind returns args as the driver of d expects them.
func bind(d Dialect, args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, a := range args {
		v, err := bindOne(d, a)
		if err != nil {
			return nil, fmt.Errorf("sqldb: argument %d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

func bindOne(d Dialect, a any) (any, error) {
	switch v := a.(type) {
	case nil, string, []byte, bool, int, int64, float64:
		return v, nil
	case time.Time:
		return bindTime(d, v), nil
	case *time.Time:
		if v == nil {
			return nil, nil
		}
		return bindTime(d, *v), nil
	case Date:
		return bindDate(d, v), nil
	case *Date:
		if v == nil {
			return nil, nil
		}
		return bindDate(d, *v), nil
	case driver.Valuer:
		if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.IsNil() {
			return nil, nil
		}
		x, err := v.Value()
		if err != nil {
			return nil, errors.New("value cannot be stored")
		}
		if t, ok := x.(time.Time); ok {
			return bindTime(d, t), nil
		}
		return x, nil
	default:
		return v, nil
	}
}

func bindTime(d Dialect, t time.Time) any {
	t = t.UTC().Truncate(time.Microsecond)
	if d == SQLite {
		return t.Format(timeLayout)
	}
	return t
}

func bindDate(d Dialect, day Date) any {
	if d == SQLite {
		return day.String()
	}
	return day.Time()
}

// scanTime reads a time from SQLite, whose driver returns text when a column is
// the result of an expression.
type scanTime struct {
	required *time.Time
	optional **time.Time
}

func (s scanTime) Scan(src any) error {
	var t time.Time
	switch v := src.(type) {
	case time.Time:
		t = v.UTC()
	case string:
		var err error
		if t, err = time.Parse(timeLayout, v); err != nil {
			return errors.New("column does not hold a time")
		}
	case nil:
		if s.optional == nil {
			return errors.New("column is null")
		}
		*s.optional = nil
		return nil
	default:
		return errors.New("column does not hold a time")
	}
	if s.optional != nil {
		*s.optional = &t
		return nil
	}
	*s.required = t
	return nil
}

// Placeholders returns n question marks for an IN list, "?, ?, ?". An empty list
// gives NULL, which nothing equals. Lists longer than a few hundred are better
// given to [Dialect.Among].
func Placeholders(n int) string {
	if n <= 0 {
		return "NULL"
	}
	return strings.Repeat("?, ", n-1) + "?"
}

// Among returns the condition "column is one of ids" with one placeholder and its
// argument, for lists of any length. Both engines use an index on column with it.
// column is SQL text from our code, never input.
func (d Dialect) Among(column string, ids []int64) (condition string, arg any) {
	if d == Postgres {
		if ids == nil {
			ids = []int64{}
		}
		return column + " = ANY(?)", ids
	}
	b := make([]byte, 0, 2+8*len(ids))
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return column + " IN (SELECT value FROM json_each(?))", string(append(b, ']'))
}
