package memory

import (
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// layout says where the events of a domain stand in the CDM.
type layout struct {
	name                           string // of the table
	id, concept, start, end, visit string // columns, "" for none
	columns                        []string
	references                     []string // tables that an event refers to, by their columns' names in events
}

// coded are the tables whose events refer to a provider and a visit.
var coded = []string{"provider.specialty_concept_id", "visit_occurrence.visit_concept_id", "visit_occurrence.visit_occurrence_id"}

// placed are those of visits.
var placed = []string{"provider.specialty_concept_id", "care_site.place_of_service_concept_id", "care_site.care_site_id"}

// layouts are the tables of the CDM that hold events.
var layouts = map[cohort.Domain]layout{
	cohort.ConditionEra: {
		"condition_era", "condition_era_id", "condition_concept_id", "condition_era_start_date", "condition_era_end_date", "",
		[]string{"condition_occurrence_count"},
		nil,
	},
	cohort.ConditionOccurrence: {
		"condition_occurrence", "condition_occurrence_id", "condition_concept_id", "condition_start_date", "condition_end_date", "visit_occurrence_id",
		[]string{"condition_type_concept_id", "condition_status_concept_id", "condition_source_concept_id", "stop_reason"},
		coded,
	},
	cohort.Death: {
		"death", "person_id", "cause_concept_id", "death_date", "", "",
		[]string{"death_type_concept_id", "cause_source_concept_id"},
		nil,
	},
	cohort.DeviceExposure: {
		"device_exposure", "device_exposure_id", "device_concept_id", "device_exposure_start_date", "device_exposure_end_date", "visit_occurrence_id",
		[]string{"device_type_concept_id", "device_source_concept_id", "unique_device_id", "quantity"},
		coded,
	},
	cohort.DoseEra: {
		"dose_era", "dose_era_id", "drug_concept_id", "dose_era_start_date", "dose_era_end_date", "",
		[]string{"unit_concept_id", "dose_value"},
		nil,
	},
	cohort.DrugEra: {
		"drug_era", "drug_era_id", "drug_concept_id", "drug_era_start_date", "drug_era_end_date", "",
		[]string{"drug_exposure_count", "gap_days"},
		nil,
	},
	cohort.DrugExposure: {
		"drug_exposure", "drug_exposure_id", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date", "visit_occurrence_id",
		[]string{
			"drug_type_concept_id", "drug_source_concept_id", "stop_reason", "refills", "quantity", "days_supply", "route_concept_id",
			"effective_drug_dose", "dose_unit_concept_id", "lot_number",
		},
		coded,
	},
	cohort.Measurement: {
		"measurement", "measurement_id", "measurement_concept_id", "measurement_date", "", "visit_occurrence_id",
		[]string{
			"measurement_type_concept_id", "measurement_source_concept_id", "operator_concept_id", "value_as_number", "value_as_concept_id",
			"unit_concept_id", "range_low", "range_high",
		},
		coded,
	},
	cohort.Observation: {
		"observation", "observation_id", "observation_concept_id", "observation_date", "", "visit_occurrence_id",
		[]string{
			"observation_type_concept_id", "observation_source_concept_id", "value_as_number", "value_as_string", "value_as_concept_id",
			"qualifier_concept_id", "unit_concept_id",
		},
		coded,
	},
	cohort.PayerPlanPeriod: {
		"payer_plan_period", "payer_plan_period_id", "payer_concept_id", "payer_plan_period_start_date", "payer_plan_period_end_date", "",
		[]string{
			"payer_concept_id", "plan_concept_id", "sponsor_concept_id", "stop_reason_concept_id",
			"payer_source_concept_id", "plan_source_concept_id", "sponsor_source_concept_id", "stop_reason_source_concept_id",
		},
		nil,
	},
	cohort.ProcedureOccurrence: {
		"procedure_occurrence", "procedure_occurrence_id", "procedure_concept_id", "procedure_date", "", "visit_occurrence_id",
		[]string{"procedure_type_concept_id", "procedure_source_concept_id", "modifier_concept_id", "quantity"},
		coded,
	},
	cohort.Specimen: {
		"specimen", "specimen_id", "specimen_concept_id", "specimen_date", "", "",
		[]string{
			"specimen_type_concept_id", "quantity", "unit_concept_id", "anatomic_site_concept_id", "disease_status_concept_id", "specimen_source_id",
		},
		nil,
	},
	cohort.VisitDetail: {
		"visit_detail", "visit_detail_id", "visit_detail_concept_id", "visit_detail_start_date", "visit_detail_end_date", "visit_occurrence_id",
		[]string{"visit_detail_type_concept_id", "visit_detail_source_concept_id"},
		placed,
	},
	cohort.VisitOccurrence: {
		"visit_occurrence", "visit_occurrence_id", "visit_concept_id", "visit_start_date", "visit_end_date", "visit_occurrence_id",
		[]string{"visit_type_concept_id", "visit_source_concept_id"},
		placed,
	},
}

// texts and numbers are the columns that hold no whole number.
var (
	texts   = []string{"stop_reason", "lot_number", "unique_device_id", "value_as_string", "specimen_source_id"}
	numbers = []string{"value_as_number", "range_low", "range_high", "quantity", "effective_drug_dose", "dose_value"}
)

// wanted returns the columns of a domain that are to be read: those asked for, else all.
func (l layout) wanted(asked []events.Column, everything bool) []events.Column {
	var list []events.Column
	for _, c := range slices.Concat(l.columns, l.references) {
		if everything || slices.Contains(asked, events.Column(c)) {
			list = append(list, events.Column(c))
		}
	}
	return list
}
