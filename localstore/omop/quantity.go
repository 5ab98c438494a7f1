package omop

import (
	"context"
	"iter"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Quantity selects measured values.
type Quantity struct {
	// Concept is the standard concept of the measurement.
	Concept int64
	// Units are the concepts of the units that values may be in; none means any,
	// also none.
	Units []int64
	// Low and High bound the value, both inclusive; nil is no bound.
	Low, High *float64
	// From and To bound the day, both inclusive; nil is no bound.
	From, To *Date
}

// Value is a person's latest value.
type Value struct {
	Person PersonID
	Date   Date
	Number float64
	Unit   int64 // 0 for none
}

// Values yields the latest value of everyone who has one, in the order of the
// persons' IDs: the last day, on it the last time, of several at one time the one
// stored last. Invalid rows do not count. The transaction can do nothing else
// until the loop ends. An error is the last thing that is yielded.
func (s *Store) Values(ctx context.Context, tx *sqldb.Tx, q Quantity) iter.Seq2[Value, error] {
	query, args := q.statement(tx.Dialect())
	return scanAll(ctx, tx, query, args, func(rows *sqldb.Rows) (v Value, err error) {
		err = rows.Scan(&v.Person, &v.Date, &v.Number, &v.Unit)
		return v, err
	})
}

// where selects the rows of measurement m.
func (q Quantity) where(d sqldb.Dialect) where {
	var w where
	w.add("m.measurement_concept_id = ?", q.Concept)
	w.add("m.value_as_number IS NOT NULL")
	if len(q.Units) > 0 {
		cond, arg := d.Among("m.unit_concept_id", q.Units)
		w.add(cond, arg)
	}
	if q.Low != nil {
		w.add("m.value_as_number >= ?", *q.Low)
	}
	if q.High != nil {
		w.add("m.value_as_number <= ?", *q.High)
	}
	w.between("m.measurement_date", q.From, q.To)
	w.add(valid("m.measurement_id"))
	return w
}

func (q Quantity) statement(d sqldb.Dialect) (string, []any) {
	w := q.where(d)
	return `SELECT person_id, measurement_date, number, unit FROM (
		SELECT m.person_id, m.measurement_date, CAST(m.value_as_number AS DOUBLE PRECISION) AS number,
			coalesce(m.unit_concept_id, 0) AS unit, row_number() OVER (PARTITION BY m.person_id
				ORDER BY m.measurement_date DESC, m.measurement_datetime DESC NULLS LAST, m.measurement_id DESC) AS place
		FROM measurement m WHERE ` + w.text() + `) AS ranked WHERE place = 1 ORDER BY person_id`, w.args
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
