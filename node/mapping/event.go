package mapping

import (
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// tables are the tables of the concepts' domains. What is in none of them, for
// example Device, goes to observation.
var tables = map[string]omop.Table{
	"Condition":   omop.ConditionTable,
	"Drug":        omop.DrugTable,
	"Procedure":   omop.ProcedureTable,
	"Measurement": omop.MeasurementTable,
}

// event is what a record or a component says, before it is known which table it
// belongs to. Each table takes the parts that it has columns for.
type event struct {
	omop.Record
	part       string     // of the record, for its key; empty for the record itself
	usual      omop.Table // if the code has no standard concept
	code       code
	start, end fhir.Time // end is zero if it was not said
	value      value
	status     status
	drug       drug
}

// status is how sure a condition is.
type status struct {
	concept int64
	source  string
}

// drug is what only drug_exposure has columns for.
type drug struct {
	refills, days *int
	quantity      *float64
	sig, lot      string
	route         code
	doseUnit      string
}

// place appends the rows of e: one for each standard concept, or one with concept
// 0. The first keeps the plain key, so that a later vocabulary replaces it.
func (m *mapping) place(e event) {
	e.Key = key(m.record.Type, m.record.ID+e.part)
	if len(e.code.standard) == 0 {
		e.append(m.batch, e.usual, 0)
	}
	for i, c := range e.code.standard {
		table, ok := tables[c.Domain]
		if !ok {
			table = omop.ObservationTable
		}
		if i > 0 {
			e.Key = key(m.record.Type, m.record.ID+e.part+"+"+strconv.Itoa(i))
		}
		e.append(m.batch, table, c.ID)
	}
}

func (e event) append(b *omop.Batch, table omop.Table, concept int64) {
	switch table {
	case omop.ConditionTable:
		b.Conditions = append(b.Conditions, e.condition(concept))
	case omop.DrugTable:
		b.Drugs = append(b.Drugs, e.exposure(concept))
	case omop.ProcedureTable:
		b.Procedures = append(b.Procedures, e.procedure(concept))
	case omop.MeasurementTable:
		b.Measurements = append(b.Measurements, e.measurement(concept))
	default:
		b.Observations = append(b.Observations, e.observation(concept))
	}
}

func (e event) condition(concept int64) omop.Condition {
	return omop.Condition{
		Record: e.Record, ConceptID: concept, TypeConceptID: fromEHR,
		Start: day(e.start), StartTime: clock(e.start), End: dayOrNil(e.end), EndTime: clock(e.end),
		StatusConceptID: e.status.concept, StatusSource: e.status.source,
		SourceValue: e.code.source, SourceConceptID: e.code.sourceID,
	}
}

// exposure is a row of drug_exposure. Its end is required: it is the stated one,
// else that of the supply, else the first day.
func (e event) exposure(concept int64) omop.Drug {
	d := omop.Drug{
		Record: e.Record, ConceptID: concept, TypeConceptID: fromEHR,
		Start: day(e.start), StartTime: clock(e.start), End: day(e.start), EndTime: clock(e.end), VerbatimEnd: dayOrNil(e.end),
		Refills: e.drug.refills, Quantity: e.drug.quantity, DaysSupply: e.drug.days, Sig: e.drug.sig, LotNumber: e.drug.lot,
		RouteConceptID: e.drug.route.first(), RouteSource: e.drug.route.source, DoseUnitSource: e.drug.doseUnit,
		SourceValue: e.code.source, SourceConceptID: e.code.sourceID,
	}
	switch {
	case d.VerbatimEnd != nil:
		d.End = *d.VerbatimEnd
	case e.drug.days != nil && *e.drug.days > 0:
		d.End += omop.Date(*e.drug.days - 1) //nolint:gosec // at most maxSupply
	}
	return d
}

func (e event) procedure(concept int64) omop.Procedure {
	return omop.Procedure{
		Record: e.Record, ConceptID: concept, TypeConceptID: fromEHR,
		Start: day(e.start), StartTime: clock(e.start), End: dayOrNil(e.end), EndTime: clock(e.end),
		SourceValue: e.code.source, SourceConceptID: e.code.sourceID,
	}
}

func (e event) measurement(concept int64) omop.Measurement {
	v := e.value
	return omop.Measurement{
		Record: e.Record, ConceptID: concept, TypeConceptID: fromEHR, Start: day(e.start), StartTime: clock(e.start),
		OperatorConceptID: v.operator, Number: v.number, ValueConceptID: v.concept, ValueSource: v.source,
		UnitConceptID: v.unit.first(), UnitSource: v.unit.source, UnitSourceConceptID: v.unit.sourceID,
		RangeLow: v.low, RangeHigh: v.high, SourceValue: e.code.source, SourceConceptID: e.code.sourceID,
	}
}

func (e event) observation(concept int64) omop.Observation {
	v := e.value
	return omop.Observation{
		Record: e.Record, ConceptID: concept, TypeConceptID: fromEHR, Start: day(e.start), StartTime: clock(e.start),
		Number: v.number, Text: v.text, ValueConceptID: v.concept, ValueSource: v.source,
		UnitConceptID: v.unit.first(), UnitSource: v.unit.source,
		SourceValue: e.code.source, SourceConceptID: e.code.sourceID,
	}
}

// day is the calendar day where the event took place, by the offset that was sent.
func day(t fhir.Time) omop.Date { return sqldb.DateOf(t.At) }

func dayOrNil(t fhir.Time) *omop.Date {
	if t.IsZero() {
		return nil
	}
	d := day(t)
	return &d
}

// clock is the instant, zero if only a day, month or year was sent.
func clock(t fhir.Time) time.Time {
	if t.Precision < fhir.PrecisionMinute {
		return time.Time{}
	}
	return t.At
}

// firstOf is the first time that was sent.
func firstOf(times ...fhir.Time) fhir.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return fhir.Time{}
}
