package omop

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Defect is something that can be wrong with a row, as far as the tables of this
// store can tell.
type Defect string

// The defects. What they are about stands in [Defects].
const (
	GenderConcept   Defect = "gender-concept"   // neither of the CDM's two nor 0
	UnknownGender   Defect = "unknown-gender"   // 0
	PartialBirth    Defect = "partial-birth"    // a birth without month or day
	ImpossibleBirth Defect = "impossible-birth" // before 1850 or in the future
	NoPeriod        Defect = "no-observation-period"
	NoVisits        Defect = "no-visit"
	NoConditions    Defect = "no-condition"
	NoMeasurements  Defect = "no-measurement"

	OrphanPerson   Defect = "orphan-person" // of a person who is not stored
	OrphanVisit    Defect = "orphan-visit"  // in a visit that is not stored
	OtherVisit     Defect = "other-visit"   // in the visit of another person
	NoConcept      Defect = "no-concept"    // no standard concept
	Visitless      Defect = "visitless"     // in no visit
	BeforeBirth    Defect = "before-birth"  // a day before the birth, whose first day counts if it is partial
	AfterDeath     Defect = "after-death"   // more than 60 days after the death
	InFuture       Defect = "in-future"     // more than a day after today
	EndBeforeStart Defect = "end-before-start"
	OutsidePeriod  Defect = "outside-period" // in no observation period of the person
	MarkedInvalid  Defect = "marked-invalid" // by the checks of a load
	MarkedOutlier  Defect = "marked-outlier" // by the checks of a load

	NoValue     Defect = "no-value"     // neither number nor concept
	NoUnit      Defect = "no-unit"      // a number without a unit
	UnknownUnit Defect = "unknown-unit" // a unit without a concept
)

// Tally is how many rows of a table have a defect.
type Tally struct {
	Table  Table
	Defect Defect
	Field  string // the column that it is found in
	Of     int64  // rows that can have it
	Found  int64  // rows that have it
}

// Of the defects.
const (
	// bornFirst is the first plausible year of birth. Source: OHDSI
	// DataQualityDashboard, plausibleValueLow of year_of_birth.
	bornFirst = 1850
	// deathGrace is as of package node/quality: days.
	deathGrace = 60
)

// defect is the SQL of a Defect: of which rows of e, the table, it can be true
// ("" for all) and of which it is.
type defect struct {
	name     Defect
	field    string
	of, when string
}

// sortMemory is what PostgreSQL may take in [Store.Survey] for each sort and hash table
// before it is written to disk: with the 4 MB of its defaults a survey takes twice as long.
const sortMemory = "128MB"

// Survey runs fn in a read of one snapshot that is meant to look at everything.
func (s *Store) Survey(ctx context.Context, fn func(tx *sqldb.Tx) error) error {
	return s.db.Read(ctx, func(tx *sqldb.Tx) error {
		if tx.Dialect() == sqldb.Postgres {
			// Statements of many conditions on few rows are compiled for longer than they run.
			for _, setting := range []string{"work_mem = '" + sortMemory + "'", "jit = off"} {
				if _, err := tx.Exec(ctx, "SET LOCAL "+setting); err != nil {
					return fmt.Errorf("omop: survey: %w", err)
				}
			}
		}
		return fn(tx)
	})
}

// Defects counts the defects of t in one pass over it. today is the day of the
// count. Rows that are marked invalid count like others.
func (s *Store) Defects(ctx context.Context, tx *sqldb.Tx, t Table, today Date) ([]Tally, error) {
	list, from := defectsOf(tx.Dialect(), t)
	columns := make([]string, 0, 2*len(list))
	var args []any
	for _, d := range list {
		of := cmp.Or(d.of, "TRUE")
		columns = append(columns, "count(*) FILTER (WHERE "+of+")", "count(*) FILTER (WHERE "+of+" AND "+d.when+")")
		for range strings.Count(d.when, "?") {
			args = append(args, today)
		}
	}
	out := make([]Tally, len(list))
	dest := make([]any, 0, 2*len(list))
	for i, d := range list {
		out[i] = Tally{Table: t, Defect: d.name, Field: d.field}
		dest = append(dest, &out[i].Of, &out[i].Found)
	}
	if err := tx.QueryRow(ctx, lives(tx.Dialect())+"SELECT "+strings.Join(columns, ",\n")+"\nFROM "+from, args...).Scan(dest...); err != nil {
		return nil, fmt.Errorf("omop: defects of %s: %w", t, err)
	}
	return out, nil
}

// lives is a WITH clause of when persons lived: the first day of their life, the
// last day of which something may be recorded.
func lives(d sqldb.Dialect) string {
	birth := "date(printf('%04d-%02d-01', p.year_of_birth, coalesce(p.month_of_birth, 1)), (coalesce(p.day_of_birth, 1) - 1) || ' days')"
	if d == sqldb.Postgres {
		birth = "make_date(p.year_of_birth, coalesce(p.month_of_birth, 1), 1) + (coalesce(p.day_of_birth, 1) - 1)"
	}
	return fmt.Sprintf(`WITH life AS MATERIALIZED (SELECT p.person_id, %s AS birth, %s AS latest
		FROM person p LEFT JOIN death d ON d.person_id = p.person_id) `, birth, shift(d, "d.death_date", deathGrace))
}

