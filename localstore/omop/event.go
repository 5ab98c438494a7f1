package omop

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Event selects rows of an event table.
type Event struct {
	// Table is one for which [IsEvent] holds.
	Table Table
	// Concepts are the standard concepts, any one of which will do; none means all.
	Concepts []int64
	// From and To bound the start of the event, both inclusive; nil is no bound.
	From, To *Date
	// Person is whose events are looked at; nil is everybody's.
	Person *PersonID
}

// Entry is a day on which a person had an event.
type Entry struct {
	Person PersonID
	Date   Date
}

// Occurrences yields every such event, one entry for each, in the order of the persons'
// IDs and then of the days. Invalid rows do not count. The transaction can do nothing else
// until the loop ends. An error is the last thing that is yielded.
func (s *Store) Occurrences(ctx context.Context, tx *sqldb.Tx, e Event) iter.Seq2[Entry, error] {
	query, args, err := e.statement(tx.Dialect())
	if err != nil {
		return func(yield func(Entry, error) bool) { yield(Entry{}, err) }
	}
	return scanAll(ctx, tx, query, args, func(rows *sqldb.Rows) (x Entry, err error) {
		err = rows.Scan(&x.Person, &x.Date)
		return x, err
	})
}

func (e Event) statement(d sqldb.Dialect) (string, []any, error) {
	sp := specs[e.Table]
	if sp.concept == "" {
		return "", nil, fmt.Errorf("omop: %s is no event table", e.Table)
	}
	start := "e." + sp.start
	var w where
	if len(e.Concepts) > 0 {
		cond, arg := d.Among("e."+sp.concept, e.Concepts)
		w.add(cond, arg)
	}
	if e.Person != nil {
		w.add("e.person_id = ?", *e.Person)
	}
	w.between(start, e.From, e.To)
	w.add(valid("e." + sp.key))
	return fmt.Sprintf(`SELECT e.person_id, %s FROM %s e WHERE %s ORDER BY e.person_id, %s`, start, sp.name, w.text(), start), w.args, nil
}

// shift is the SQL for a date column moved by days.
func shift(d sqldb.Dialect, column string, days int) string {
	switch {
	case days == 0:
		return column
	case d == sqldb.Postgres:
		return fmt.Sprintf("(%s + %d)", column, days)
	default:
		return fmt.Sprintf("date(%s, '%+d days')", column, days)
	}
}

// valid is the condition that the quality checks did not find the row invalid.
func valid(key string) string {
	return "NOT EXISTS (SELECT 1 FROM quality q WHERE q.row_id = " + key + " AND NOT q.is_valid)"
}

// where collects conditions and their arguments in order.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) between(column string, from, to *Date) {
	if from != nil {
		w.add(column+" >= ?", *from)
	}
	if to != nil {
		w.add(column+" <= ?", *to)
	}
}

func (w *where) text() string { return strings.Join(w.conditions, " AND ") }
