package omop

import (
	"context"
	"fmt"
	"iter"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Variable is a kind of measured value: a standard concept in one unit, 0 for no unit.
type Variable struct{ Concept, Unit int64 }

// Frequency is how often a number was measured of a variable.
type Frequency struct {
	Variable
	Number float64
	Rows   int64
	Valid  int64 // of Rows, those that are not marked invalid
}

// Measured returns the concepts of which numbers are stored, ascending, without 0.
func (s *Store) Measured(ctx context.Context, tx *sqldb.Tx) ([]int64, error) {
	var list []int64
	for c, err := range scanAll(ctx, tx, `SELECT measurement_concept_id FROM measurement WHERE measurement_concept_id <> 0
		GROUP BY measurement_concept_id HAVING count(value_as_number) > 0 ORDER BY measurement_concept_id`, nil, func(rows *sqldb.Rows) (c int64, err error) {
		err = rows.Scan(&c)
		return c, err
	}) {
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// Frequencies yields the numbers of a concept by unit and then by number, ascending.
// Numbers whose unit has no concept are left out: they may be of several units. The
// transaction can do nothing else until the loop ends. An error is the last thing that
// is yielded.
func (s *Store) Frequencies(ctx context.Context, tx *sqldb.Tx, concept int64) iter.Seq2[Frequency, error] {
	return scanAll(ctx, tx, `SELECT coalesce(m.unit_concept_id, 0), CAST(m.value_as_number AS DOUBLE PRECISION), count(*),
			count(*) FILTER (WHERE `+valid("m.measurement_id")+`)
		FROM measurement m WHERE m.measurement_concept_id = ? AND m.value_as_number IS NOT NULL
			AND (m.unit_concept_id IS NULL OR m.unit_concept_id <> 0)
		GROUP BY 1, 2 ORDER BY 1, 2`, []any{concept}, func(rows *sqldb.Rows) (f Frequency, err error) {
		f.Concept = concept
		err = rows.Scan(&f.Unit, &f.Number, &f.Rows, &f.Valid)
		return f, err
	})
}

// Measurees returns how many persons have a number of a concept, by unit.
func (s *Store) Measurees(ctx context.Context, tx *sqldb.Tx, concept int64) (map[int64]int64, error) {
	persons := map[int64]int64{}
	rows, err := tx.Query(ctx, `SELECT unit, count(*) FROM (SELECT DISTINCT person_id, coalesce(unit_concept_id, 0) AS unit FROM measurement
		WHERE measurement_concept_id = ? AND value_as_number IS NOT NULL AND (unit_concept_id IS NULL OR unit_concept_id <> 0)) p GROUP BY unit`, concept)
	if err != nil {
		return nil, fmt.Errorf("omop: measurees: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var unit, n int64
		if err := rows.Scan(&unit, &n); err != nil {
			return nil, fmt.Errorf("omop: measurees: %w", err)
		}
		persons[unit] = n
	}
	return persons, rows.Err()
}
