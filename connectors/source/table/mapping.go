package table

import (
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Version is the version of the mapping language that this package reads.
const Version = 1

// Mapping says which tables it is for and what their rows mean. It comes from [Parse],
// does not change and can be used by many goroutines.
type Mapping struct {
	Name string // 1 to 64 letters, digits, - and .

	columns []string // names, in the order in which the mapping lists them
	extra   bool     // the header may have others
	header  bool     // the first row has the names; else columns are positions
	latin   bool     // Windows-1252 unless a byte order mark says otherwise
	nulls   map[string]bool
	comma   bool // the decimal sign
	dates   dateForm
	zone    *time.Location // of times without one; nil if they have none
	key     []int          // columns; nil if the records' codes and times are the key

	patient   int    // column
	authority string // who gives out the patients' numbers; empty if they are ids of FHIR Patients

	codes   map[int]map[string]translation // by column and cell
	units   map[string]string              // UCUM by spelling
	records []record
}

// translation is what a cell stands for: a code of a system, or a word if the system is
// empty.
type translation struct{ system, code string }

// record is one kind of record that a row makes.
type record struct {
	kind   *kind
	line   int // of the mapping file
	when   []condition
	fields [fieldCount]ref
	place  string     // see place
	system string     // URI, if it is a constant
	wide   []variable // of an observation: the columns that are values
}

// condition holds for a row whose cell is one of the values.
type condition struct {
	column int
	values map[string]bool
}

// ref is where a field's text comes from.
type ref struct {
	kind   refKind
	column int
	clock  int    // column of the time of day, -1 if it is not apart
	text   string // of a constant
}

type refKind uint8

const (
	refNone refKind = iota
	refColumn
	refConst
)

// variable is a column of a wide table.
type variable struct {
	column int
	code   fhir.CodeableConcept
	unit   fhir.Quantity // without a value
}

// field is a field of a record.
type field uint8

const (
	fieldCode field = iota
	fieldSystem
	fieldText
	fieldValue
	fieldUnit
	fieldTime
	fieldStart
	fieldEnd
	fieldEncounter
	fieldID
	fieldStatus
	fieldCategory
	fieldFlag
	fieldLow
	fieldHigh
	fieldClass
	fieldDose
	fieldRoute
	fieldSig
	fieldQuantity
	fieldDays
	fieldLot
	fieldType
	fieldBirth
	fieldDeath
	fieldSex
	fieldRace
	fieldEthnicity
	fieldCount
)

var fieldNames = [fieldCount]string{
	"code", "system", "text", "value", "unit", "time", "start", "end", "encounter", "id", "status", "category", "flag", "low", "high",
	"class", "dose", "route", "sig", "quantity", "days", "lot", "type", "birth", "death", "sex", "race", "ethnicity",
}

// isTime reports whether the field is a date or time.
func (f field) isTime() bool {
	switch f {
	case fieldTime, fieldStart, fieldEnd, fieldBirth, fieldDeath:
		return true
	}
	return false
}

// kind is a kind of record.
type kind struct {
	name     string // in a mapping
	resource string // FHIR's name
	required []field
	optional []field
	at       field // which time is part of the key; fieldCount for none
	statuses []string
	make     func(*converter, *record) fhir.Resource
}

// needs reports whether a record of the kind is none without the field.
func (k *kind) needs(f field) bool {
	return slices.Contains(k.required, f) || f == fieldCode && k.name == "observation"
}

// kinds are the records that a row can make.
var kinds = []*kind{
	{
		name: "patient", resource: "Patient", at: fieldCount, make: (*converter).person,
		required: []field{fieldBirth}, optional: []field{fieldDeath, fieldSex, fieldRace, fieldEthnicity},
	},
	{
		name: "encounter", resource: "Encounter", at: fieldStart, make: (*converter).encounter, statuses: encounterStatuses,
		required: []field{fieldID, fieldStart}, optional: []field{fieldEnd, fieldClass, fieldStatus, fieldCode, fieldSystem, fieldText},
	},
	{
		name: "observation", resource: "Observation", at: fieldTime, make: (*converter).observation, statuses: observationStatuses,
		required: []field{fieldTime},
		optional: []field{
			fieldCode, fieldSystem, fieldText, fieldValue, fieldUnit, fieldEncounter, fieldStatus, fieldCategory, fieldFlag, fieldLow, fieldHigh,
		},
	},
	{
		name: "condition", resource: "Condition", at: fieldStart, make: (*converter).condition,
		required: []field{fieldCode, fieldStart}, optional: []field{fieldSystem, fieldText, fieldEnd, fieldEncounter},
	},
	{
		name: "medication", resource: "MedicationRequest", at: fieldStart, make: (*converter).medication, statuses: requestStatuses,
		required: []field{fieldCode, fieldStart},
		optional: []field{
			fieldSystem, fieldText, fieldEnd, fieldEncounter, fieldStatus, fieldDose, fieldUnit, fieldRoute, fieldSig, fieldQuantity, fieldDays,
		},
	},
	{
		name: "procedure", resource: "Procedure", at: fieldStart, make: (*converter).procedure, statuses: eventStatuses,
		required: []field{fieldCode, fieldStart}, optional: []field{fieldSystem, fieldText, fieldEnd, fieldEncounter, fieldStatus},
	},
	{
		name: "immunization", resource: "Immunization", at: fieldTime, make: (*converter).immunization, statuses: immunizationStatuses,
		required: []field{fieldCode, fieldTime},
		optional: []field{fieldSystem, fieldText, fieldEncounter, fieldStatus, fieldLot, fieldDose, fieldUnit},
	},
	{
		name: "allergy", resource: "AllergyIntolerance", at: fieldStart, make: (*converter).allergy,
		required: []field{fieldCode, fieldStart}, optional: []field{fieldSystem, fieldText, fieldEnd, fieldEncounter, fieldType, fieldCategory},
	},
}

// The statuses of FHIR R4's value sets observation-status, encounter-status,
// medicationrequest-status, event-status and immunization-status.
var (
	observationStatuses  = []string{"final", "registered", "preliminary", "amended", "corrected", "cancelled", "entered-in-error", "unknown"}
	encounterStatuses    = []string{"finished", "planned", "arrived", "triaged", "in-progress", "onleave", "cancelled", "entered-in-error", "unknown"}
	requestStatuses      = []string{"unknown", "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft"}
	eventStatuses        = []string{"completed", "preparation", "in-progress", "not-done", "on-hold", "stopped", "entered-in-error", "unknown"}
	immunizationStatuses = []string{"completed", "not-done", "entered-in-error"}
)
