package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

const (
	conditionCategory     = "http://terminology.hl7.org/CodeSystem/condition-category"
	conditionClinical     = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	conditionVerification = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
)

// diagnosisVerification is what HL7 table 0052 says about how sure a diagnosis is. An
// admitting diagnosis says when it was made, not how sure it is.
var diagnosisVerification = map[string]string{"F": "confirmed", "W": "provisional"}

// dg1 reads a diagnosis of the visit.
func (c *converter) dg1(s *segment) {
	if !c.belongs(s) {
		return
	}
	d := &fhir.Condition{
		Code:      withText(concept(s.field(3)), s.field(4).text()),
		Category:  []fhir.CodeableConcept{one(conditionCategory, "encounter-diagnosis")},
		Subject:   c.patient,
		Encounter: c.visit,
		Onset:     c.time(s, 5),
		Recorded:  c.time(s, 19),
	}
	if d.Code.IsZero() {
		c.problem(fhir.RuleMissingField, s, 3, "want a code or a text")
	}
	if d.Recorded.IsZero() {
		d.Recorded = c.recorded
	}
	kind := s.field(6).at(1).text()
	if v := diagnosisVerification[kind]; v != "" {
		d.Verification = one(conditionVerification, v)
	}
	if actionDeletes(s.field(21).text()) {
		d.Verification = one(conditionVerification, "entered-in-error")
	}
	if by, number := c.entity(s.field(20)); number != "" {
		d.ID = fhir.Digest("Condition", by, number)
	} else {
		d.ID = fhir.Digest("Condition", "", c.patient.ID, c.visit.ID, codeKey(d.Code), kind)
	}
	c.give("Condition", s, d.ID, d)
}

// withText gives c a text if it has none of its own.
func withText(c fhir.CodeableConcept, text string) fhir.CodeableConcept {
	if c.Text == "" {
		c.Text = text
	}
	return c
}

// prb reads a problem of the problem list (PPR).
func (c *converter) prb(s *segment) {
	if !c.belongs(s) {
		return
	}
	p := &fhir.Condition{
		Code:     c.required(s, 3),
		Category: []fhir.CodeableConcept{one(conditionCategory, "problem-list-item")},
		Subject:  c.patient, Encounter: c.visit,
		Onset: c.time(s, 16), Abated: c.time(s, 9), Recorded: c.time(s, 7),
	}
	if p.Recorded.IsZero() {
		p.Recorded = c.time(s, 2)
	}
	switch status := s.field(14).at(1).text(); status {
	case "ACTIVE", "Active", "active":
		p.Clinical = one(conditionClinical, "active")
	case "INACTIVE", "Inactive", "inactive":
		p.Clinical = one(conditionClinical, "inactive")
	case "RESOLVED", "Resolved", "resolved":
		p.Clinical = one(conditionClinical, "resolved")
	}
	if actionDeletes(s.field(1).text()) {
		p.Verification = one(conditionVerification, "entered-in-error")
	}
	if by, number := c.entity(s.field(4)); number != "" {
		p.ID = fhir.Digest("Condition", "PRB", by, number)
	} else {
		p.ID = fhir.Digest("Condition", "PRB", c.patient.ID, codeKey(p.Code))
	}
	c.give("Condition", s, p.ID, p)
}
