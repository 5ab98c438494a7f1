package cohort

import (
	"maps"
	"slices"
)

// Domain is the OMOP table a criterion reads, by its name in Circe.
type Domain string

// The domains that a criterion may name.
const (
	ConditionEra        Domain = "ConditionEra"
	ConditionOccurrence Domain = "ConditionOccurrence"
	Death               Domain = "Death"
	DeviceExposure      Domain = "DeviceExposure"
	DoseEra             Domain = "DoseEra"
	DrugEra             Domain = "DrugEra"
	DrugExposure        Domain = "DrugExposure"
	LocationRegion      Domain = "LocationRegion"
	Measurement         Domain = "Measurement"
	Observation         Domain = "Observation"
	ObservationPeriod   Domain = "ObservationPeriod"
	PayerPlanPeriod     Domain = "PayerPlanPeriod"
	ProcedureOccurrence Domain = "ProcedureOccurrence"
	Specimen            Domain = "Specimen"
	VisitDetail         Domain = "VisitDetail"
	VisitOccurrence     Domain = "VisitOccurrence"
)

// Person is the domain of age, sex, race and ethnicity. No criterion names it; filters
// and demographic criteria read it.
const Person Domain = "Person"

// Domains returns the domains that a criterion may name, sorted.
func Domains() []Domain { return slices.Sorted(maps.Keys(tables)) }

// Fields returns the fields that a criterion of the domain may filter by, those of
// [Demographic] for [Person].
func (d Domain) Fields() []Field {
	if d == Person {
		return slices.Clone(demographics)
	}
	return slices.Clone(tables[d].fields)
}

// Kind says what a field of a criterion holds.
type Kind int

// The kinds. Each names the member of [Filter] that is set.
const (
	KindNumber   Kind = iota + 1 // Number, compared with four decimals
	KindInteger                  // Number, compared with whole numbers
	KindDate                     // Date
	KindText                     // Text
	KindConcepts                 // Concepts
	KindSet                      // Set
	KindSource                   // Source: the field's concept must be in that concept set
	KindFlag                     // Flag
	KindPeriod                   // Period
)

// Field is an attribute by which events are filtered.
type Field struct {
	Name  string // Circe's
	Kind  Kind
	Words string // for people, as in "its WORDS is at least 5"
	Unit  string // of a number, for people

	// Excludes: the field is a list whose meaning the member NameExclude turns around.
	Excludes bool

	// Reads is the domain that the field is taken from if that is not the criterion's.
	Reads Domain
}

// table describes the criteria of a domain.
type table struct {
	one, many string // an event and several, for people
	keyless   bool   // no CodesetId
	single    bool   // no First
	columns   []string
	fields    []Field
}

