package omop

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Demographics is what a question may ask about a person.
type Demographics struct {
	ID                 PersonID
	GenderConceptID    int64 // 8507 male, 8532 female, 0 unknown
	YearOfBirth        int
	MonthOfBirth       int // 0 for unknown
	DayOfBirth         int // 0 for unknown
	RaceConceptID      int64
	EthnicityConceptID int64
	Death              *Date
}

// Birth returns the day of birth, with January and the 1st for what is unknown.
func (d Demographics) Birth() Date {
	return sqldb.Day(d.YearOfBirth, time.Month(max(d.MonthOfBirth, 1)), max(d.DayOfBirth, 1))
}

// Age returns the completed years of life on day, negative before birth.
func (d Demographics) Age(day Date) int {
	born, on := d.Birth().Time(), day.Time()
	age := on.Year() - born.Year()
	if on.Month() < born.Month() || on.Month() == born.Month() && on.Day() < born.Day() {
		age--
	}
	return age
}

// Persons yields everyone in the order of their IDs. The transaction can do
// nothing else until the loop ends. An error is the last thing that is yielded.
func (s *Store) Persons(ctx context.Context, tx *sqldb.Tx) iter.Seq2[Demographics, error] {
	return scanAll(ctx, tx, demographics+" ORDER BY p.person_id", nil, scanDemographics)
}

const demographics = `SELECT p.person_id, p.gender_concept_id, p.year_of_birth, coalesce(p.month_of_birth, 0),
	coalesce(p.day_of_birth, 0), p.race_concept_id, p.ethnicity_concept_id, d.death_date
	FROM person p LEFT JOIN death d ON d.person_id = p.person_id`

func scanDemographics(rows *sqldb.Rows) (d Demographics, err error) {
	err = rows.Scan(&d.ID, &d.GenderConceptID, &d.YearOfBirth, &d.MonthOfBirth, &d.DayOfBirth,
		&d.RaceConceptID, &d.EthnicityConceptID, &d.Death)
	return d, err
}

// PersonByKey returns the person whom a source calls key, or [sqldb.ErrNoRows].
func (s *Store) PersonByKey(ctx context.Context, tx *sqldb.Tx, key Key) (PersonID, error) {
	k := newRowKey(PersonTable, key, key)
	var id PersonID
	if err := tx.QueryRow(ctx, "SELECT row_id FROM lineage WHERE row_key = ? UNION ALL SELECT person_id FROM merged_person WHERE row_key = ?", k[:], k[:]).
		Scan(&id); err != nil {
		return PersonID{}, fmt.Errorf("omop: person by key: %w", err)
	}
	return id, nil
}

// PersonsByKey returns those of the persons whom a source calls keys that are stored.
func (s *Store) PersonsByKey(ctx context.Context, tx *sqldb.Tx, keys []Key) (map[Key]Demographics, error) {
	named := make(map[rowKey]Key, len(keys))
	for _, k := range keys {
		named[newRowKey(PersonTable, k, k)] = k
	}
	found, err := lookupPersons(ctx, tx, "", keysOf(named))
	if err != nil {
		return nil, fmt.Errorf("omop: persons by key: %w", err)
	}
	ids, called := make([]int64, 0, len(found)), make(map[PersonID][]Key, len(found))
	for k, row := range found {
		ids = append(ids, row.id)
		called[PersonID{row.id}] = append(called[PersonID{row.id}], named[k])
	}
	cond, arg := tx.Dialect().Among("p.person_id", ids)
	out := make(map[Key]Demographics, len(ids))
	for d, err := range scanAll(ctx, tx, demographics+" WHERE "+cond, []any{arg}, scanDemographics) {
		if err != nil {
			return nil, err
		}
		for _, key := range called[d.ID] {
			out[key] = d
		}
	}
	return out, nil
}

// Counts returns the number of rows of every table, for status pages. It reads
// every table through its smallest index.
func (s *Store) Counts(ctx context.Context, tx *sqldb.Tx) (map[Table]int64, error) {
	counts := make(map[Table]int64, len(specs))
	for t, sp := range specs {
		var n int64
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+sp.name).Scan(&n); err != nil {
			return nil, fmt.Errorf("omop: count %s: %w", sp.name, err)
		}
		counts[t] = n
	}
	return counts, nil
}

// scanAll runs query and yields what scan makes of each row.
func scanAll[T any](ctx context.Context, tx *sqldb.Tx, query string, args []any, scan func(*sqldb.Rows) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			yield(none, fmt.Errorf("omop: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				yield(none, fmt.Errorf("omop: %w", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(none, fmt.Errorf("omop: %w", err))
		}
	}
}
