package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// procedureStatuses are FHIR's of HL7 v3's ActStatus.
//
// Source: concept map CF-ProcedureStatus of the C-CDA on FHIR guide; held, suspended, new
// and nullified, which it leaves open, by their definition.
var procedureStatuses = map[string]string{
	"completed": "completed", "active": "in-progress", "aborted": "stopped", "cancelled": "not-done",
	"held": "on-hold", "suspended": "on-hold", "new": "preparation", "nullified": "entered-in-error",
}

// procedure reads a procedure, act or observation of the procedures section, and what was
// given there. What an observation found is a result beside it.
func (c *converter) procedure(e *element, at place) {
	switch e.name {
	case "substanceAdministration":
		c.medication(e, at)
		return
	case "procedure", "act", "observation":
	default:
		return
	}
	if !happened(e) {
		return
	}
	at = at.in(e.name)
	p := &fhir.Procedure{
		Status:  mapped(procedureStatuses, e.at("statusCode").attr("code")),
		Code:    c.described(e.at("code"), e),
		Subject: c.patient,
	}
	if p.Code.IsZero() && e.at("code") != nil && !e.at("code").is() {
		if negated(e) {
			c.keep("Negation", at)
		}
		return // it says that nothing is known
	}
	c.required(p.Code, at.in("code"))
	p.Performed, p.During = moment(c.span(e.at("effectiveTime"), at))
	if negated(e) {
		p.Status = "not-done"
	}
	for o := range related(e, at, "observation", "RSON") {
		p.Reason = append(p.Reason, list(c.concept(o.at("value")))...)
	}
	p.ID = c.id("Procedure", e, []string{codeKey(p.Code), p.Performed.Text + p.During.Start.Text}, p.During.End.Text)
	c.give("Procedure", p.ID, p, at)
}
