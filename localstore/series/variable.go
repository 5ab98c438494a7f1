package series

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// VariableID names a variable inside one store. 0 is none.
type VariableID int64

// Variable is a kind of value: what a code of a code system means, in one unit.
type Variable struct {
	ConceptID int64  // OMOP concept, 0 for none
	System    string // of the code, for example "http://loinc.org"
	Code      string // for example "8867-4"
	Unit      string // UCUM, for example "/min"; "" for none
}

// Define returns the number of v, giving it one if there is none. A variable is
// known by its system, code and unit; another concept replaces the earlier one.
// Callers may remember the number once tx is committed.
func (s *Store) Define(ctx context.Context, tx *sqldb.Tx, v Variable) (VariableID, error) {
	if v.Code == "" {
		return 0, errors.New("series: define variable: it has no code")
	}
	const find = "SELECT variable_id, concept_id FROM series_variable WHERE system = ? AND code = ? AND unit = ?"
	var id VariableID
	var concept int64
	err := tx.QueryRow(ctx, find, v.System, v.Code, v.Unit).Scan(&id, &concept)
	if err == nil && concept == v.ConceptID {
		return id, nil
	}
	if err != nil && !errors.Is(err, sqldb.ErrNoRows) {
		return 0, fmt.Errorf("series: define variable: %w", err)
	}
	if err := tx.QueryRow(ctx, `INSERT INTO series_variable (concept_id, system, code, unit) VALUES (?, ?, ?, ?)
		ON CONFLICT (system, code, unit) DO UPDATE SET concept_id = excluded.concept_id RETURNING variable_id`,
		v.ConceptID, v.System, v.Code, v.Unit).Scan(&id); err != nil {
		return 0, fmt.Errorf("series: define variable: %w", err)
	}
	return id, nil
}

// Variables returns all variables.
func (s *Store) Variables(ctx context.Context, tx *sqldb.Tx) (map[VariableID]Variable, error) {
	all := map[VariableID]Variable{}
	err := tx.Each(ctx, "SELECT variable_id, concept_id, system, code, unit FROM series_variable", nil, func(rows *sqldb.Rows) error {
		var id VariableID
		var v Variable
		err := rows.Scan(&id, &v.ConceptID, &v.System, &v.Code, &v.Unit)
		all[id] = v
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("series: variables: %w", err)
	}
	return all, nil
}
