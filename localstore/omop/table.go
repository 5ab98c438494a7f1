package omop

import "fmt"

// Table is a CDM table of this store. Its number is stored in lineage: numbers
// are appended and never reused.
type Table int

// The tables. A row of observation_period has lineage if a source stated it; one
// that is made from many records has none.
const (
	PersonTable Table = iota + 1
	VisitTable
	ConditionTable
	DrugTable
	ProcedureTable
	MeasurementTable
	ObservationTable
	DeathTable
	PeriodTable
	DeviceTable
	SpecimenTable
	VisitDetailTable
	PayerPlanTable
	LocationTable
	CareSiteTable
	ProviderTable
)

// String returns the name of the table in the database.
func (t Table) String() string {
	if s, ok := specs[t]; ok {
		return s.name
	}
	return fmt.Sprintf("table %d", int(t))
}

// spec describes a table. columns are those that [row.values] gives, in order;
// concept and start are set for event tables.
type spec struct {
	name, key      string
	columns        []string
	concept, start string
}

// tables is the order in which tables are filled from records: what is referred
// to comes first.
var tables = []Table{
	LocationTable, CareSiteTable, ProviderTable,
	PersonTable, VisitTable, ConditionTable, DrugTable, ProcedureTable, MeasurementTable, ObservationTable, DeathTable, PeriodTable,
	DeviceTable, SpecimenTable, VisitDetailTable, PayerPlanTable,
}

// ofSite reports whether the rows of t are of the site and of no person.
func (t Table) ofSite() bool { return t == LocationTable || t == CareSiteTable || t == ProviderTable }

