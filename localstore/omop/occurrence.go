package omop

import (
	"context"
	"fmt"
	"iter"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Occurrences yields every such event, one entry for each, in the order of the persons'
// IDs and then of the days. Unlike [Store.Entries] it asks for no observation: PriorDays
// and PostDays must be 0. Invalid rows do not count. The transaction can do nothing else
// until the loop ends. An error is the last thing that is yielded.
func (s *Store) Occurrences(ctx context.Context, tx *sqldb.Tx, e Event) iter.Seq2[Entry, error] {
	sp := specs[e.Table]
	if sp.concept == "" || e.PriorDays != 0 || e.PostDays != 0 {
		return func(yield func(Entry, error) bool) {
			yield(Entry{}, fmt.Errorf("omop: occurrences of %s: no event table, or days of observation", e.Table))
		}
	}
	start := "e." + sp.start
	var w where
	if len(e.Concepts) > 0 {
		cond, arg := tx.Dialect().Among("e."+sp.concept, e.Concepts)
		w.add(cond, arg)
	}
	if e.Person != nil {
		w.add("e.person_id = ?", *e.Person)
	}
	w.between(start, e.From, e.To)
	w.add(valid("e." + sp.key))
	query := fmt.Sprintf(`SELECT e.person_id, %s FROM %s e WHERE %s ORDER BY e.person_id, %s`, start, sp.name, w.text(), start)
	return scanAll(ctx, tx, query, w.args, func(rows *sqldb.Rows) (x Entry, err error) {
		err = rows.Scan(&x.Person, &x.Date)
		return x, err
	})
}

// AllValues yields every measured value, in the order of the persons' IDs, then of the
// times, of several at one time in the order in which they were stored. Invalid rows do
// not count. The transaction can do nothing else until the loop ends. An error is the last
// thing that is yielded.
func (s *Store) AllValues(ctx context.Context, tx *sqldb.Tx, q Quantity) iter.Seq2[Value, error] {
	w := q.where(tx.Dialect())
	return scanAll(ctx, tx, `SELECT m.person_id, m.measurement_date, CAST(m.value_as_number AS DOUBLE PRECISION), coalesce(m.unit_concept_id, 0)
		FROM measurement m WHERE `+w.text()+`
		ORDER BY m.person_id, m.measurement_date, m.measurement_datetime NULLS FIRST, m.measurement_id`, w.args,
		func(rows *sqldb.Rows) (v Value, err error) {
			err = rows.Scan(&v.Person, &v.Date, &v.Number, &v.Unit)
			return v, err
		})
}
