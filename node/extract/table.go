package extract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// eventTables are the tables that a specification can name, by name.
var eventTables = byName(omop.PeriodTable, omop.VisitTable, omop.ConditionTable, omop.DrugTable, omop.ProcedureTable,
	omop.MeasurementTable, omop.ObservationTable)

func byName(tables ...omop.Table) map[string]omop.Table {
	m := make(map[string]omop.Table, len(tables))
	for _, t := range tables {
		m[t.String()] = t
	}
	return m
}

// usual are the tables of a specification that names none.
var usual = []omop.Table{omop.PeriodTable, omop.VisitTable, omop.ConditionTable, omop.DrugTable, omop.ProcedureTable, omop.MeasurementTable}

// deathColumns is what is written of a death: the cause is often one person's alone.
var deathColumns = []string{"death_date", "death_type_concept_id"}

// required are columns that the CDM wants in addition to a table's start and concept.
var required = map[omop.Table][]string{
	omop.PeriodTable:      {"observation_period_end_date", "period_type_concept_id"},
	omop.VisitTable:       {"visit_end_date", "visit_type_concept_id"},
	omop.ConditionTable:   {"condition_type_concept_id"},
	omop.DrugTable:        {"drug_exposure_end_date", "drug_type_concept_id"},
	omop.ProcedureTable:   {"procedure_type_concept_id"},
	omop.MeasurementTable: {"measurement_type_concept_id"},
	omop.ObservationTable: {"observation_type_concept_id"},
}

// usualColumn reports whether a column is kept without being named: times of day and
// the source's own codes can tell a person, and are rarely needed.
func usualColumn(name string) bool {
	return !isTime(name) && !strings.HasSuffix(name, "_source_concept_id")
}

func isTime(column string) bool { return strings.HasSuffix(column, "_datetime") }

func tablesOf(list []tableDoc) ([]Table, error) {
	if list == nil {
		for _, t := range usual {
			list = append(list, tableDoc{Table: t.String()})
		}
	}
	var out []Table
	for _, d := range list {
		t, ok := eventTables[d.Table]
		if !ok || slices.ContainsFunc(out, func(o Table) bool { return o.Table == t }) {
			return nil, fmt.Errorf("want tables of events of the CDM that this node keeps, each once; the %s is not", ordinal(len(out)+1))
		}
		columns, err := columnsOf(t, d.Columns)
		if err != nil {
			return nil, err
		}
		out = append(out, Table{t, columns})
	}
	// Visits come before what belongs to them.
	slices.SortFunc(out, func(a, b Table) int { return int(rank(a.Table)) - int(rank(b.Table)) })
	return out, nil
}

func ordinal(n int) string { return fmt.Sprintf("%d. of the list", n) }

// rank puts observation_period, which has the highest number, before visits.
func rank(t omop.Table) omop.Table {
	if t == omop.PeriodTable {
		return 0
	}
	return t
}

// columnsOf returns the columns of a table in the order of the CDM: those that are
// named, or the usual ones, and those that the CDM requires.
func columnsOf(t omop.Table, named []string) ([]string, error) {
	can := omop.Extractable(t)
	for _, c := range named {
		if !slices.Contains(can, c) {
			return nil, fmt.Errorf("%s has no column %q that can be written: texts, source values and keys cannot; want some of %s", t, c, strings.Join(can, ", "))
		}
	}
	var out []string
	for _, c := range can {
		must := c == omop.StartColumn(t) || c == omop.ConceptColumn(t) || slices.Contains(required[t], c)
		if must || slices.Contains(named, c) || len(named) == 0 && usualColumn(c) {
			out = append(out, c)
		}
	}
	return out, nil
}
