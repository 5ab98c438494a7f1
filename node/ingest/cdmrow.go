package ingest

import (
	"iter"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// abouts are the columns that say what the rows of event tables are about.
var abouts = map[string]string{
	"visit_occurrence": "visit_concept_id", "condition_occurrence": "condition_concept_id", "drug_exposure": "drug_concept_id",
	"procedure_occurrence": "procedure_concept_id", "measurement": "measurement_concept_id", "observation": "observation_concept_id",
	"device_exposure": "device_concept_id", "specimen": "specimen_concept_id", "visit_detail": "visit_detail_concept_id",
}

// appendRow appends a row of a CDM to b as it is. An end that the CDM requires and the
// row does not have is its start.
func appendRow(b *omop.Batch, row *cdm.Row, pointer string) {
	r := cells{row}
	switch row.Table.Name {
	case "person":
		b.Persons = append(b.Persons, r.person(pointer))
	case "observation_period":
		b.Stated = append(b.Stated, omop.StatedPeriod{
			Record: r.record(pointer), Start: r.day("observation_period_start_date"), End: r.day("observation_period_end_date"),
			TypeConceptID: r.Int("period_type_concept_id"),
		})
	case "visit_occurrence":
		b.Visits = append(b.Visits, r.visit(pointer))
	case "condition_occurrence":
		b.Conditions = append(b.Conditions, r.condition(pointer))
	case "drug_exposure":
		b.Drugs = append(b.Drugs, r.drug(pointer))
	case "procedure_occurrence":
		b.Procedures = append(b.Procedures, r.procedure(pointer))
	case "measurement":
		b.Measurements = append(b.Measurements, r.measurement(pointer))
	case "observation":
		b.Observations = append(b.Observations, r.observation(pointer))
	case "death":
		b.Deaths = append(b.Deaths, omop.Death{
			Person: r.personKey(), Pointer: pointer, Date: r.day("death_date"), Time: r.Time("death_datetime"),
			TypeConceptID: r.Int("death_type_concept_id"), CauseConceptID: r.Int("cause_concept_id"),
			CauseSource: r.Text("cause_source_value"), CauseSourceConceptID: r.Int("cause_source_concept_id"),
		})
	case "device_exposure":
		b.Devices = append(b.Devices, r.device(pointer))
	case "specimen":
		b.Specimens = append(b.Specimens, r.specimen(pointer))
	case "visit_detail":
		b.VisitDetails = append(b.VisitDetails, r.visitDetail(pointer))
	case "payer_plan_period":
		b.PayerPlans = append(b.PayerPlans, r.payerPlan(pointer))
	case "location":
		b.Locations = append(b.Locations, omop.Location{
			Record: r.ofSite(pointer), State: r.Text("state"),
			CountryConceptID: r.Int("country_concept_id"), CountrySource: r.Text("country_source_value"),
		})
	case "care_site":
		b.CareSites = append(b.CareSites, omop.CareSite{
			Record: r.ofSite(pointer), Location: r.names("location"),
			PlaceConceptID: r.intOrNil("place_of_service_concept_id"), PlaceSource: r.Text("place_of_service_source_value"),
		})
	case "provider":
		b.Providers = append(b.Providers, r.provider(pointer))
	}
}

// personsOf yields whom the rows of b are about, with repetitions.
func personsOf(b *omop.Batch) iter.Seq[omop.Key] {
	return func(yield func(omop.Key) bool) {
		_ = each(b.Stated, func(r omop.StatedPeriod) bool { return yield(r.Person) }) &&
			each(b.Visits, func(r omop.Visit) bool { return yield(r.Person) }) &&
			each(b.Conditions, func(r omop.Condition) bool { return yield(r.Person) }) &&
			each(b.Drugs, func(r omop.Drug) bool { return yield(r.Person) }) &&
			each(b.Procedures, func(r omop.Procedure) bool { return yield(r.Person) }) &&
			each(b.Measurements, func(r omop.Measurement) bool { return yield(r.Person) }) &&
			each(b.Observations, func(r omop.Observation) bool { return yield(r.Person) }) &&
			each(b.Deaths, func(r omop.Death) bool { return yield(r.Person) }) &&
			each(b.Devices, func(r omop.Device) bool { return yield(r.Person) }) &&
			each(b.Specimens, func(r omop.Specimen) bool { return yield(r.Person) }) &&
			each(b.VisitDetails, func(r omop.VisitDetail) bool { return yield(r.Person) }) &&
			each(b.PayerPlans, func(r omop.PayerPlan) bool { return yield(r.Person) })
	}
}

func each[T any](list []T, do func(T) bool) bool {
	for _, v := range list {
		if !do(v) {
			return false
		}
	}
	return true
}

// cells reads the values of a row as the store wants them.
type cells struct{ *cdm.Row }

func (c cells) personKey() omop.Key { return mapping.CDMKey("person", c.Int("person_id")) }

// ofSite is the record of a row that is of no person.
func (c cells) ofSite(pointer string) omop.Record {
	return omop.Record{Key: mapping.CDMKey(c.Table.Name, c.Int(c.Table.Columns[0].Name)), Pointer: pointer}
}

func (c cells) record(pointer string) omop.Record {
	r := c.ofSite(pointer)
	r.Person = c.personKey()
	return r
}

// names is the key of the row of another table that the row names, or none.
func (c cells) names(table string) omop.Key {
	if !c.Has(table + "_id") {
		return omop.Key{}
	}
	return mapping.CDMKey(table, c.Int(table+"_id"))
}

// cared is the record of a row that may name who gave the care.
func (c cells) cared(pointer string) omop.Record {
	r := c.record(pointer)
	r.Provider = c.names("provider")
	return r
}

// event is that of a row that may also belong to a visit.
func (c cells) event(pointer string) omop.Record {
	r := c.cared(pointer)
	r.Visit = c.names("visit_occurrence")
	return r
}

// day is the date in a column that has one.
func (c cells) day(column string) omop.Date {
	d, _ := c.Day(column)
	return omop.Date(d)
}

func (c cells) dayOrNil(column string) *omop.Date {
	d, ok := c.Day(column)
	if !ok {
		return nil
	}
	date := omop.Date(d)
	return &date
}

// dayOr is the date in a column, or in another one if there is none.
func (c cells) dayOr(column, other string) omop.Date {
	if c.Has(column) {
		return c.day(column)
	}
	return c.day(other)
}

func (c cells) intOrNil(column string) *int {
	if !c.Has(column) {
		return nil
	}
	n := int(c.Int(column))
	return &n
}

func (c cells) person(pointer string) omop.Person {
	return omop.Person{
		Key: c.personKey(), Pointer: pointer, GenderConceptID: c.Int("gender_concept_id"),
		YearOfBirth: int(c.Int("year_of_birth")), MonthOfBirth: int(c.Int("month_of_birth")), DayOfBirth: int(c.Int("day_of_birth")),
		BirthDatetime: c.Time("birth_datetime"), RaceConceptID: c.Int("race_concept_id"), EthnicityConceptID: c.Int("ethnicity_concept_id"),
		SourceValue: c.Text("person_source_value"), GenderSource: c.Text("gender_source_value"), RaceSource: c.Text("race_source_value"),
		EthnicitySource: c.Text("ethnicity_source_value"), GenderSourceID: c.Int("gender_source_concept_id"),
		RaceSourceID: c.Int("race_source_concept_id"), EthnicitySourceID: c.Int("ethnicity_source_concept_id"),
	}
}

func (c cells) visit(pointer string) omop.Visit {
	record := c.cared(pointer)
	record.CareSite = c.names("care_site")
	return omop.Visit{
		Record: record, ConceptID: c.Int("visit_concept_id"), TypeConceptID: c.Int("visit_type_concept_id"),
		Start: c.day("visit_start_date"), StartTime: c.Time("visit_start_datetime"),
		End: c.dayOr("visit_end_date", "visit_start_date"), EndTime: c.Time("visit_end_datetime"),
		SourceValue: c.Text("visit_source_value"), SourceConceptID: c.Int("visit_source_concept_id"),
		AdmittedFromConceptID: c.Int("admitted_from_concept_id"), AdmittedFromSource: c.Text("admitted_from_source_value"),
		DischargedToConceptID: c.Int("discharged_to_concept_id"), DischargedToSource: c.Text("discharged_to_source_value"),
	}
}

func (c cells) condition(pointer string) omop.Condition {
	return omop.Condition{
		Record: c.event(pointer), ConceptID: c.Int("condition_concept_id"), TypeConceptID: c.Int("condition_type_concept_id"),
		Start: c.day("condition_start_date"), StartTime: c.Time("condition_start_datetime"),
		End: c.dayOrNil("condition_end_date"), EndTime: c.Time("condition_end_datetime"),
		StatusConceptID: c.Int("condition_status_concept_id"), StatusSource: c.Text("condition_status_source_value"),
		StopReason: c.Text("stop_reason"), SourceValue: c.Text("condition_source_value"), SourceConceptID: c.Int("condition_source_concept_id"),
	}
}

func (c cells) drug(pointer string) omop.Drug {
	return omop.Drug{
		Record: c.event(pointer), ConceptID: c.Int("drug_concept_id"), TypeConceptID: c.Int("drug_type_concept_id"),
		Start: c.day("drug_exposure_start_date"), StartTime: c.Time("drug_exposure_start_datetime"),
		End: c.dayOr("drug_exposure_end_date", "drug_exposure_start_date"), EndTime: c.Time("drug_exposure_end_datetime"),
		VerbatimEnd: c.dayOrNil("verbatim_end_date"), StopReason: c.Text("stop_reason"), Refills: c.intOrNil("refills"),
		Quantity: c.Number("quantity"), DaysSupply: c.intOrNil("days_supply"), Sig: c.Text("sig"), LotNumber: c.Text("lot_number"),
		RouteConceptID: c.Int("route_concept_id"), RouteSource: c.Text("route_source_value"), SourceValue: c.Text("drug_source_value"),
		SourceConceptID: c.Int("drug_source_concept_id"), DoseUnitSource: c.Text("dose_unit_source_value"),
	}
}

func (c cells) procedure(pointer string) omop.Procedure {
	return omop.Procedure{
		Record: c.event(pointer), ConceptID: c.Int("procedure_concept_id"), TypeConceptID: c.Int("procedure_type_concept_id"),
		Start: c.day("procedure_date"), StartTime: c.Time("procedure_datetime"),
		End: c.dayOrNil("procedure_end_date"), EndTime: c.Time("procedure_end_datetime"),
		ModifierConceptID: c.Int("modifier_concept_id"), ModifierSource: c.Text("modifier_source_value"), Quantity: c.intOrNil("quantity"),
		SourceValue: c.Text("procedure_source_value"), SourceConceptID: c.Int("procedure_source_concept_id"),
	}
}

func (c cells) measurement(pointer string) omop.Measurement {
	return omop.Measurement{
		Record: c.event(pointer), ConceptID: c.Int("measurement_concept_id"), TypeConceptID: c.Int("measurement_type_concept_id"),
		Start: c.day("measurement_date"), StartTime: c.Time("measurement_datetime"), OperatorConceptID: c.Int("operator_concept_id"),
		Number: c.Number("value_as_number"), ValueConceptID: c.Int("value_as_concept_id"), ValueSource: c.Text("value_source_value"),
		UnitConceptID: c.Int("unit_concept_id"), UnitSource: c.Text("unit_source_value"), UnitSourceConceptID: c.Int("unit_source_concept_id"),
		RangeLow: c.Number("range_low"), RangeHigh: c.Number("range_high"),
		SourceValue: c.Text("measurement_source_value"), SourceConceptID: c.Int("measurement_source_concept_id"),
	}
}

func (c cells) observation(pointer string) omop.Observation {
	return omop.Observation{
		Record: c.event(pointer), ConceptID: c.Int("observation_concept_id"), TypeConceptID: c.Int("observation_type_concept_id"),
		Start: c.day("observation_date"), StartTime: c.Time("observation_datetime"), Number: c.Number("value_as_number"),
		Text: c.Text("value_as_string"), ValueConceptID: c.Int("value_as_concept_id"), ValueSource: c.Text("value_source_value"),
		QualifierConceptID: c.Int("qualifier_concept_id"), QualifierSource: c.Text("qualifier_source_value"),
		UnitConceptID: c.Int("unit_concept_id"), UnitSource: c.Text("unit_source_value"),
		SourceValue: c.Text("observation_source_value"), SourceConceptID: c.Int("observation_source_concept_id"),
	}
}

func (c cells) device(pointer string) omop.Device {
	return omop.Device{
		Record: c.event(pointer), ConceptID: c.Int("device_concept_id"), TypeConceptID: c.Int("device_type_concept_id"),
		Start: c.day("device_exposure_start_date"), StartTime: c.Time("device_exposure_start_datetime"),
		End: c.dayOrNil("device_exposure_end_date"), EndTime: c.Time("device_exposure_end_datetime"),
		UniqueID: c.Text("unique_device_id"), ProductionID: c.Text("production_id"), Quantity: c.intOrNil("quantity"),
		SourceValue: c.Text("device_source_value"), SourceConceptID: c.Int("device_source_concept_id"),
		UnitConceptID: c.Int("unit_concept_id"), UnitSource: c.Text("unit_source_value"), UnitSourceConceptID: c.Int("unit_source_concept_id"),
	}
}

func (c cells) specimen(pointer string) omop.Specimen {
	return omop.Specimen{
		Record: c.record(pointer), ConceptID: c.Int("specimen_concept_id"), TypeConceptID: c.Int("specimen_type_concept_id"),
		Start: c.day("specimen_date"), StartTime: c.Time("specimen_datetime"), Quantity: c.Number("quantity"),
		UnitConceptID: c.Int("unit_concept_id"), UnitSource: c.Text("unit_source_value"),
		AnatomicSiteConceptID: c.Int("anatomic_site_concept_id"), AnatomicSiteSource: c.Text("anatomic_site_source_value"),
		DiseaseStatusConceptID: c.Int("disease_status_concept_id"), DiseaseStatusSource: c.Text("disease_status_source_value"),
		SourceID: c.Text("specimen_source_id"), SourceValue: c.Text("specimen_source_value"),
	}
}

func (c cells) visitDetail(pointer string) omop.VisitDetail {
	record := c.event(pointer)
	record.CareSite = c.names("care_site")
	return omop.VisitDetail{
		Record: record, ConceptID: c.Int("visit_detail_concept_id"), TypeConceptID: c.Int("visit_detail_type_concept_id"),
		Start: c.day("visit_detail_start_date"), StartTime: c.Time("visit_detail_start_datetime"),
		End: c.dayOr("visit_detail_end_date", "visit_detail_start_date"), EndTime: c.Time("visit_detail_end_datetime"),
		SourceValue: c.Text("visit_detail_source_value"), SourceConceptID: c.Int("visit_detail_source_concept_id"),
		AdmittedFromConceptID: c.Int("admitted_from_concept_id"), AdmittedFromSource: c.Text("admitted_from_source_value"),
		DischargedToConceptID: c.Int("discharged_to_concept_id"), DischargedToSource: c.Text("discharged_to_source_value"),
	}
}

func (c cells) payerPlan(pointer string) omop.PayerPlan {
	coded := func(what string) omop.Coded {
		return omop.Coded{ConceptID: c.Int(what + "_concept_id"), Source: c.Text(what + "_source_value"), SourceConceptID: c.Int(what + "_source_concept_id")}
	}
	return omop.PayerPlan{
		Record: c.record(pointer), Start: c.day("payer_plan_period_start_date"), End: c.day("payer_plan_period_end_date"),
		Payer: coded("payer"), Plan: coded("plan"), Sponsor: coded("sponsor"), StopReason: coded("stop_reason"), FamilySource: c.Text("family_source_value"),
	}
}

func (c cells) provider(pointer string) omop.Provider {
	record := c.ofSite(pointer)
	record.CareSite = c.names("care_site")
	return omop.Provider{
		Record: record, SpecialtyConceptID: c.intOrNil("specialty_concept_id"), SpecialtySource: c.Text("specialty_source_value"),
		SpecialtySourceConceptID: c.Int("specialty_source_concept_id"),
	}
}
