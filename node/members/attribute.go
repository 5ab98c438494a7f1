package members

import (
	"strings"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// table says what the criteria of a domain read.
type table struct {
	// prefix is what the names of the table's own columns begin with: PREFIX_type_concept_id.
	prefix string

	// end is the end of an event whose table says none, or whose end is not looked at.
	end ending

	columns map[string]events.Column // by Circe's field, beside those of every table
	counts  map[string]events.Column // by Circe's name of a column to count
	span    bool                     // DURATION is that of the event and not 1
}

// ending says when an event ends.
type ending uint8

const (
	asRecorded   ending = iota // or not at all
	orNextDay                  // as recorded, else a day after the start
	orSupply                   // as recorded, else with the supply, else a day after the start
	alwaysOneDay               // a day after the start, whatever is recorded
)

var tables = map[cohort.Domain]table{
	cohort.ConditionEra: {
		columns: map[string]events.Column{"OccurrenceCount": "condition_occurrence_count"},
		counts:  map[string]events.Column{"ERA_OCCURRENCES": "condition_occurrence_count"}, span: true,
	},
	cohort.ConditionOccurrence: {
		prefix: "condition", end: orNextDay, span: true,
		columns: map[string]events.Column{"ConditionStatus": "condition_status_concept_id", "StopReason": "stop_reason"},
	},
	cohort.Death: {
		prefix: "death", end: alwaysOneDay,
		columns: map[string]events.Column{"DeathSourceConcept": "cause_source_concept_id"},
	},
	cohort.DeviceExposure: {
		prefix: "device", end: orNextDay, span: true,
		columns: map[string]events.Column{"UniqueDeviceId": "unique_device_id", "Quantity": "quantity"},
		counts:  map[string]events.Column{"QUANTITY": "quantity"},
	},
	cohort.DoseEra: {
		columns: map[string]events.Column{"Unit": "unit_concept_id", "DoseValue": "dose_value"},
		counts:  map[string]events.Column{"UNIT": "unit_concept_id", "VALUE_AS_NUMBER": "dose_value"}, span: true,
	},
	cohort.DrugEra: {
		columns: map[string]events.Column{"OccurrenceCount": "drug_exposure_count", "GapDays": "gap_days"},
		counts:  map[string]events.Column{"ERA_OCCURRENCES": "drug_exposure_count", "GAP_DAYS": "gap_days"}, span: true,
	},
	cohort.DrugExposure: {
		prefix: "drug", end: orSupply, span: true,
		columns: map[string]events.Column{
			"StopReason": "stop_reason", "Refills": "refills", "Quantity": "quantity", "DaysSupply": daysSupply, "RouteConcept": "route_concept_id",
			"EffectiveDrugDose": "effective_drug_dose", "DoseUnit": "dose_unit_concept_id", "LotNumber": "lot_number",
		},
		counts: map[string]events.Column{"DAYS_SUPPLY": daysSupply, "QUANTITY": "quantity", "REFILLS": "refills"},
	},
	cohort.LocationRegion: {span: true},
	cohort.Measurement: {
		prefix: "measurement", end: alwaysOneDay,
		columns: map[string]events.Column{
			"Operator": "operator_concept_id", "ValueAsNumber": valueAsNumber, "ValueAsConcept": valueAsConcept, "Unit": "unit_concept_id",
			"RangeLow": rangeLow, "RangeHigh": rangeHigh,
		},
		counts: map[string]events.Column{"VALUE_AS_NUMBER": valueAsNumber, "RANGE_LOW": rangeLow, "RANGE_HIGH": rangeHigh},
	},
	cohort.Observation: {
		prefix: "observation", end: alwaysOneDay,
		columns: map[string]events.Column{
			"ValueAsNumber": valueAsNumber, "ValueAsString": "value_as_string", "ValueAsConcept": valueAsConcept,
			"Qualifier": "qualifier_concept_id", "Unit": "unit_concept_id",
		},
		counts: map[string]events.Column{"VALUE_AS_NUMBER": valueAsNumber},
	},
	cohort.ObservationPeriod: {
		prefix: "period", span: true,
	},
	cohort.PayerPlanPeriod: {
		columns: map[string]events.Column{
			"PayerConcept": "payer_concept_id", "PlanConcept": "plan_concept_id", "SponsorConcept": "sponsor_concept_id", "StopReasonConcept": "stop_reason_concept_id",
			"PayerSourceConcept": "payer_source_concept_id", "PlanSourceConcept": "plan_source_concept_id",
			"SponsorSourceConcept": "sponsor_source_concept_id", "StopReasonSourceConcept": "stop_reason_source_concept_id",
		},
		span: true,
	},
	cohort.ProcedureOccurrence: {
		prefix: "procedure", end: alwaysOneDay,
		columns: map[string]events.Column{"Modifier": "modifier_concept_id", "Quantity": "quantity"},
		counts:  map[string]events.Column{"QUANTITY": "quantity"},
	},
	cohort.Specimen: {
		prefix: "specimen", end: alwaysOneDay,
		columns: map[string]events.Column{
			"Quantity": "quantity", "Unit": "unit_concept_id", "AnatomicSite": "anatomic_site_concept_id",
			"DiseaseStatus": "disease_status_concept_id", "SourceId": "specimen_source_id",
		},
	},
	cohort.VisitDetail: {
		prefix: "visit_detail", span: true,
		columns: map[string]events.Column{"PlaceOfService": placeOfService},
	},
	cohort.VisitOccurrence: {
		prefix: "visit", span: true,
		columns: map[string]events.Column{"VisitType": "visit_type_concept_id", "PlaceOfService": placeOfService},
	},
}

// The columns that are named in more than one place.
const (
	daysSupply     events.Column = "days_supply"
	drugSource     events.Column = "drug_source_concept_id"
	valueAsNumber  events.Column = "value_as_number"
	valueAsConcept events.Column = "value_as_concept_id"
	rangeLow       events.Column = "range_low"
	rangeHigh      events.Column = "range_high"
	visitConcept   events.Column = "visit_occurrence.visit_concept_id"
	visitID        events.Column = "visit_occurrence.visit_occurrence_id"
	specialty      events.Column = "provider.specialty_concept_id"
	placeOfService events.Column = "care_site.place_of_service_concept_id"
	careSiteID     events.Column = "care_site.care_site_id"
)

// decimals are the fields that are compared with four decimals, all others with whole numbers.
var decimals = map[cohort.Domain][]string{
	cohort.DoseEra:      {"DoseValue"},
	cohort.DrugExposure: {"Quantity", "EffectiveDrugDose"},
	cohort.Measurement:  {"ValueAsNumber", "RangeLow", "RangeHigh"},
	cohort.Observation:  {"ValueAsNumber"},
	cohort.Specimen:     {"Quantity"},
}

// column returns the column that a field with codes, a number or text is about.
func (t table) column(d cohort.Domain, field string) (events.Column, bool) {
	field = strings.TrimSuffix(field, "CS")
	if c, ok := t.columns[field]; ok {
		return c, true
	}
	switch {
	case field == "ProviderSpecialty":
		return specialty, true
	case field == "VisitType":
		return visitConcept, true
	case t.prefix == "":
		return "", false
	case strings.EqualFold(field, strings.ReplaceAll(t.prefix, "_", "")+"Type"):
		return events.Column(t.prefix + "_type_concept_id"), true
	case strings.EqualFold(field, strings.ReplaceAll(t.prefix, "_", "")+"SourceConcept") && d != cohort.Specimen && d != cohort.ObservationPeriod:
		return events.Column(t.prefix + "_source_concept_id"), true
	}
	return "", false
}

// inner returns the column that is absent if an inner join of circe-be finds nothing. Such
// an event never passes, be the concept asked for or excluded.
func inner(c events.Column) (events.Column, bool) {
	switch c {
	case visitConcept:
		return visitID, true
	case placeOfService:
		return careSiteID, true
	}
	return "", false
}