var specs = map[Table]spec{
	PersonTable: {
		name: "person", key: "person_id",
		columns: []string{
			"gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime", "race_concept_id",
			"ethnicity_concept_id", "person_source_value", "gender_source_value", "gender_source_concept_id",
			"race_source_value", "race_source_concept_id", "ethnicity_source_value", "ethnicity_source_concept_id",
		},
	},
	VisitTable: {
		name: "visit_occurrence", key: "visit_occurrence_id", concept: "visit_concept_id", start: "visit_start_date",
		columns: []string{
			"person_id", "visit_concept_id", "visit_start_date", "visit_start_datetime", "visit_end_date",
			"visit_end_datetime", "visit_type_concept_id", "provider_id", "care_site_id", "visit_source_value", "visit_source_concept_id",
			"admitted_from_concept_id", "admitted_from_source_value", "discharged_to_concept_id", "discharged_to_source_value",
		},
	},
	ConditionTable: {
		name: "condition_occurrence", key: "condition_occurrence_id", concept: "condition_concept_id", start: "condition_start_date",
		columns: []string{
			"person_id", "condition_concept_id", "condition_start_date", "condition_start_datetime", "condition_end_date",
			"condition_end_datetime", "condition_type_concept_id", "condition_status_concept_id", "stop_reason",
			"provider_id", "visit_occurrence_id", "condition_source_value", "condition_source_concept_id", "condition_status_source_value",
		},
	},
	DrugTable: {
		name: "drug_exposure", key: "drug_exposure_id", concept: "drug_concept_id", start: "drug_exposure_start_date",
		columns: []string{
			"person_id", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_start_datetime",
			"drug_exposure_end_date", "drug_exposure_end_datetime", "verbatim_end_date", "drug_type_concept_id",
			"stop_reason", "refills", "quantity", "days_supply", "sig", "route_concept_id", "lot_number",
			"provider_id", "visit_occurrence_id", "drug_source_value", "drug_source_concept_id", "route_source_value", "dose_unit_source_value",
		},
	},
	ProcedureTable: {
		name: "procedure_occurrence", key: "procedure_occurrence_id", concept: "procedure_concept_id", start: "procedure_date",
		columns: []string{
			"person_id", "procedure_concept_id", "procedure_date", "procedure_datetime", "procedure_end_date",
			"procedure_end_datetime", "procedure_type_concept_id", "modifier_concept_id", "quantity",
			"provider_id", "visit_occurrence_id", "procedure_source_value", "procedure_source_concept_id", "modifier_source_value",
		},
	},
	MeasurementTable: {
		name: "measurement", key: "measurement_id", concept: "measurement_concept_id", start: "measurement_date",
		columns: []string{
			"person_id", "measurement_concept_id", "measurement_date", "measurement_datetime", "measurement_type_concept_id",
			"operator_concept_id", "value_as_number", "value_as_concept_id", "unit_concept_id", "range_low", "range_high",
			"provider_id", "visit_occurrence_id", "measurement_source_value", "measurement_source_concept_id", "unit_source_value",
			"unit_source_concept_id", "value_source_value",
		},
	},
	ObservationTable: {
		name: "observation", key: "observation_id", concept: "observation_concept_id", start: "observation_date",
		columns: []string{
			"person_id", "observation_concept_id", "observation_date", "observation_datetime", "observation_type_concept_id",
			"value_as_number", "value_as_string", "value_as_concept_id", "qualifier_concept_id", "unit_concept_id",
			"provider_id", "visit_occurrence_id", "observation_source_value", "observation_source_concept_id", "unit_source_value",
			"qualifier_source_value", "value_source_value",
		},
	},
	DeathTable: {
		name: "death", key: "person_id",
		columns: []string{
			"death_date", "death_datetime", "death_type_concept_id", "cause_concept_id", "cause_source_value",
			"cause_source_concept_id",
		},
	},
	PeriodTable: {
		name: "observation_period", key: "observation_period_id",
		columns: []string{"person_id", "observation_period_start_date", "observation_period_end_date", "period_type_concept_id"},
	},
	DeviceTable: {
		name: "device_exposure", key: "device_exposure_id", concept: "device_concept_id", start: "device_exposure_start_date",
		columns: []string{
			"person_id", "device_concept_id", "device_exposure_start_date", "device_exposure_start_datetime", "device_exposure_end_date",
			"device_exposure_end_datetime", "device_type_concept_id", "unique_device_id", "production_id", "quantity",
			"provider_id", "visit_occurrence_id", "device_source_value", "device_source_concept_id", "unit_concept_id", "unit_source_value", "unit_source_concept_id",
		},
	},
	SpecimenTable: {
		name: "specimen", key: "specimen_id", concept: "specimen_concept_id", start: "specimen_date",
		columns: []string{
			"person_id", "specimen_concept_id", "specimen_date", "specimen_datetime", "specimen_type_concept_id", "quantity", "unit_concept_id",
			"anatomic_site_concept_id", "disease_status_concept_id", "specimen_source_id", "specimen_source_value", "unit_source_value",
			"anatomic_site_source_value", "disease_status_source_value",
		},
	},
	VisitDetailTable: {
		name: "visit_detail", key: "visit_detail_id", concept: "visit_detail_concept_id", start: "visit_detail_start_date",
		columns: []string{
			"person_id", "visit_detail_concept_id", "visit_detail_start_date", "visit_detail_start_datetime", "visit_detail_end_date",
			"visit_detail_end_datetime", "visit_detail_type_concept_id", "provider_id", "care_site_id", "visit_occurrence_id", "visit_detail_source_value",
			"visit_detail_source_concept_id", "admitted_from_concept_id", "admitted_from_source_value", "discharged_to_concept_id",
			"discharged_to_source_value",
		},
	},
	PayerPlanTable: {
		name: "payer_plan_period", key: "payer_plan_period_id",
		columns: []string{
			"person_id", "payer_plan_period_start_date", "payer_plan_period_end_date", "payer_concept_id", "payer_source_value",
			"payer_source_concept_id", "plan_concept_id", "plan_source_value", "plan_source_concept_id", "sponsor_concept_id",
			"sponsor_source_value", "sponsor_source_concept_id", "family_source_value", "stop_reason_concept_id",
			"stop_reason_source_value", "stop_reason_source_concept_id",
		},
	},
	LocationTable: {name: "location", key: "location_id", columns: []string{"state", "country_concept_id", "country_source_value"}},
	CareSiteTable: {
		name: "care_site", key: "care_site_id",
		columns: []string{"place_of_service_concept_id", "location_id", "place_of_service_source_value"},
	},
	ProviderTable: {
		name: "provider", key: "provider_id",
		columns: []string{"specialty_concept_id", "care_site_id", "specialty_source_value", "specialty_source_concept_id"},
	},
}
