package fhirapi

import "strings"

// kind is the type of a search parameter.
type kind string

// The kinds, as https://hl7.org/fhir/R4/search.html#ptypes names them.
const (
	kindToken     kind = "token"
	kindReference kind = "reference"
	kindDate      kind = "date"
	kindString    kind = "string"
)

// param is a search parameter of one type.
type param struct {
	name  string
	kind  kind
	paths [][]string // from the resource

	// target is the type that a reference points to; others under the same path are not
	// of this parameter. Empty for any.
	target string
}

// searches are the parameters of each type that can be searched by more than its id
// and its last change. Both the routes and the CapabilityStatement are made from it.
// The paths are those of https://hl7.org/fhir/R4/searchparameter-registry.html and of
// US Core 3.1.1; a choice of types names each type that is found.
var searches = readSearches(`
AllergyIntolerance
  patient reference>Patient patient
  clinical-status token clinicalStatus
  verification-status token verificationStatus
  category token category
  code token code reaction.substance
  date date recordedDate
  identifier token identifier
CarePlan
  patient reference>Patient subject
  subject reference subject
  category token category
  date date period
  status token status
  intent token intent
  encounter reference encounter
  identifier token identifier
CareTeam
  patient reference>Patient subject
  subject reference subject
  category token category
  date date period
  status token status
  encounter reference encounter
  identifier token identifier
Communication
  patient reference>Patient subject
  subject reference subject
  category token category
  sent date sent
  received date received
  status token status
  recipient reference recipient
  sender reference sender
  encounter reference encounter
  identifier token identifier
Condition
  patient reference>Patient subject
  subject reference subject
  category token category
  clinical-status token clinicalStatus
  verification-status token verificationStatus
  code token code
  onset-date date onsetDateTime onsetPeriod
  recorded-date date recordedDate
  encounter reference encounter
  identifier token identifier
Device
  patient reference>Patient patient
  type token type
  status token status
  identifier token identifier
DiagnosticReport
  patient reference>Patient subject
  subject reference subject
  category token category
  code token code
  date date effectiveDateTime effectivePeriod
  issued date issued
  status token status
  result reference result
  encounter reference encounter
  identifier token identifier
DocumentReference
  patient reference>Patient subject
  subject reference subject
  type token type
  category token category
  date date date
  period date context.period
  status token status
  encounter reference context.encounter
  identifier token masterIdentifier identifier
Encounter
  patient reference>Patient subject
  subject reference subject
  class token class
  type token type
  date date period
  status token status
  identifier token identifier
Goal
  patient reference>Patient subject
  subject reference subject
  category token category
  lifecycle-status token lifecycleStatus
  start-date date startDate
  target-date date target.dueDate
  identifier token identifier
Immunization
  patient reference>Patient patient
  date date occurrenceDateTime
  status token status
  vaccine-code token vaccineCode
  identifier token identifier
Location
  name string name alias
  address string address
  address-city string address.city
  address-state string address.state
  address-postalcode string address.postalCode
  type token type
  status token status
  identifier token identifier
Medication
  code token code
  status token status
  identifier token identifier
MedicationRequest
  patient reference>Patient subject
  subject reference subject
  category token category
  code token medicationCodeableConcept
  medication reference medicationReference
  authoredon date authoredOn
  intent token intent
  status token status
  encounter reference encounter
  identifier token identifier
Observation
  patient reference>Patient subject
  subject reference subject
  category token category
  code token code
  date date effectiveDateTime effectivePeriod effectiveInstant
  status token status
  value-concept token valueCodeableConcept
  has-member reference hasMember
  derived-from reference derivedFrom
  encounter reference encounter
  identifier token identifier
Organization
  name string name alias
  address string address
  type token type
  active token active
  identifier token identifier
Patient
  name string name
  family string name.family
  given string name.given
  birthdate date birthDate
  death-date date deceasedDateTime
  gender token gender
  active token active
  general-practitioner reference generalPractitioner
  organization reference managingOrganization
  identifier token identifier
Practitioner
  name string name
  family string name.family
  given string name.given
  active token active
  identifier token identifier
PractitionerRole
  practitioner reference>Practitioner practitioner
  organization reference organization
  specialty token specialty
  role token code
  identifier token identifier
Procedure
  patient reference>Patient subject
  subject reference subject
  category token category
  code token code
  date date performedDateTime performedPeriod
  status token status
  encounter reference encounter
  identifier token identifier
Provenance
  target reference target
  patient reference>Patient target
  agent reference agent.who
  recorded date recorded
ResearchStudy
  title string title
  status token status
  identifier token identifier
ResearchSubject
  patient reference>Patient individual
  individual reference individual
  study reference study
  date date period
  status token status
  identifier token identifier
ServiceRequest
  patient reference>Patient subject
  subject reference subject
  category token category
  code token code
  authored date authoredOn
  intent token intent
  status token status
  encounter reference encounter
  identifier token identifier
Specimen
  patient reference>Patient subject
  subject reference subject
  type token type
  collected date collection.collectedDateTime collection.collectedPeriod
  status token status
  identifier token identifier
Task
  patient reference>Patient for
  subject reference for
  owner reference owner
  focus reference focus
  code token code
  authored-on date authoredOn
  status token status
  intent token intent
  identifier token identifier
`)

// readSearches reads the table above: a type, then its parameters, each with its
// kind, for a reference perhaps ">" and the one type it points to, and its paths.
func readSearches(text string) map[string][]param {
	all := map[string][]param{}
	current := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) == 1:
			current = words[0]
		default:
			sort, target, _ := strings.Cut(words[1], ">")
			p := param{name: words[0], kind: kind(sort), target: target}
			for _, path := range words[2:] {
				p.paths = append(p.paths, strings.Split(path, "."))
			}
			all[current] = append(all[current], p)
		}
	}
	return all
}

// find returns the parameter of a type that is called name.
func find(resourceType, name string) (param, bool) {
	for _, p := range searches[resourceType] {
		if p.name == name {
			return p, true
		}
	}
	return param{}, false
}

// belonging are the elements by which a resource of any type belongs to a patient,
// for $everything.
var belonging = [][]string{{"subject"}, {"patient"}, {"individual"}, {"beneficiary"}, {"for"}}
