package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

const (
	conditionCategory     = "http://terminology.hl7.org/CodeSystem/condition-category"
	conditionClinical     = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	conditionVerification = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

	problemList        = "problem-list-item"
	encounterDiagnosis = "encounter-diagnosis"

	// Templates.
	problemObservation = "4"
	problemStatus      = "6"
)

// anyProblem are the SNOMED codes that name no problem but all of them: denied, they say
// that there is none.
//
// Source: value set Problem Type of C-CDA, and the example "No Known Problems".
var anyProblem = []string{
	"55607006", "404684003", "64572001", "409586006", "282291009", "248536006", "418799008", "373930000",
}

// noProblem is the SNOMED code that says so itself.
const noProblem = "160245001"

// clinicalStatus are FHIR's words for the value of a Problem or Allergy Status
// Observation.
//
// Source: concept maps CF-ProblemStatus and CF-AllergyStatus of the C-CDA on FHIR guide.
var clinicalStatus = map[string]string{
	"55561003": "active", "246455001": "recurrence", "263855007": "relapse", "277022003": "remission",
	"73425007": "inactive", "413322009": "resolved", "723506003": "resolved",
}

// concern reads a concern or a diagnosis: an act around problem observations, or one of
// these alone.
func (c *converter) concern(e *element, at place, category string, visit fhir.Reference) {
	if !happened(e) {
		return
	}
	at = at.in(e.name)
	switch e.name {
	case "act":
		concern := wrapping(e)
		for o, place := range related(e, at, "observation", "SUBJ", "REFR", "COMP", "") {
			if happened(o) && o.may(problemObservation) {
				c.condition(o, concern, place.in("observation"), category, visit)
			}
		}
	case "observation":
		if e.may(problemObservation) {
			c.condition(e, wrapper{}, at, category, visit)
		}
	}
}

// condition reads a problem observation; concern is the act around it, if any.
func (c *converter) condition(o *element, concern wrapper, at place, category string, visit fhir.Reference) {
	value := c.described(o.at("value"), o)
	no := negated(o)
	if no && (value.IsZero() || !o.at("value").is() || has(value, snomed, anyProblem...)) || has(value, snomed, noProblem) {
		c.keep("Negation", at)
		return
	}
	if value.IsZero() && o.at("value") != nil && !o.at("value").is() {
		return // it says that nothing is known
	}
	d := &fhir.Condition{
		Code:      value,
		Category:  []fhir.CodeableConcept{one(conditionCategory, category)},
		Subject:   c.patient,
		Encounter: visit,
		Recorded:  first(authored(o), concern.authored, concern.start),
	}
	c.required(d.Code, at.in("value"))
	d.Onset, d.Abated = c.span(o.at("effectiveTime"), at)
	if status := c.status(o, concern, at); status != "" {
		d.Clinical = one(conditionClinical, status)
	}
	switch {
	case o.at("statusCode").attr("code") == "nullified" || concern.status == "nullified":
		d.Verification = one(conditionVerification, "entered-in-error")
	case no:
		d.Verification, d.Clinical = one(conditionVerification, "refuted"), fhir.CodeableConcept{}
	}
	d.ID = c.id("Condition", o, []string{codeKey(d.Code), first(d.Onset, d.Recorded).Text}, d.Abated.Text, visit.ID)
	c.give("Condition", d.ID, d, at)
}

// status is the clinical status of a problem or an allergy: the one observed, or resolved
// if it has an end, though it may not be known when, or that of the concern. What has an
// end is not active.
//
// Source: "Problems" and "Allergies" of the C-CDA on FHIR guide.
func (c *converter) status(o *element, concern wrapper, at place) string {
	high := o.at("effectiveTime", "high")
	ended := high.is() && high.attr("value") != "" || high.attr("nullFlavor") == "UNK"
	for s := range related(o, at, "observation", "REFR", "SUBJ", "") {
		if s.of(problemStatus) || s.of(allergyStatus) || s.at("code").attr("code") == "33999-4" {
			for _, coding := range c.concept(s.at("value")).Coding {
				switch word := clinicalStatus[coding.Code]; {
				case word == "":
				case ended && oneOf(word, []string{"active", "recurrence", "relapse"}):
					return "inactive"
				default:
					return word
				}
			}
		}
	}
	if ended {
		return "resolved"
	}
	switch concern.status {
	case "active":
		return "active"
	case "completed", "suspended", "aborted":
		return "inactive"
	}
	return ""
}
