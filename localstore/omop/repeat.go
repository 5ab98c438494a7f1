package omop

import (
	"context"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// repeated are the columns besides person, concept and day that make two rows say
// the same.
var repeated = map[Table][]string{
	VisitTable:       {"visit_start_datetime", "visit_end_date", "visit_end_datetime", "visit_source_value"},
	ConditionTable:   {"condition_start_datetime", "condition_source_value"},
	DrugTable:        {"drug_exposure_start_datetime", "drug_source_value"},
	ProcedureTable:   {"procedure_datetime", "procedure_source_value"},
	MeasurementTable: {"measurement_datetime", "measurement_source_value", "value_as_number", "value_as_concept_id", "value_source_value", "unit_concept_id"},
	ObservationTable: {"observation_datetime", "observation_source_value", "value_as_number", "value_as_string", "value_as_concept_id", "value_source_value"},
}

// IsEvent reports whether rows of t are of something that happened to a person.
func IsEvent(t Table) bool { return specs[t].concept != "" }

// Repeats returns how many rows of an event table say what another one says: the same
// of the same person, by concept and source code, at the same time and with the same
// value. Of n such rows n-1 count.
func (s *Store) Repeats(ctx context.Context, tx *sqldb.Tx, t Table) (int64, error) {
	sp, columns := specs[t], repeated[t]
	if columns == nil {
		return 0, fmt.Errorf("omop: %s is no event table", t)
	}
	// The days with several rows are found in the index by concept, without a sort;
	// only their rows are then read.
	query := fmt.Sprintf(`SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM
		(SELECT %[2]s AS concept, person_id AS person, %[3]s AS day FROM %[1]s GROUP BY %[2]s, person_id, %[3]s HAVING count(*) > 1) g
		JOIN %[1]s e ON e.%[2]s = g.concept AND e.person_id = g.person AND e.%[3]s = g.day
		GROUP BY e.%[2]s, e.person_id, e.%[3]s, e.%[4]s) r`, sp.name, sp.concept, sp.start, strings.Join(columns, ", e."))
	var n int64
	if err := tx.QueryRow(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("omop: repeats of %s: %w", t, err)
	}
	return n, nil
}

// OfGender returns how many rows of an event table have one of the concepts and are of
// a person whose gender is known, and how many of those are of another gender.
func (s *Store) OfGender(ctx context.Context, tx *sqldb.Tx, t Table, concepts []int64, gender int64) (rows, other int64, err error) {
	sp := specs[t]
	if sp.concept == "" {
		return 0, 0, fmt.Errorf("omop: %s is no event table", t)
	}
	among, arg := tx.Dialect().Among("e."+sp.concept, concepts)
	query := fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE p.gender_concept_id <> ?) FROM %s e JOIN person p ON p.person_id = e.person_id
		WHERE p.gender_concept_id IN (%d, %d) AND %s`, sp.name, Male, Female, among)
	if err := tx.QueryRow(ctx, query, gender, arg).Scan(&rows, &other); err != nil {
		return 0, 0, fmt.Errorf("omop: gender of %s: %w", t, err)
	}
	return rows, other, nil
}

// Concepts of body measurements and of the units that [Store.BodyMass] understands.
const (
	bodyMassIndex = 3038553 // LOINC 39156-5
	bodyWeight    = 3025315 // LOINC 29463-7
	bodyHeight    = 3036277 // LOINC 8302-2
	kgPerM2       = 9531
)

// Factors to kilograms and to meters, by concept of the unit.
const (
	kilograms = "CASE w.unit_concept_id WHEN 9529 THEN 1.0 WHEN 8504 THEN 0.001 WHEN 8739 THEN 0.45359237 END"
	meters    = "CASE h.unit_concept_id WHEN 9546 THEN 1.0 WHEN 8582 THEN 0.01 WHEN 9327 THEN 0.0254 WHEN 9330 THEN 0.0254 END"
)

// BodyMass returns how many body mass indices can be compared with a weight and a
// height of the same person and day, and how many of those differ from every quotient
// of them by more than tolerance, a part of the quotient.
func (s *Store) BodyMass(ctx context.Context, tx *sqldb.Tx, tolerance float64) (compared, differ int64, err error) {
	query := fmt.Sprintf(`SELECT count(*), count(*) FILTER (WHERE near = 0) FROM (
		SELECT b.measurement_id, max(CASE WHEN abs(b.number - b.quotient) <= ? * b.quotient THEN 1 ELSE 0 END) AS near FROM (
			SELECT i.measurement_id, i.value_as_number AS number, w.value_as_number * %s
				/ ((h.value_as_number * %s) * (h.value_as_number * %s)) AS quotient
			FROM measurement i
			JOIN measurement w ON w.person_id = i.person_id AND w.measurement_date = i.measurement_date AND w.measurement_concept_id = %d AND w.value_as_number > 0
			JOIN measurement h ON h.person_id = i.person_id AND h.measurement_date = i.measurement_date AND h.measurement_concept_id = %d AND h.value_as_number > 0
			WHERE i.measurement_concept_id = %d AND i.value_as_number IS NOT NULL AND i.unit_concept_id = %d) b
		WHERE b.quotient IS NOT NULL GROUP BY b.measurement_id) x`,
		kilograms, meters, meters, bodyWeight, bodyHeight, bodyMassIndex, kgPerM2)
	if err := tx.QueryRow(ctx, query, tolerance).Scan(&compared, &differ); err != nil {
		return 0, 0, fmt.Errorf("omop: body mass: %w", err)
	}
	return compared, differ, nil
}