// defectsOf returns what can be wrong with rows of t, and the FROM clause.
func defectsOf(d sqldb.Dialect, t Table) ([]defect, string) {
	sp := specs[t]
	if t == PersonTable {
		return ofPersons, "person e JOIN life l ON l.person_id = e.person_id"
	}
	from := fmt.Sprintf("%s e LEFT JOIN life l ON l.person_id = e.person_id", sp.name)
	start := map[Table]string{DeathTable: "death_date", PeriodTable: "observation_period_start_date", PayerPlanTable: "payer_plan_period_start_date"}[t]
	start = cmp.Or(sp.start, start)
	list := []defect{
		{OrphanPerson, "person_id", "", "l.person_id IS NULL"},
		{BeforeBirth, start, "l.birth IS NOT NULL", "e." + start + " < l.birth"},
		{InFuture, start, "", "e." + start + " > " + shift(d, parameter(d), 1)},
	}
	if end := ends[t]; end != "" {
		list = append(list, defect{EndBeforeStart, end, "e." + end + " IS NOT NULL", "e." + end + " < e." + start})
	}
	if sp.concept == "" {
		return list, from
	}
	list = append(list,
		defect{AfterDeath, start, "l.latest IS NOT NULL", "e." + start + " > l.latest"},
		defect{NoConcept, sp.concept, "", "e." + sp.concept + " = 0"},
		defect{OutsidePeriod, start, "", "NOT EXISTS (SELECT 1 FROM observation_period o WHERE o.person_id = e.person_id AND o.observation_period_start_date <= e." + start + " AND o.observation_period_end_date >= e." + start + ")"},
		defect{MarkedInvalid, sp.key, "", "q.row_id IS NOT NULL AND NOT q.is_valid"},
		defect{MarkedOutlier, sp.key, "", "q.row_id IS NOT NULL AND q.is_outlier AND NOT q.by_distribution"},
	)
	from += " LEFT JOIN quality q ON q.row_id = e." + sp.key
	if slices.Contains(sp.columns, "visit_occurrence_id") {
		from += " LEFT JOIN visit_occurrence v ON v.visit_occurrence_id = e.visit_occurrence_id"
		list = append(list,
			defect{Visitless, "visit_occurrence_id", "", "e.visit_occurrence_id IS NULL"},
			defect{OrphanVisit, "visit_occurrence_id", "e.visit_occurrence_id IS NOT NULL", "v.visit_occurrence_id IS NULL"},
			defect{OtherVisit, "visit_occurrence_id", "v.visit_occurrence_id IS NOT NULL", "v.person_id <> e.person_id"})
	}
	if t == MeasurementTable {
		list = append(list, ofMeasurements...)
	}
	return list, from
}

// parameter is a placeholder for a day.
func parameter(d sqldb.Dialect) string {
	if d == sqldb.Postgres {
		return "CAST(? AS date)"
	}
	return "?"
}

// ends are the columns that say when what a row is about was over.
var ends = map[Table]string{
	VisitTable: "visit_end_date", ConditionTable: "condition_end_date", DrugTable: "drug_exposure_end_date",
	ProcedureTable: "procedure_end_date", PeriodTable: "observation_period_end_date",
	DeviceTable: "device_exposure_end_date", VisitDetailTable: "visit_detail_end_date", PayerPlanTable: "payer_plan_period_end_date",
}

// Concepts of the CDM's genders. Source: OMOP CDM 5.4, person.gender_concept_id:
// anything but these two is 0.
const (
	Male   int64 = 8507
	Female int64 = 8532
)

var ofPersons = []defect{
	{GenderConcept, "gender_concept_id", "", fmt.Sprintf("e.gender_concept_id NOT IN (0, %d, %d)", Male, Female)},
	{UnknownGender, "gender_concept_id", "", "e.gender_concept_id = 0"},
	{PartialBirth, "day_of_birth", "", "(e.month_of_birth IS NULL OR e.day_of_birth IS NULL)"},
	{ImpossibleBirth, "year_of_birth", "", fmt.Sprintf("(e.year_of_birth < %d OR l.birth > ?)", bornFirst)},
	{NoPeriod, "person_id", "", without("observation_period")},
	{NoVisits, "person_id", "", without("visit_occurrence")},
	{NoConditions, "person_id", "", without("condition_occurrence")},
	{NoMeasurements, "person_id", "", without("measurement")},
}

func without(table string) string {
	return "NOT EXISTS (SELECT 1 FROM " + table + " x WHERE x.person_id = e.person_id)"
}

var ofMeasurements = []defect{
	{NoValue, "value_as_number", "", "e.value_as_number IS NULL AND coalesce(e.value_as_concept_id, 0) = 0"},
	{NoUnit, "unit_concept_id", "e.value_as_number IS NOT NULL", "e.unit_concept_id IS NULL"},
	{UnknownUnit, "unit_concept_id", "e.unit_concept_id IS NOT NULL", "e.unit_concept_id = 0"},
}
