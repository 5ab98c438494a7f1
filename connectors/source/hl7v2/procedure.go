package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// pr1 reads a procedure. PR1 does not say whether it was completed, so the status is
// unknown, as the v2-to-FHIR guide has it.
func (c *converter) pr1(s *segment) {
	if !c.belongs(s) {
		return
	}
	p := &fhir.Procedure{
		Status:    "unknown",
		Category:  concept(s.field(6)),
		Code:      withText(concept(s.field(3)), s.field(4).text()),
		Subject:   c.patient,
		Encounter: c.visit,
		Performed: c.time(s, 5),
	}
	if p.Code.IsZero() {
		c.problem(fhir.RuleMissingField, s, 3, "want a code or a text")
	}
	if reason := concept(s.field(15)); !reason.IsZero() {
		p.Reason = append(p.Reason, reason)
	}
	if actionDeletes(s.field(20).text()) {
		p.Status = "entered-in-error"
	}
	if by, number := c.entity(s.field(19)); number != "" {
		p.ID = digest("Procedure", by, number)
	} else {
		p.ID = digest("Procedure", "", c.patient.ID, c.visit.ID, codeKey(p.Code), c.when(p.Performed))
	}
	c.give("Procedure", s, p.ID, p)
}