var tables = map[Domain]table{
	ConditionEra: {
		one: "condition era", many: "condition eras",
		columns: []string{"ERA_OCCURRENCES", "DURATION"},
		fields:  join(era, erasOf("condition")),
	},
	ConditionOccurrence: {
		one: "condition", many: "conditions",
		columns: []string{"VISIT_ID", "DURATION"},
		fields: join(spell, kindOf("ConditionType", "type of record"), concepts("ConditionStatus", "condition status"),
			text("StopReason", "stop reason"), source("ConditionSourceConcept"), ageAndSex, provider, visit),
	},
	Death: {
		one: "death", many: "deaths", single: true,
		columns: []string{"VISIT_ID", "DURATION"},
		fields:  join(day, kindOf("DeathType", "type of record"), source("DeathSourceConcept"), ageAndSex),
	},
	DeviceExposure: {
		one: "device exposure", many: "device exposures",
		columns: []string{"VISIT_ID", "QUANTITY", "DURATION"},
		fields: join(spell, kindOf("DeviceType", "type of record"), text("UniqueDeviceId", "unique device identifier"),
			integer("Quantity", "quantity", ""), source("DeviceSourceConcept"), ageAndSex, provider, visit),
	},
	DoseEra: {
		one: "dose era", many: "dose eras",
		columns: []string{"VISIT_ID", "DURATION", "UNIT", "VALUE_AS_NUMBER"},
		fields:  join(era, concepts("Unit", "unit"), number("DoseValue", "dose")),
	},
	DrugEra: {
		one: "drug era", many: "drug eras",
		columns: []string{"VISIT_ID", "ERA_OCCURRENCES", "GAP_DAYS", "DURATION"},
		fields:  join(era, erasOf("drug exposure"), integer("GapDays", "total of gap days", "day")),
	},
	DrugExposure: {
		one: "drug exposure", many: "drug exposures",
		columns: []string{"VISIT_ID", "DAYS_SUPPLY", "DURATION", "QUANTITY", "REFILLS"},
		fields: join(spell, kindOf("DrugType", "type of record"), text("StopReason", "stop reason"),
			integer("Refills", "number of refills", ""), number("Quantity", "quantity"), integer("DaysSupply", "supply", "day"),
			concepts("RouteConcept", "route"), number("EffectiveDrugDose", "effective dose"), concepts("DoseUnit", "unit of the dose"),
			text("LotNumber", "lot number"), source("DrugSourceConcept"), ageAndSex, provider, visit),
	},
	LocationRegion: {
		one: "stay in a region", many: "stays in a region", single: true,
		columns: []string{"VISIT_ID"},
		fields:  join(date("StartDate", "start"), date("EndDate", "end")),
	},
	Measurement: {
		one: "measurement", many: "measurements",
		columns: []string{"VISIT_ID", "DURATION", "VALUE_AS_NUMBER", "RANGE_HIGH", "RANGE_LOW"},
		fields: join(day, kindOf("MeasurementType", "type of record"), concepts("Operator", "operator"), number("ValueAsNumber", "value"),
			concepts("ValueAsConcept", "coded value"), concepts("Unit", "unit"),
			number("RangeLow", "lower limit of normal"), number("RangeHigh", "upper limit of normal"),
			number("RangeLowRatio", "ratio of value to lower limit of normal"), number("RangeHighRatio", "ratio of value to upper limit of normal"),
			[]Field{{Name: "Abnormal", Kind: KindFlag, Words: "value is outside the normal range or coded as low or high"}},
			source("MeasurementSourceConcept"), ageAndSex, provider, visit),
	},
	Observation: {
		one: "observation", many: "observations",
		columns: []string{"VISIT_ID", "VALUE_AS_NUMBER", "DURATION"},
		fields: join(day, kindOf("ObservationType", "type of record"), number("ValueAsNumber", "value"), text("ValueAsString", "value as text"),
			concepts("ValueAsConcept", "coded value"), concepts("Qualifier", "qualifier"), concepts("Unit", "unit"),
			source("ObservationSourceConcept"), ageAndSex, provider, visit),
	},
	ObservationPeriod: {
		one: "observation period", many: "observation periods", keyless: true,
		columns: []string{"VISIT_ID", "DURATION"},
		fields:  join(span, concepts("PeriodType", "type of period"), ages),
	},
	PayerPlanPeriod: {
		one: "payer plan period", many: "payer plan periods", keyless: true,
		columns: []string{"VISIT_ID"},
		fields: join(span, ages, sex, coded("PayerConcept", "payer"), coded("PlanConcept", "plan"), coded("SponsorConcept", "sponsor"),
			coded("StopReasonConcept", "stop reason"), coded("PayerSourceConcept", "payer as recorded at the source"),
			coded("PlanSourceConcept", "plan as recorded at the source"), coded("SponsorSourceConcept", "sponsor as recorded at the source"),
			coded("StopReasonSourceConcept", "stop reason as recorded at the source")),
	},
	ProcedureOccurrence: {
		one: "procedure", many: "procedures",
		columns: []string{"VISIT_ID", "DURATION", "QUANTITY"},
		fields: join(day, kindOf("ProcedureType", "type of record"), concepts("Modifier", "modifier"), integer("Quantity", "quantity", ""),
			source("ProcedureSourceConcept"), ageAndSex, provider, visit),
	},
	Specimen: {
		one: "specimen", many: "specimens",
		columns: []string{"VISIT_ID", "DURATION"},
		fields: join(day, kindOf("SpecimenType", "type of record"), number("Quantity", "quantity"), concepts("Unit", "unit"),
			concepts("AnatomicSite", "anatomic site"), concepts("DiseaseStatus", "disease status"), text("SourceId", "source identifier"),
			source("SpecimenSourceConcept"), ageAndSex),
	},
	VisitDetail: {
		one: "visit detail", many: "visit details",
		columns: []string{"VISIT_DETAIL_ID", "DURATION"},
		fields: join(date("VisitDetailStartDate", "start"), date("VisitDetailEndDate", "end"), membership("VisitDetailTypeCS", "type of record", ""),
			source("VisitDetailSourceConcept"), integer("VisitDetailLength", "length", "day"), age,
			membership("GenderCS", "person's sex", Person), membership("ProviderSpecialtyCS", "provider's specialty", ""),
			membership("PlaceOfServiceCS", "place of service", ""), coded("PlaceOfServiceLocation", "region of the place of service")),
	},
	VisitOccurrence: {
		one: "visit", many: "visits",
		columns: []string{"VISIT_ID", "DURATION"},
		fields: join(spell, kindOf("VisitType", "type of record"), source("VisitSourceConcept"), integer("VisitLength", "length", "day"),
			ageAndSex, provider, concepts("PlaceOfService", "place of service"), coded("PlaceOfServiceLocation", "region of the place of service")),
	},
}

