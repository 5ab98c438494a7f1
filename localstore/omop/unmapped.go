package omop

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// SourceCode is what rows without a standard concept have from their source: the
// concept of its code, or else what it wrote.
type SourceCode struct {
	Table   Table
	Unit    bool   // it is the unit of measurements, not what they are about
	Concept int64  // of the source's code, 0 if the vocabulary did not have it
	Value   string // as sent, only if Concept is 0
	Rows    int64
	Persons int64
}

// maxSourceCodes bounds what is listed of a column.
const maxSourceCodes = 10_000

// uncoded are the columns in which concept 0 stands for a source value that has none.
var uncoded = []struct {
	table                  Table
	unit                   bool
	concept, value, source string
}{
	{ConditionTable, false, "condition_concept_id", "condition_source_value", "condition_source_concept_id"},
	{DrugTable, false, "drug_concept_id", "drug_source_value", "drug_source_concept_id"},
	{ProcedureTable, false, "procedure_concept_id", "procedure_source_value", "procedure_source_concept_id"},
	{MeasurementTable, false, "measurement_concept_id", "measurement_source_value", "measurement_source_concept_id"},
	{MeasurementTable, true, "unit_concept_id", "unit_source_value", "unit_source_concept_id"},
	{ObservationTable, false, "observation_concept_id", "observation_source_value", "observation_source_concept_id"},
}

// SourceCodes returns what stands for concept 0, by column and frequency, at most 10,000
// of each kind and column.
//
// A source value may be what somebody wrote about one person. So of rows whose code the
// vocabulary has only the concept is returned, never the text; and of others the value
// only if show allows it, which is told of how many persons it is.
func (s *Store) SourceCodes(ctx context.Context, tx *sqldb.Tx, show func(c SourceCode) bool) ([]SourceCode, error) {
	var list []SourceCode
	for _, c := range uncoded {
		name := specs[c.table].name
		for _, query := range []string{
			`SELECT ` + c.source + `, '', count(*), count(DISTINCT person_id) FROM ` + name + ` WHERE ` + c.concept + ` = 0 AND ` + c.source + ` > 0
				GROUP BY ` + c.source + ` ORDER BY 3 DESC, 1 LIMIT ?`,
			`SELECT 0, ` + c.value + `, count(*), count(DISTINCT person_id) FROM ` + name + ` WHERE ` + c.concept + ` = 0 AND coalesce(` + c.source + `, 0) = 0
				AND ` + c.value + ` IS NOT NULL GROUP BY ` + c.value + ` ORDER BY 3 DESC, 2 LIMIT ?`,
		} {
			for one, err := range scanAll(ctx, tx, query, []any{maxSourceCodes}, func(rows *sqldb.Rows) (SourceCode, error) {
				one := SourceCode{Table: c.table, Unit: c.unit}
				return one, rows.Scan(&one.Concept, &one.Value, &one.Rows, &one.Persons)
			}) {
				if err != nil {
					return nil, fmt.Errorf("omop: source codes of %s: %w", name, err)
				}
				if one.Concept != 0 || show(one) {
					list = append(list, one)
				}
			}
		}
	}
	return list, nil
}