// demographics are the fields of [Demographic].
var demographics = join(from(Person, integer("Age", "person's age", "year")), sex,
	from(Person, concepts("Race", "person's race")), from(Person, concepts("Ethnicity", "person's ethnicity")), spell)

// The fields that several domains share.
var (
	day   = date("OccurrenceStartDate", "date")
	spell = join(date("OccurrenceStartDate", "start"), date("OccurrenceEndDate", "end"))
	span  = join(date("PeriodStartDate", "start"), date("PeriodEndDate", "end"), integer("PeriodLength", "length", "day"),
		[]Field{{Name: "UserDefinedPeriod", Kind: KindPeriod, Words: "time"}})
	sex  = from(Person, concepts("Gender", "person's sex"))
	age  = from(Person, integer("Age", "person's age", "year"))
	ages = from(Person, join(integer("AgeAtStart", "person's age at the start", "year"), integer("AgeAtEnd", "person's age at the end", "year")))
	era  = join(date("EraStartDate", "start"), date("EraEndDate", "end"), integer("EraLength", "length", "day"), ages, sex)

	ageAndSex = join(age, sex)
	provider  = concepts("ProviderSpecialty", "provider's specialty")
	visit     = from(VisitOccurrence, concepts("VisitType", "kind of visit"))
)

func join(lists ...[]Field) []Field { return slices.Concat(lists...) }

func number(name, words string) []Field {
	return []Field{{Name: name, Kind: KindNumber, Words: words}}
}

func integer(name, words, unit string) []Field {
	return []Field{{Name: name, Kind: KindInteger, Words: words, Unit: unit}}
}

func date(name, words string) []Field { return []Field{{Name: name, Kind: KindDate, Words: words}} }

func text(name, words string) []Field { return []Field{{Name: name, Kind: KindText, Words: words}} }

// concepts is a list of concepts and, beside it, the selection by concept set.
func concepts(name, words string) []Field {
	return []Field{{Name: name, Kind: KindConcepts, Words: words}, {Name: name + "CS", Kind: KindSet, Words: words}}
}

// kindOf is [concepts] with a flag that excludes the list's.
func kindOf(name, words string) []Field {
	fields := concepts(name, words)
	fields[0].Excludes = true
	return fields
}

func membership(name, words string, reads Domain) []Field {
	return []Field{{Name: name, Kind: KindSet, Words: words, Reads: reads}}
}

func coded(name, words string) []Field { return []Field{{Name: name, Kind: KindSource, Words: words}} }

func source(name string) []Field { return coded(name, "concept as recorded at the source") }

func erasOf(what string) []Field {
	return integer("OccurrenceCount", "number of "+what+"s", "")
}

func from(reads Domain, fields []Field) []Field {
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i].Reads = reads
	}
	return fields
}
